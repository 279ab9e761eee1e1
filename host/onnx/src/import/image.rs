//! The one image that a model takes.

use goldcrest_engine::shape::Shape;
use goldcrest_quantize::infer::LIMIT;

use super::layout::Axis;
use super::{CHANNELS, ImportError};
use crate::{Dimension, Model};

/// The image that a model takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageInput {
    /// Name of the input.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// Whether the input is [batch, rows, columns, channels] instead of [batch, channels, rows, columns].
    pub channels_last: bool,
    /// The batch, where the model fixes it.
    pub batch: Option<usize>,
}

impl ImageInput {
    pub(super) fn axes(&self) -> [Axis; 4] {
        match self.channels_last {
            true => [Axis::Batch, Axis::Row, Axis::Column, Axis::Channel],
            false => Axis::IMAGE,
        }
    }
}

/// The one image input of a model.
///
/// # Errors
/// When the inputs are not one image of a fixed size.
pub fn image_input(model: &Model) -> Result<ImageInput, ImportError> {
    let [input] = &*model.graph.inputs else {
        let names: Vec<_> = model.graph.inputs.iter().map(|input| &*input.name).collect();
        let problem = format!("the model has {} inputs [{}]", names.len(), names.join(", "));
        return Err(ImportError::Input(problem));
    };
    let (name, shape) = (&input.name, input.shape.as_deref());
    let fixed = |dimension: &Dimension| match *dimension {
        Dimension::Fixed(size) => usize::try_from(size).ok().filter(|size| (1..=LIMIT).contains(size)),
        Dimension::Named(_) => None,
    };
    let Some([batch, rest @ ..]) = shape.filter(|shape| shape.len() == 4) else {
        let rank = shape.map_or("no".into(), |shape| shape.len().to_string());
        return Err(ImportError::Input(format!("the input `{name}` has {rank} dimensions")));
    };
    let sizes: Option<Vec<usize>> = rest.iter().map(fixed).collect();
    let Some(&[a, b, c]) = sizes.as_deref() else {
        return Err(ImportError::Input(format!("the input `{name}` has no fixed size: {rest:?}")));
    };
    if a.saturating_mul(b).saturating_mul(c) > LIMIT {
        return Err(ImportError::Input(format!("the input `{name}` holds more than {LIMIT} values")));
    }
    // Images have few channels, so the layout shows in the sizes.
    let channels_last = c <= 4 && a > c;
    let shape = if channels_last { Shape::new(a, b, c) } else { Shape::new(b, c, a) };
    if shape.channels > CHANNELS {
        return Err(ImportError::Input(format!("the input `{name}` has {} channels", shape.channels)));
    }
    Ok(ImageInput { name: name.clone(), shape, channels_last, batch: fixed(batch) })
}
