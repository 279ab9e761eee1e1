//! Rounding to a grid of integers and back, as training for int8 sees it: `QuantizeLinear` and
//! `DequantizeLinear` in a row.
//!
//! The gradient passes where the value lies within the grid and is 0 where it saturates: the straight-through
//! estimator (Bengio, Léonard, Courville, 2013; Jacob et al., 2018). Both dialects are the same. The slope, 1
//! or 0, is a steep `HardSigmoid` of the distance from the grid's middle: ONNX Runtime computes it with
//! vector instructions, several times faster than two comparisons and a `Where`.

use goldcrest_onnx::{Attribute, Data, Node, Tensor};

use crate::autodiff::AutodiffError;
use crate::autodiff::rule::{Positions, Rule};
use crate::autodiff::tape::Tape;

/// The value, its scale and zero point.
pub(in crate::autodiff) struct FakeQuantize;

/// Name of the value between the joined nodes, as an attribute.
const INTEGERS: &str = "integers";

/// Nodes with every `DequantizeLinear` joined to the `QuantizeLinear` before it, where nothing else reads
/// between them.
pub(in crate::autodiff) fn joined(nodes: &[Node]) -> Vec<Node> {
    let readers =
        |value: &String| nodes.iter().flat_map(|node| &node.inputs).filter(|&input| input == value).count();
    let mut joined: Vec<Node> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let before = (node.op == "DequantizeLinear" && node.domain.is_empty())
            .then(|| joined.iter().rposition(|before| before.outputs.first() == node.inputs.first()))
            .flatten()
            .filter(|&at| joined[at].op == "QuantizeLinear" && joined[at].domain.is_empty())
            .filter(|&at| joined[at].inputs[1..] == node.inputs[1..])
            .filter(|&at| joined[at].int("axis") == node.int("axis") && readers(&node.inputs[0]) == 1);
        match before {
            Some(at) => {
                let output = node.outputs[0].clone();
                let integers = std::mem::replace(&mut joined[at].outputs[0], output);
                joined[at].attributes.insert(INTEGERS.into(), Attribute::String(integers));
            }
            None => joined.push(node.clone()),
        }
    }
    joined
}

impl Rule for FakeQuantize {
    fn op(&self) -> &'static str {
        "QuantizeLinear"
    }

    fn parameters(&self) -> Positions {
        Positions { trainable: &[0], ..Positions::default() }
    }

    fn forward(&self, tape: &mut Tape, node: &Node) -> Result<(), AutodiffError> {
        let Some(integers) = text(node, INTEGERS) else {
            let problem =
                "its integers are read by something else than one DequantizeLinear of the same scale";
            return Err(AutodiffError::unsupported(node, problem));
        };
        let (value, output) = (&node.inputs[0], node.outputs[0].clone());
        let grid: Vec<&str> = node.inputs[1..].iter().take(2).map(String::as_str).collect();
        let on_axis = |node: Node, axis: Option<i64>| match axis {
            Some(axis) => node.with("axis", Attribute::Int(axis)),
            None => node,
        };
        let axis = node.int("axis");
        let inputs = |first| [&[first][..], &grid].concat();
        tape.append(on_axis(Node::new("QuantizeLinear", &inputs(value), &[integers]), axis))?;
        tape.append(on_axis(Node::new("DequantizeLinear", &inputs(integers), &[&output]), axis))?;
        if tape.wants(&node.inputs[0]) {
            // Integers carry no gradient: it goes around them.
            tape.want(&output);
        }
        Ok(())
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let x = &node.inputs[0];
        let Span { middle, reach } = Span::of(tape, node)?;
        let middle = tape.constant(middle);
        let mut away = tape.op("Sub", &[x, &middle])?;
        let mut steepness = STEEP;
        match reach.as_f32() {
            Some(&[reach]) => steepness /= reach,
            _ => {
                let reach = tape.constant(reach);
                away = tape.op("Div", &[&away, &reach])?;
            }
        }
        let away = tape.op("Abs", &[&away])?;
        let ramp = Node::new("HardSigmoid", &[&away], &[])
            .with("alpha", Attribute::Float(-steepness))
            .with("beta", Attribute::Float(STEEP));
        let slope = tape.emit(ramp)?;
        let dx = tape.op("Mul", &[&slope, dy])?;
        tape.add_gradient(x, dx)?;
        Ok(())
    }
}

/// A ramp that falls from 1 to 0 between two floats next to each other.
const STEEP: f32 = (1u64 << 60) as f32;

/// Where values round without saturating.
struct Span {
    /// Its middle, in a shape that broadcasts to the value's.
    middle: Tensor,
    /// From there to either end.
    reach: Tensor,
}

impl Span {
    fn of(tape: &Tape, node: &Node) -> Result<Self, AutodiffError> {
        let constant = |position: usize| node.inputs.get(position).and_then(|name| tape.constants.get(name));
        let (Some(Data::F32(scales)), Some(Data::I8(zeros))) =
            (constant(1).map(|scale| &scale.data), constant(2).map(|zero| &zero.data))
        else {
            let problem = "it needs a constant float scale and a constant int8 zero point";
            return Err(AutodiffError::unsupported(node, problem));
        };
        let rank = tape.shape(&node.inputs[0])?.len();
        let mut shape = vec![1; rank];
        if scales.len() > 1 {
            let axis = node.int("axis").unwrap_or(1);
            let axis = if axis < 0 { axis + rank as i64 } else { axis };
            match usize::try_from(axis).ok().and_then(|axis| shape.get_mut(axis)) {
                Some(size) => *size = scales.len(),
                None => return Err(AutodiffError::unsupported(node, "its axis is none of the value's")),
            }
        }
        // Integers saturate below -128.5 and above 127.5.
        let zero = |at: usize| f32::from(zeros[if zeros.len() > 1 { at } else { 0 }]);
        let middle = scales.iter().enumerate().map(|(at, scale)| (-0.5 - zero(at)) * scale);
        let reach = scales.iter().map(|scale| 128.0 * scale);
        let [middle, reach] = [middle.collect(), reach.collect()].map(|values| Tensor::f32(&shape, values));
        Ok(Self { middle, reach })
    }
}

fn text<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    match node.attributes.get(name) {
        Some(Attribute::String(text)) => Some(text),
        _ => None,
    }
}
