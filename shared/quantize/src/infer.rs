//! Shape inference: what operators of the float and of the int8 graph have in common.

use goldcrest_engine::shape::{Padding, Shape, Window};

/// Why an operator does not fit its inputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// The operator reads another number of tensors.
    #[error("reads {found} tensors, expected {expected}")]
    Inputs {
        /// How many the node has.
        found: usize,
        /// How many the operator takes.
        expected: usize,
    },
    /// The window does not fit, or a kernel, stride or dilation is 0 or absurd.
    #[error(
        "window {}x{} (stride {}x{}, dilation {}x{}) does not fit the {input} input",
        window.kernel[0], window.kernel[1], window.stride[0], window.stride[1],
        window.dilation[0], window.dilation[1]
    )]
    Window {
        /// The window.
        window: Window,
        /// The input it slides over.
        input: Shape,
    },
    /// Weights, bias and groups do not match the input.
    #[error(
        "{weights} weights and {channels} output channels in {groups} groups do not fit a window of \
         {kernel} taps over the {input} input"
    )]
    Weights {
        /// Number of weights.
        weights: usize,
        /// Number of output channels.
        channels: usize,
        /// Number of groups.
        groups: usize,
        /// Taps of the window.
        kernel: usize,
        /// The input.
        input: Shape,
    },
    /// Two inputs whose shapes do not go together.
    #[error("inputs of {0} and {1} do not go together")]
    Operands(Shape, Shape),
    /// A tensor beyond [`LIMIT`] values.
    #[error("the output would hold more than {LIMIT} values")]
    TooLarge,
}

/// Largest extent of a dimension, window or padding, and of the number of values in a tensor: far
/// above any microcontroller, low enough that no product overflows.
pub const LIMIT: usize = 1 << 24;

/// An operator that knows the shape it writes.
pub trait Infer {
    /// The output's shape for inputs of these shapes.
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError>;
}

/// The one input of an operator.
pub(crate) fn one(inputs: &[Shape]) -> Result<Shape, ShapeError> {
    match inputs {
        [input] => Ok(*input),
        _ => Err(ShapeError::Inputs { found: inputs.len(), expected: 1 }),
    }
}

/// The two inputs of an operator.
pub(crate) fn pair(inputs: &[Shape]) -> Result<[Shape; 2], ShapeError> {
    inputs.try_into().map_err(|_| ShapeError::Inputs { found: inputs.len(), expected: 2 })
}

/// The shape, unless it is too large.
pub(crate) fn sized(shape: Shape) -> Result<Shape, ShapeError> {
    let area = shape.height.checked_mul(shape.width);
    match area.and_then(|area| area.checked_mul(shape.channels)) {
        Some(values) if values <= LIMIT => Ok(shape),
        _ => Err(ShapeError::TooLarge),
    }
}

/// Rows and columns that a window makes of an input.
pub(crate) fn slide(window: &Window, input: Shape) -> Result<[usize; 2], ShapeError> {
    let Padding { top, left, bottom, right } = window.padding;
    let extents = [window.kernel, window.stride, window.dilation, [top, left], [bottom, right]];
    let sane = extents.as_flattened().iter().all(|&extent| extent <= 1 << 15);
    // A padding as large as the window's reach would make outputs that see no input at all.
    let reach = |axis: usize| {
        window.kernel[axis].saturating_sub(1).saturating_mul(window.dilation[axis]).saturating_add(1)
    };
    let seen = sane && top.max(bottom) < reach(0) && left.max(right) < reach(1);
    let output = if seen { window.output(input.height, input.width) } else { None };
    output.ok_or(ShapeError::Window { window: *window, input })
}

/// The shape that a window makes of an input without mixing its channels.
pub(crate) fn pooled(window: &Window, input: Shape) -> Result<Shape, ShapeError> {
    let [height, width] = slide(window, input)?;
    sized(Shape::new(height, width, input.channels))
}
