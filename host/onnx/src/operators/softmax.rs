//! A last `Softmax` is dropped: the int8 network ends with the logits, and the order of the classes is
//! the same.

use super::{Importer, Problem, Value, unsupported};
use crate::Node;

pub fn softmax(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    match node.outputs.first() {
        Some(output) if output == importer.output => Ok(Value::Activation(view)),
        _ => unsupported("stands before the network's end; only a last one can be left to the host"),
    }
}
