//! `MaxPool`, the same on int8.

use goldcrest_engine::shape::{Shape, Window};
use goldcrest_quantize::graph::{FloatOp, QuantizedOp};
use goldcrest_quantize::operators::MaxPool;

use super::{Export, Held, Importer, Int8Node, Problem, Reader, Value, Writer, average_pool, window};
use crate::Node;

/// From a file.
pub fn import(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.image(node, 0)?;
    let shape = importer.graph.tensor(view.tensor).shape;
    let mut window = window::pool(node, shape)?;
    let [rows, columns] = window::ceil_padding(node, &window, shape);
    // Padding never wins a maximum, so more of it is what rounding up means.
    window.padding.bottom += rows;
    window.padding.right += columns;
    let output = importer.push(node, "", FloatOp::MaxPool(MaxPool { window }), &[view.tensor])?;
    Ok(Value::Activation(importer.image_view(output)))
}

/// `GlobalMaxPool`.
pub fn global(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.image(node, 0)?;
    let Shape { height, width, .. } = importer.graph.tensor(view.tensor).shape;
    let window = Window::new([height, width], [1, 1]);
    let output = importer.push(node, "", FloatOp::MaxPool(MaxPool { window }), &[view.tensor])?;
    Ok(Value::Activation(importer.image_view(output)))
}

/// A maximum over rows, columns or both.
pub fn reduce(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let reduced = average_pool::reduced(importer, node)?;
    let op = FloatOp::MaxPool(MaxPool { window: reduced.window });
    let output = importer.push(node, "", op, &[reduced.input])?;
    Ok(Value::Activation(reduced.view.of(output)))
}

/// To a float file.
pub fn export(export: &mut Export<'_>, pool: &MaxPool) -> Node {
    window::node("MaxPool", export.inputs, export.output, &pool.window)
}

/// From an int8 file.
pub fn read<'a>(reader: &mut Reader<'a>, node: &'a Node, output: &str) -> Result<Held, Problem> {
    let pool = MaxPool { window: window::written(node)? };
    reader.push(output, QuantizedOp::MaxPool(pool), vec![reader.input(node, 0)?])
}

/// To an int8 file.
pub fn write(writer: &mut Writer<'_>, node: &Int8Node, pool: &MaxPool) {
    let (input, output) = (writer.name(node.inputs[0]), writer.name(node.output));
    writer.push(window::node("MaxPool", &[&input], &output, &pool.window));
}
