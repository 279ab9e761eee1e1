//! A convolution and its gradients over whole batches.

mod backward;
mod forward;
#[cfg(test)]
mod tests;

use super::dense::Dense;
use super::depthwise::Depthwise;
use super::level::Level;
use super::plane::{Geometry, Layout};

/// A convolution, prepared for its shapes.
#[derive(Clone, Debug)]
pub struct Convolution {
    layout: Layout,
    level: Level,
    /// How it is done where each channel has its own kernel.
    depthwise: Option<Depthwise>,
    /// How it is done where output channels fill vectors and planes do not serve better.
    dense: Option<Dense>,
}

impl Convolution {
    /// Lays the planes out and looks at what the processor offers.
    pub fn new(geometry: Geometry) -> Self {
        Self::at_level(geometry, Level::detect())
    }

    /// The same for a level that the processor has.
    fn at_level(geometry: Geometry, level: Level) -> Self {
        let depthwise = [geometry.inputs, geometry.outputs] == [1, 1] && geometry.groups > 1;
        let depthwise = depthwise.then(|| Depthwise::new(&geometry, level));
        let dense = Dense::new(&geometry, level);
        Self { layout: Layout::of(geometry), level, depthwise, dense }
    }

    /// Floats of an image of the input, of the output, and of the weights.
    pub fn sizes(&self) -> [usize; 3] {
        let Geometry { groups, inputs, outputs, input, output, kernel, .. } = self.layout.geometry;
        [
            groups * inputs * input[0] * input[1],
            groups * outputs * output[0] * output[1],
            groups * outputs * inputs * kernel[0] * kernel[1],
        ]
    }
}
