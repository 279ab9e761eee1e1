//! The function that makes probabilities of the logits is left to the host: the int8 network ends with
//! the logits, and the order of the classes is the same.

use super::{Importer, Problem, Value, unsupported};
use crate::Node;
use crate::import::Axis;

/// `Softmax` and `LogSoftmax` over the classes.
pub fn softmax(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    if !importer.is_end(node) {
        return unsupported("stands before the network's end; only a last one can be left to the host");
    }
    // Before opset 13 it counts over all dimensions from its axis on.
    let old = importer.opset < 13;
    let axis = node.int("axis").unwrap_or(if old { 1 } else { -1 });
    let Some(dimension) = view.dimension(axis) else {
        return unsupported(format!("attribute `axis` is {axis}, of {}", importer.describe(&view)));
    };
    let over = |index: usize| if old { index >= dimension } else { index == dimension };
    let is_batch = |axes: &[Axis]| axes.iter().all(|axis| *axis == Axis::Batch);
    let classes = (0..view.axes.len()).all(|index| match over(index) {
        true => !view.axes[index].contains(&Axis::Batch),
        false => is_batch(&view.axes[index]),
    });
    if !classes {
        return unsupported(format!(
            "attribute `axis` is {axis}, of {}; supported is that of the classes",
            importer.describe(&view)
        ));
    }
    importer.ended = true;
    Ok(Value::Activation(view))
}
