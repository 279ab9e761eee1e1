//! Training for int8: a trained model becomes one that rounds as its int8 form does.
//!
//! The model is quantized once, with calibration images, which fixes the grid of every activation and the scale of
//! every channel of weights. The network for training is the float network of that quantization (batch normalizations
//! and the pixels' normalization folded, channels equalized) with `QuantizeLinear` and `DequantizeLinear` where the int8 network rounds:
//! behind every tensor that int8 keeps, and on weights. Once trained and [settled](settle), it is an ordinary QDQ file,
//! and `goldcrest quantize` takes its scales over as they are. Biases stay float; rounding them to `input scale * weight scale` moves no output by more
//! than a fraction of its step.

use std::collections::BTreeMap;

use goldcrest_shared::quantize::graph::{ModelInfo, Quantization, QuantizedConv, QuantizedOp};

use crate::calibrate::{Outcome, PipelineError, Settings, Source};
use crate::dataset::Split;
use crate::onnx::import::{float_model, is_quantized};
use crate::onnx::{Attribute, Data, Graph, Model, Node, Tensor, ValueInfo, float_export, info};

/// Training images that fix the grids.
const CALIBRATION_IMAGES: usize = 500;

/// Why a model cannot be trained for int8.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QatError {
    /// The model has its scales already.
    #[error(
        "--qat: the model is quantized already; fine-tune the float model that it came from, or go on with its run by --resume"
    )]
    Quantized,
    /// The model has no int8 form, or it cannot be calibrated.
    #[error("--qat: {0}")]
    Quantize(#[from] PipelineError),
}

/// The network for training, calibrated with some of `images`. Its metadata say how its pixels are normalized, which
/// is not always as `info` says.
///
/// # Errors
/// See [`QatError`].
pub fn prepare(model: &Model, images: &Split, info: &ModelInfo, seed: u64) -> Result<Model, QatError> {
    if is_quantized(model) {
        return Err(QatError::Quantized);
    }
    let (graph, _) = float_model(model).map_err(PipelineError::from)?;
    let images = images.sample(CALIBRATION_IMAGES, seed);
    let settings = Settings { learn: false, ..Settings::default() };
    let outcome = Source::calibrate(graph, info.clone(), images, &|_| ())?.quantize(&settings)?;
    Ok(rounding(&outcome))
}

/// Puts the integers that weights round to in their place: the form of a QDQ file, a quarter as large.
pub fn settle(model: &mut Model) {
    let Graph { nodes, initializers, .. } = &mut model.graph;
    let bounds = |initializers: &BTreeMap<String, Tensor>, node: &Node| {
        node.op == "Max"
            && node.inputs.len() == 2
            && node.inputs.iter().all(|input| initializers.contains_key(input))
    };
    let maxima: Vec<Node> = nodes.iter().filter(|node| bounds(initializers, node)).cloned().collect();
    for maximum in maxima {
        let reads = |node: &Node| node.op == "QuantizeLinear" && node.inputs[0] == maximum.outputs[0];
        let Some(at) = nodes.iter().position(reads) else { continue };
        let quantize = nodes[at].clone();
        let (Some(weights), Some(scales)) = (
            initializers.get(&maximum.inputs[0]).cloned(),
            initializers.get(&quantize.inputs[1]).and_then(Tensor::as_f32).map(<[f32]>::to_vec),
        ) else {
            continue;
        };
        let values = weights.as_f32().unwrap_or_default();
        let each = (values.len() / scales.len().max(1)).max(1);
        let integers = values
            .iter()
            .enumerate()
            .map(|(at, value)| (value / scales[at / each]).round_ties_even().clamp(-127.0, 127.0) as i8);
        let integers = Tensor::new(&weights.shape, Data::I8(integers.collect()));
        nodes.retain(|node| !reads(node) && node.outputs != maximum.outputs);
        maximum.inputs.iter().for_each(|input| drop(initializers.remove(input)));
        initializers.insert(quantize.outputs[0].clone(), integers);
    }
}

