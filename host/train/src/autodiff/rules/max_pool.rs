//! Maximum over a window: the gradient goes to where the maximum was, which the forward pass
//! writes down as its second output (indices into the whole input).

use goldcrest_onnx::shape_inference::window_of;
use goldcrest_onnx::{Attribute, Node, Tensor};

use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;
use crate::autodiff::{AutodiffError, Dialect};

pub(in crate::autodiff) struct MaxPool;

impl Rule for MaxPool {
    fn op(&self) -> &'static str {
        "MaxPool"
    }

    fn forward(&self, tape: &mut Tape, node: &Node) -> Result<(), AutodiffError> {
        if node.int("storage_order").unwrap_or(0) != 0 {
            return Err(AutodiffError::unsupported(node, "storage_order = 1 is not supported"));
        }
        let mut node = node.clone();
        node.outputs.truncate(1);
        node.outputs.push(indices(&node));
        tape.append(node)
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let x = &node.inputs[0];
        let dx = match tape.dialect {
            Dialect::Training => {
                let dx = tape.declare_gradient(x)?;
                let mut grad = Node::new("MaxPoolGrad", &[dy, &indices(node)], &[&dx]);
                grad.attributes = node.attributes.clone();
                tape.append(grad)?;
                dx
            }
            Dialect::Standard => scatter(tape, node, dy)?,
        };
        tape.add_gradient(x, dx)?;
        Ok(())
    }
}

fn indices(node: &Node) -> String {
    format!("{}.indices", node.outputs[0])
}

fn scatter(tape: &mut Tape, node: &Node, dy: &str) -> Result<String, AutodiffError> {
    let x = &node.inputs[0];
    let row = tape.integers(&[-1]);
    let flat = tape.op("Reshape", &[x, &row])?;
    let size = tape.shape_tensor(&flat)?;
    let zero = Attribute::Tensor(Tensor::f32(&[1], vec![0.0]));
    let zeros = tape.emit(Node::new("ConstantOfShape", &[&size], &[]).with("value", zero))?;
    let places = tape.op("Reshape", &[&indices(node), &row])?;
    let updates = tape.op("Reshape", &[dy, &row])?;
    let window = window_of(node, None).map_err(|problem| AutodiffError::unsupported(node, problem))?;
    let overlap = (0..2).any(|axis| window.kernel[axis] > window.stride[axis] || window.dilation[axis] > 1);
    let scatter =
        Node::new("ScatterElements", &[&zeros, &places, &updates], &[]).with("axis", Attribute::Int(0));
    // Where windows overlap, one value may be the maximum of several.
    let reduction = Attribute::String("add".into());
    let filled = tape.emit(if overlap { scatter.with("reduction", reduction) } else { scatter })?;
    tape.reshape_like(&filled, x)
}

#[cfg(test)]
mod tests {
    use crate::autodiff::gradient_check::GradientCheck;
    use goldcrest_onnx::{Attribute, Node};

    fn pool(kernel: [i64; 2], strides: [i64; 2], pads: [i64; 4], dilations: [i64; 2]) -> GradientCheck {
        let node = Node::new("MaxPool", &["x"], &["y"])
            .with("kernel_shape", Attribute::Ints(kernel.to_vec()))
            .with("strides", Attribute::Ints(strides.to_vec()))
            .with("pads", Attribute::Ints(pads.to_vec()))
            .with("dilations", Attribute::Ints(dilations.to_vec()));
        GradientCheck::of(node).distinct_input("x", &[2, 3, 7, 6])
    }

    #[test]
    fn gradient() {
        pool([2, 2], [2, 2], [0, 0, 0, 0], [1, 1]).run();
    }

    #[test]
    fn gradient_where_windows_overlap() {
        pool([3, 2], [2, 1], [1, 0, 0, 1], [1, 1]).run();
    }

    #[test]
    fn gradient_with_dilation() {
        pool([2, 2], [2, 2], [1, 0, 0, 1], [2, 3]).run();
    }
}
