//! Counting the products of a network.

use goldcrest_onnx::Model;
use goldcrest_onnx::shape_inference::{ShapeError, Types};

/// Multiply-accumulates of convolutions and matrix products for one image. Biases, normalization
/// and pools are not counted, as in MLPerf Tiny.
///
/// # Errors
/// When a shape cannot be inferred.
pub fn multiply_accumulates(model: &Model) -> Result<u64, ShapeError> {
    let types = Types::infer(&model.graph)?;
    let fixed = |value: &str, axes: &[usize]| -> u64 {
        let r#type = types.get(value);
        axes.iter().map(|&axis| r#type.and_then(|t| t.fixed(axis)).unwrap_or(1) as u64).product()
    };
    let products = |node: &goldcrest_onnx::Node| match (node.op.as_str(), &node.inputs[..], &node.outputs[..])
    {
        // Weights [O, I / groups, rows, columns]: one product each per output row and column.
        ("Conv", [_, weights, ..], [output, ..]) => fixed(weights, &[0, 1, 2, 3]) * fixed(output, &[2, 3]),
        ("Gemm" | "MatMul", [_, weights, ..], _) => fixed(weights, &[0, 1]),
        _ => 0,
    };
    Ok(model.graph.nodes.iter().map(products).sum())
}
