//! `Concat` along channels, the same on int8.

use goldcrest_quantize::graph::{FloatOp, QuantizedOp};

use super::{Export, Held, Importer, Int8Node, Problem, Reader, Value, Writer, unsupported};
use crate::import::Axis;
use crate::{Attribute, Node};

/// Most inputs of one node.
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
