//! How the pixels of a picture become the values that a model's graph begins with, as far as the graph
//! says: by the type of its input, by the grid of a QuantizeLinear or DequantizeLinear at the input, or
//! by the constants that it scales its input with.

use goldcrest_quantize::graph::Normalization;

use super::image::{Element, ImageInput};
use super::tail::needed;
use super::{ImportError, image_input, qoperator};
use crate::{Attribute, Data, Model, Node, Tensor};

/// A normalization that the graph tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Pixels {
    /// `input = (pixel / 255 - mean) / std`, the input being what the float graph begins with.
    pub normalization: Normalization,
    /// What tells it, in words: "its input is uint8".
    pub reason: String,
    /// Whether no other normalization can be: the file takes the bytes themselves.
    pub certain: bool,
}

impl Pixels {
    /// The same for every channel: `input = (pixel - zero) * scale`.
    fn new(channels: usize, zero: f32, scale: f32, reason: String, certain: bool) -> Self {
        // No zero with a sign.
        let (mean, std) = (zero / 255.0 + 0.0, 1.0 / (255.0 * scale));
        let normalization = Normalization { mean: vec![mean; channels], std: vec![std; channels] };
        Self { normalization, reason, certain }
    }

    /// Whether a normalization is this one, but for what writing it down loses.
    pub fn agrees(&self, other: &Normalization) -> bool {
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-4 * b.abs().max(1e-2);
        let own = &self.normalization;
        own.mean.len() == other.mean.len()
            && own.mean.iter().zip(&other.mean).all(near)
            && own.std.iter().zip(&other.std).all(near)
    }
}

/// What a model's graph tells of its pixels; nothing where it takes floats and does not scale them in a
/// known way.
///
/// # Errors
/// When the input is not one image, or integers that are used in ways that do not go together.
pub fn pixels(model: &Model) -> Result<Option<Pixels>, ImportError> {
    told(model, &qoperator::expand(model)?.nodes)
}

/// Maximum number of channels of what may be a picture.
const CHANNELS: usize = 64;

/// What a model of these nodes tells of its pixels.
pub fn told(model: &Model, nodes: &[Node]) -> Result<Option<Pixels>, ImportError> {
    let input = image_input(model)?;
    let outputs: Vec<&str> = model.graph.outputs.iter().map(|output| &*output.name).collect();
    let needed = needed(nodes, &outputs);
    let nodes = nodes.iter().zip(needed).filter(|(_, needed)| *needed).map(|(node, _)| node).collect();
    let graph = Graph { model, nodes };
    match input.element {
        Element::Float if input.shape.channels > CHANNELS => Ok(None),
        Element::Float => Ok(graph.scaled(&input)),
        Element::Uint8 => graph.bytes(&input, "uint8", 0.0).map(Some),
        Element::Int8 => graph.bytes(&input, "int8", 128.0).map(Some),
    }
}

/// The nodes that count.
struct Graph<'a> {
    model: &'a Model,
    nodes: Vec<&'a Node>,
}

