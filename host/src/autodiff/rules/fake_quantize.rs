//! Rounding to a grid of integers and back, as training for int8 sees it: `QuantizeLinear` and `DequantizeLinear`
//! in a row, with a `Max` before them where values must not go below a bound of their own.
//!
//! The gradient passes where the value lies within the grid and is 0 where it saturates: the straight-through
//! estimator (Bengio, Léonard, Courville, 2013; Jacob et al., 2018). Both dialects are the same.

use crate::autodiff::AutodiffError;
use crate::autodiff::rule::{Positions, Rule};
use crate::autodiff::tape::Tape;
use crate::onnx::{Attribute, Data, Node, Tensor};

/// The value, its scale and zero point, and the lower bound where there is one.
pub(in crate::autodiff) struct FakeQuantize;

/// Names of the values between the joined nodes, as attributes.
const INTEGERS: &str = "integers";
const BOUNDED: &str = "bounded";

/// Nodes with every `DequantizeLinear` joined to the `QuantizeLinear` before it, and that to a `Max` with a constant
/// before it, where nothing else reads between them.
pub(in crate::autodiff) fn joined(nodes: &[Node], is_constant: impl Fn(&str) -> bool) -> Vec<Node> {
    let readers =
        |value: &String| nodes.iter().flat_map(|node| &node.inputs).filter(|&input| input == value).count();
    let mut joined: Vec<Node> = Vec::with_capacity(nodes.len());
    let made_by = |joined: &[Node], value: &String, op: &str| {
        let at = joined.iter().rposition(|node| node.outputs.first() == Some(value))?;
        (joined[at].op == op && joined[at].domain.is_empty() && readers(value) == 1).then_some(at)
    };
    for node in nodes {
        match node.op.as_str() {
            "QuantizeLinear" if node.domain.is_empty() => {
                let mut node = node.clone();
                let maximum = made_by(&joined, &node.inputs[0], "Max").filter(|&at| {
                    joined[at].inputs.len() == 2
                        && is_constant(&joined[at].inputs[1])
                        && node.inputs.len() == 3
                });
                if let Some(at) = maximum {
                    let maximum = joined.remove(at);
                    node.attributes.insert(BOUNDED.into(), Attribute::String(maximum.outputs[0].clone()));
                    let [value, bound] = [0, 1].map(|at| maximum.inputs[at].clone());
                    node.inputs[0] = value;
                    node.inputs.push(bound);
                }
                joined.push(node);
            }
            "DequantizeLinear" if node.domain.is_empty() => {
                let before = made_by(&joined, &node.inputs[0], "QuantizeLinear").filter(|&at| {
                    joined[at].inputs[1..3.min(joined[at].inputs.len())] == node.inputs[1..]
                        && joined[at].int("axis") == node.int("axis")
                });
                match before {
                    Some(at) => {
                        let output = node.outputs[0].clone();
                        let integers = std::mem::replace(&mut joined[at].outputs[0], output);
                        joined[at].attributes.insert(INTEGERS.into(), Attribute::String(integers));
                    }
                    None => joined.push(node.clone()),
                }
            }
            _ => joined.push(node.clone()),
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
        let (mut value, output) = (node.inputs[0].clone(), node.outputs[0].clone());
        if let (Some(bounded), Some(bound)) = (text(node, BOUNDED), node.inputs.get(3)) {
            tape.append(Node::new("Max", &[&value, bound], &[bounded]))?;
            value = bounded.to_owned();
        }
        let grid: Vec<&str> = node.inputs[1..].iter().take(2).map(String::as_str).collect();
        let on_axis = |node: Node, axis: Option<i64>| match axis {
            Some(axis) => node.with("axis", Attribute::Int(axis)),
            None => node,
        };
        let axis = node.int("axis");
        let inputs = |first| [&[first][..], &grid].concat();
        tape.append(on_axis(Node::new("QuantizeLinear", &inputs(value.as_str()), &[integers]), axis))?;
        tape.append(on_axis(Node::new("DequantizeLinear", &inputs(integers), &[&output]), axis))?;
        if tape.wants(&node.inputs[0]) {
            // Integers carry no gradient: it goes around them.
            tape.want(&output);
        }
        Ok(())
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let x = &node.inputs[0];
        let [low, high] = self.ends(tape, node)?.map(|bound| tape.constant(bound));
        let above = tape.op("GreaterOrEqual", &[x, &low])?;
        let below = tape.op("LessOrEqual", &[x, &high])?;
        let passes = tape.op("And", &[&above, &below])?;
        let zero = tape.scalar(0.0);
        let dx = tape.op("Where", &[&passes, dy, &zero])?;
        tape.add_gradient(x, dx)?;
        Ok(())
    }
}

impl FakeQuantize {
    /// Where rounding ends and saturation begins, at both ends, in a shape that broadcasts to the value's.
    fn ends(&self, tape: &Tape, node: &Node) -> Result<[Tensor; 2], AutodiffError> {
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
        // A bound of its own cuts weights at -127.
        let lowest = if node.inputs.len() > 3 { -127.5 } else { -128.5 };
        let end = |end: f32| {
            let zero = |at: usize| f32::from(zeros[if zeros.len() > 1 { at } else { 0 }]);
            let values = scales.iter().enumerate().map(|(at, scale)| (end - zero(at)) * scale);
            Tensor::f32(&shape, values.collect())
        };
        Ok([end(lowest), end(127.5)])
    }
}

fn text<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    match node.attributes.get(name) {
        Some(Attribute::String(text)) => Some(text),
        _ => None,
    }
}
