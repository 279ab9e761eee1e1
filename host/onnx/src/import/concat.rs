//! `Concat` along channels.

use goldcrest_quantize::graph::FloatOp;

use super::layout::Axis;
use super::{Importer, Node, Problem, Value, unsupported};

/// Most inputs of one node.
const INPUTS: usize = 64;

pub fn concat(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
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