/// The float network of a quantization, with its rounding.
fn rounding(outcome: &Outcome) -> Model {
    let Outcome { float, model: int8, report } = outcome;
    let mut model = float_export::write(float);
    info::write(&int8.info, &mut model.metadata);
    let grid = |id| int8.graph.tensor(id).info;
    let mut grids = BTreeMap::from([(float.tensor(float.input).name.clone(), grid(int8.graph.input))]);
    let mut scales = BTreeMap::new();
    for (node, layer) in int8.graph.nodes.iter().zip(&report.layers) {
        let tensor = int8.graph.tensor(node.output);
        // Copies of other grids, which concatenations read, have names of their own: the concatenation rounds.
        if tensor.name == float.tensor(layer.float).name {
            grids.insert(tensor.name.clone(), tensor.info);
        }
        if let QuantizedOp::Conv(conv) = &node.op {
            let written = &float.tensor(layer.unbounded).name;
            scales.insert(written.clone(), weight_scales(conv, grid(node.inputs[0]), tensor.info));
        }
    }

    let output = float.tensor(float.output);
    let classes = output.shape.channels as i64;
    let graph = &mut model.graph;
    let nodes = std::mem::take(&mut graph.nodes);
    let input = graph.inputs[0].name.clone();
    round(graph, &input, grids.get(&input));
    for mut node in nodes {
        for name in node.inputs.iter_mut().filter(|name| grids.contains_key(*name)) {
            *name = rounded(name);
        }
        let written = node.outputs[0].clone();
        if let Some(scales) = scales.get(&written).filter(|_| node.op == "Conv") {
            node.inputs[1] = round_weights(graph, &node.inputs[1], scales);
        }
        graph.nodes.push(node);
        round(graph, &written, grids.get(&written));
    }
    let last = if grids.contains_key(&output.name) { rounded(&output.name) } else { output.name.clone() };
    let logits = format!("{}.row", output.name);
    graph.nodes.push(Node::new("Flatten", &[&last], &[&logits]).with("axis", Attribute::Int(1)));
    graph.outputs = vec![ValueInfo::float(&logits, &[-1, classes])];
    model
}

/// Scale of each output channel's weights.
fn weight_scales(conv: &QuantizedConv, input: Quantization, output: Quantization) -> Vec<f32> {
    let unit = f64::from(output.scale) / f64::from(input.scale);
    conv.multipliers.iter().map(|multiplier| (multiplier.to_f64() * unit) as f32).collect()
}

/// The name of a value after it was rounded.
fn rounded(value: &str) -> String {
    format!("{value}.rounded")
}

/// Rounds an activation, where it has a grid.
fn round(graph: &mut Graph, value: &str, grid: Option<&Quantization>) {
    let Some(grid) = grid else { return };
    let scale = Tensor::f32(&[], vec![grid.scale]);
    let zero_point = Tensor::new(&[], Data::I8(vec![grid.zero_point]));
    quantize(graph, value, value, [scale, zero_point], None);
}

/// Rounds weights [outputs, ...] with a scale for each output to -127..=127; returns their new name.
fn round_weights(graph: &mut Graph, weights: &str, scales: &[f32]) -> String {
    let count = scales.len();
    let rank = graph.initializers.get(weights).map_or(4, |weights| weights.shape.len());
    let shape: Vec<usize> = (0..rank).map(|axis| if axis == 0 { count } else { 1 }).collect();
    let [lowest, bounded] = ["lowest", "bounded"].map(|part| format!("{weights}.{part}"));
    let low = scales.iter().map(|scale| -127.0 * scale).collect();
    graph.initializers.insert(lowest.clone(), Tensor::f32(&shape, low));
    graph.nodes.push(Node::new("Max", &[weights, &lowest], &[&bounded]));
    let zeros = Tensor::new(&[count], Data::I8(vec![0; count]));
    quantize(graph, &bounded, weights, [Tensor::f32(&[count], scales.to_vec()), zeros], Some(0));
    rounded(weights)
}

/// `value` to integers and back, under the names of `name`.
fn quantize(graph: &mut Graph, value: &str, name: &str, grid: [Tensor; 2], axis: Option<i64>) {
    let [scale, zero_point, integers] =
        ["scale", "zero_point", "integers"].map(|part| format!("{name}.{part}"));
    let [scales, zero_points] = grid;
    graph.initializers.insert(scale.clone(), scales);
    graph.initializers.insert(zero_point.clone(), zero_points);
    let with_axis = |node: Node| match axis {
        Some(axis) => node.with("axis", Attribute::Int(axis)),
        None => node,
    };
    let steps = [
        Node::new("QuantizeLinear", &[value, &scale, &zero_point], &[&integers]),
        Node::new("DequantizeLinear", &[&integers, &scale, &zero_point], &[&rounded(name)]),
    ];
    graph.nodes.extend(steps.map(with_axis));
}
