//! `Concat` along channels, the same on int8.

use goldcrest_quantize::graph::{FloatOp, QuantizedOp};

use super::{Export, Held, Importer, Int8Node, Problem, Reader, Value, Writer, unsupported};
use crate::import::{Axis, Fold, Form, Operands, integers};
use crate::{Attribute, Data, Node, Tensor};

/// Maximum number of inputs of one node.
const INPUTS: usize = 64;

/// From a file.
pub fn import(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    if node.inputs.len() > INPUTS {
        return unsupported(format!("joins {} inputs; supported are up to {INPUTS}", node.inputs.len()));
    }
    let views = (0..node.inputs.len())
        .map(|index| importer.activation(node, index))
        .collect::<Result<Vec<_>, Problem>>()?;
    let Some(first) = views.first() else { return unsupported("has no inputs") };
    let axis = node.int("axis").unwrap_or(1);
    let Some(dimension) = first.dimension(axis) else {
        return unsupported(format!("axis {axis} of {}", importer.describe(first)));
    };
    let mut axes = first.axes.clone();
    axes[dimension] = vec![Axis::Channel];
    for view in &views {
        let mut own = view.axes.clone();
        // Of one channel alone, the dimension looks empty; so do other dimensions of size 1.
        let channels = importer.graph.tensor(view.tensor).shape.channels;
        let joins = match own.get(dimension).map(|axes| &**axes) {
            Some([Axis::Channel]) => true,
            Some([]) => channels == 1,
            _ => false,
        };
        if joins {
            own[dimension] = vec![Axis::Channel];
        }
        if !joins || own != axes {
            let found: Vec<String> = views.iter().map(|view| importer.describe(view)).collect();
            return unsupported(format!(
                "joins {} along axis {axis}; supported is channels",
                found.join(", ")
            ));
        }
    }
    let inputs: Vec<_> = views.iter().map(|view| view.tensor).collect();
    if let [input] = *inputs {
        return Ok(Value::Activation(first.of(input)));
    }
    let output = importer.push(node, "", FloatOp::Concat, &inputs)?;
    Ok(Value::Activation(first.with(axes).of(output)))
}

/// As an int8 operator of another tool.
pub const FORM: Form = Form { op: "QLinearConcat", float: "Concat", operands: Operands::From(2), output: 0 };

/// Of constants.
pub const FOLD: Fold = Fold::Parts(joined);

fn joined(node: &Node, parts: &[&Tensor]) -> Result<Tensor, Problem> {
    if node.int("axis").unwrap_or(0) != 0 || parts.iter().any(|part| part.shape.len() != 1) {
        return unsupported("joins constants of more than one dimension");
    }
    let count = parts.iter().map(|part| part.data.len()).sum();
    let data = if parts.iter().all(|part| integers(part).is_some()) {
        let mut values = Vec::with_capacity(count);
        values.extend(parts.iter().filter_map(|part| integers(part)).flatten());
        Data::I64(values)
    } else if parts.iter().all(|part| part.as_f32().is_some()) {
        let mut values = Vec::with_capacity(count);
        parts.iter().filter_map(|part| part.as_f32()).for_each(|part| values.extend(part));
        Data::F32(values)
    } else {
        return unsupported("joins constants of different types");
    };
    Ok(Tensor::new(&[count], data))
}

/// To a float file.
pub fn export(export: &mut Export<'_>) -> Node {
    Node::new("Concat", export.inputs, &[export.output]).with("axis", Attribute::Int(1))
}

/// From an int8 file.
pub fn read<'a>(reader: &mut Reader<'a>, node: &'a Node, output: &str) -> Result<Held, Problem> {
    if node.int("axis") != Some(1) {
        return unsupported("its axis must be 1");
    }
    let inputs = (0..node.inputs.len()).map(|index| reader.input(node, index)).collect::<Result<_, _>>()?;
    reader.push(output, QuantizedOp::Concat, inputs)
}

/// To an int8 file.
pub fn write(writer: &mut Writer<'_>, node: &Int8Node) {
    let inputs: Vec<String> = node.inputs.iter().map(|&id| writer.name(id)).collect();
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let output = writer.name(node.output);
    writer.push(Node::new("Concat", &inputs, &[&output]).with("axis", Attribute::Int(1)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn int32_and_int64_parts_of_shapes_go_together() {
        let node = Node::new("Concat", &["a", "b"], &["c"]);
        let parts = [Tensor::new(&[1], Data::I32(vec![-1])), Tensor::i64s(&[4, 5])];
        let joined = joined(&node, &parts.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(joined, Tensor::i64s(&[-1, 4, 5]));
    }
}