impl<'a> Graph<'a> {
    fn readers(&self, value: &str) -> impl Iterator<Item = &'a Node> {
        self.nodes.iter().copied().filter(move |node| node.inputs.iter().any(|input| input == value))
    }

    fn constant(&self, name: &str) -> Option<&'a Tensor> {
        self.model.graph.initializers.get(name).or_else(|| {
            let constant =
                self.nodes.iter().find(|node| node.outputs.first().is_some_and(|own| own == name))?;
            match constant.attributes.get("value") {
                Some(Attribute::Tensor(tensor)) if constant.op == "Constant" => Some(tensor),
                _ => None,
            }
        })
    }

    /// The grid of a quantizing or dequantizing node: the integer that stands for 0, from 0 to 255, and
    /// the scale.
    fn grid(&self, node: &Node) -> Option<(f32, f32)> {
        let &[scale] = self.constant(node.inputs.get(1)?)?.as_f32()? else { return None };
        let zero = match node.inputs.get(2).filter(|name| !name.is_empty()) {
            None => 0.0,
            Some(name) => match &self.constant(name)?.data {
                Data::U8(zero) if zero.len() == 1 => f32::from(zero[0]),
                Data::I8(zero) if zero.len() == 1 => f32::from(zero[0]) + 128.0,
                _ => return None,
            },
        };
        (scale.is_finite() && scale > 0.0).then_some((zero, scale))
    }

    /// An input of integers; `zero` is what they lack of a pixel.
    fn bytes(&self, input: &ImageInput, found: &'static str, lacks: f32) -> Result<Pixels, ImportError> {
        let unknown = || ImportError::Pixels { name: input.name.clone(), found };
        if input.shape.channels > CHANNELS {
            return Err(unknown());
        }
        let (mut values, mut told) = (vec![&*input.name], None);
        let mut index = 0;
        while let Some(&value) = values.get(index) {
            index += 1;
            for node in self.readers(value) {
                let meaning = match &*node.op {
                    "Transpose" | "Identity" => {
                        values.extend(node.outputs.first().map(String::as_str));
                        continue;
                    }
                    "Cast" if node.int("to") == Some(1) => Some((lacks, 1.0)),
                    "DequantizeLinear" => self.grid(node).map(|(zero, scale)| match node.inputs.len() {
                        2 => (zero + lacks, scale),
                        _ => (zero, scale),
                    }),
                    _ => None,
                };
                let meaning = meaning.ok_or_else(unknown)?;
                if told.is_some_and(|told| told != meaning) {
                    return Err(unknown());
                }
                told = Some(meaning);
            }
        }
        let (zero, scale) = told.ok_or_else(unknown)?;
        let reason = format!("its input is {found}");
        Ok(Pixels::new(input.shape.channels, zero, scale, reason, true))
    }

    /// An input of floats: what the graph does to them first.
    fn scaled(&self, input: &ImageInput) -> Option<Pixels> {
        let channels = input.shape.channels;
        let (mut scale, mut shift) = (vec![1.0f32; channels], vec![0.0f32; channels]);
        let (mut value, mut steps) = (&*input.name, 0);
        while let (Some(node), None) = {
            let mut readers = self.readers(value);
            (readers.next(), readers.next())
        } {
            match &*node.op {
                "Identity" | "Transpose" | "Cast" | "Dropout" => {}
                "QuantizeLinear" if steps == 0 => return self.by_grid(node, channels),
                "Mul" | "Div" | "Add" | "Sub" => {
                    let [a, b] = &*node.inputs else { break };
                    let (constant, first) = if a == value { (b, false) } else { (a, true) };
                    let Some(factors) = self.constant(constant).and_then(Tensor::as_f32) else { break };
                    let each = match factors.len() {
                        1 => vec![factors[0]; channels],
                        count if count == channels => factors.to_vec(),
                        _ => break,
                    };
                    for ((scale, shift), each) in scale.iter_mut().zip(&mut shift).zip(each) {
                        match (&*node.op, first) {
                            ("Mul", _) => (*scale, *shift) = (*scale * each, *shift * each),
                            ("Div", false) => (*scale, *shift) = (*scale / each, *shift / each),
                            ("Add", _) => *shift += each,
                            ("Sub", false) => *shift -= each,
                            ("Sub", true) => (*scale, *shift) = (-*scale, each - *shift),
                            _ => return None,
                        }
                    }
                    steps += 1;
                }
                _ => break,
            }
            value = node.outputs.first()?;
        }
        let most = |values: &[f32]| values.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        let (factor, offset) = (most(&scale), most(&shift));
        // Networks see values of a few units: what is divided by 50 and more before, or freed of a mean
        // of dozens, was a pixel from 0 to 255.
        let shrunk = factor < 0.02 && (0.1..=20.0).contains(&(255.0 * factor));
        let centred = factor <= 2.0 && offset >= 20.0 * factor && offset <= 255.0 * factor;
        let reason = match () {
            () if steps == 0 => return None,
            () if shrunk => format!("its graph begins with a factor of {factor}"),
            () if centred => format!("its graph begins with an offset of {offset}"),
            () => return None,
        };
        Some(Pixels::new(channels, 0.0, 1.0, reason, false))
    }

    /// An input of floats that are rounded to a grid first, where that is one that pixels are scaled to.
    fn by_grid(&self, node: &Node, channels: usize) -> Option<Pixels> {
        let (zero, scale) = self.grid(node)?;
        let (low, high) = (0.0 - zero * scale, (255.0 - zero) * scale);
        // A calibrated grid ends a little before or behind the values that it covers.
        let near =
            |ends: [f32; 2]| (low - ends[0]).abs().max((high - ends[1]).abs()) <= 0.02 * (ends[1] - ends[0]);
        let known = [[0.0, 1.0], [-1.0, 1.0], [0.0, 255.0], [-0.5, 0.5], [-128.0, 127.0]];
        let ends = known.into_iter().find(|&ends| near(ends))?;
        let step = (ends[1] - ends[0]) / 255.0;
        let reason = format!("its input is rounded to a grid from {low} to {high}");
        Some(Pixels::new(channels, -ends[0] / step, step, reason, false))
    }
}
