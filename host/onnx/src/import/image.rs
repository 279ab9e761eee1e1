//! The one image that a model takes.

use goldcrest_engine::shape::Shape;
use goldcrest_quantize::infer::LIMIT;

use super::layout::Axis;
use super::{CHANNELS, ImportError};
use crate::proto::{data_type, element_name};
use crate::{Dimension, Model, Node};

/// What the values of an input are in the file. Doubles and half floats are computed as floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Real numbers.
    Float,
    /// The bytes of pixels.
    Uint8,
    /// The bytes of pixels less 128, as TensorFlow Lite takes them.
    Int8,
}

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
    /// What its values are.
    pub element: Element,
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
    let element = match input.element {
        data_type::UINT8 => Element::Uint8,
        data_type::INT8 => Element::Int8,
        // Nothing that an exporter writes leaves it out; tests do.
        data_type::FLOAT | 0 => Element::Float,
        other => {
            let found = element_name(other);
            return Err(ImportError::Element { name: name.clone(), found });
        }
    };
    // Without convolutions: images have few channels, so the layout shows in the sizes.
    let channels_last = channels_last(&model.graph.nodes, name).unwrap_or(c <= 4 && a > c);
    let shape = if channels_last { Shape::new(a, b, c) } else { Shape::new(b, c, a) };
    if shape.channels > CHANNELS {
        return Err(ImportError::Input(format!("the input `{name}` has {} channels", shape.channels)));
    }
    Ok(ImageInput { name: name.clone(), shape, channels_last, batch: fixed(batch), element })
}

/// Operators whose dimension 1 is channels.
const CHANNELS_FIRST: [&str; 9] = [
    "Conv",
    "ConvTranspose",
    "QLinearConv",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "BatchNormalization",
    "Resize",
];

/// Operators that leave dimensions where they are.
const KEEPING: [&str; 13] = [
    "Identity",
    "Cast",
    "Dropout",
    "QuantizeLinear",
    "DequantizeLinear",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Neg",
    "Clip",
    "Relu",
    "Pad",
];

/// Whether channels are the last dimension of an image, as the first operator says that tells them apart.
fn channels_last(nodes: &[Node], image: &str) -> Option<bool> {
    // The image's dimensions in the order of each value's.
    let mut orders: Vec<(&str, [usize; 4])> = vec![(image, [0, 1, 2, 3])];
    for node in nodes {
        let found = node.inputs.iter().find_map(|input| orders.iter().find(|(name, _)| name == input));
        let (Some(&(_, order)), Some(output)) = (found, node.outputs.first()) else { continue };
        match &*node.op {
            op if CHANNELS_FIRST.contains(&op) => match order[1] {
                1 => return Some(false),
                3 => return Some(true),
                _ => {}
            },
            op if KEEPING.contains(&op) => orders.push((output, order)),
            "Transpose" => {
                let place =
                    |&axis: &i64| usize::try_from(axis).ok().and_then(|axis| order.get(axis).copied());
                let turned =
                    node.ints("perm").and_then(|perm| perm.iter().map(place).collect::<Option<Vec<_>>>());
                if let Some(turned) = turned.and_then(|turned| <[usize; 4]>::try_from(turned).ok()) {
                    orders.push((output, turned));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attribute, ValueInfo};

    fn layout(shape: &[i64], nodes: Vec<Node>) -> (Shape, bool) {
        let mut model = Model { opset: 17, ..Model::default() };
        model.graph.inputs.push(ValueInfo::float("x", shape));
        model.graph.nodes = nodes;
        let input = image_input(&model).unwrap();
        (input.shape, input.channels_last)
    }

    #[test]
    fn convolutions_say_where_the_channels_are() {
        let conv = |input: &str| Node::new("Conv", &[input, "w"], &["y"]);
        let turn = Node::new("Transpose", &["x"], &["t"]).with("perm", Attribute::Ints(vec![0, 3, 1, 2]));
        assert_eq!(layout(&[1, 9, 128, 1], vec![conv("x")]), (Shape::new(128, 1, 9), false));
        assert_eq!(layout(&[1, 9, 128, 1], vec![turn.clone(), conv("t")]), (Shape::new(9, 128, 1), true));
        assert_eq!(layout(&[1, 3, 32, 32], vec![turn, conv("t")]), (Shape::new(3, 32, 32), true));
        let scaled = Node::new("Mul", &["s", "x"], &["m"]);
        assert_eq!(layout(&[1, 9, 128, 1], vec![scaled, conv("m")]), (Shape::new(128, 1, 9), false));
    }

    #[test]
    fn without_convolutions_the_sizes_say_it() {
        let flat = || vec![Node::new("Flatten", &["x"], &["f"])];
        assert_eq!(layout(&[1, 28, 28, 1], flat()), (Shape::new(28, 28, 1), true));
        assert_eq!(layout(&[1, 3, 8, 8], flat()), (Shape::new(8, 8, 3), false));
    }

    #[test]
    fn integers_that_are_no_pixels_are_refused() {
        let mut model = Model { opset: 17, ..Model::default() };
        model.graph.inputs.push(ValueInfo::new("x", data_type::INT32, &[1, 3, 8, 8]));
        let error = image_input(&model).unwrap_err().to_string();
        assert!(error.contains("`x`") && error.contains("int32") && error.contains("uint8"), "{error}");
    }
}
