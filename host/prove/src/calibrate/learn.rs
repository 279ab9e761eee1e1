//! Learning weights on calibration images, layer by layer: each convolution sees the int8 values that the
//! layers before it, already learned, really write, and the values that the float network wants from it.

use goldcrest_data::Split;
use goldcrest_engine::shape::Shape;
use goldcrest_quantize::graph::{
    FloatConv, Graph, ModelInfo, Node, Normalization, QuantizedConv, QuantizedGraph, QuantizedModel,
    QuantizedOp, Tensor, TensorId,
};
use goldcrest_quantize::learn::{Learning, learn};
use goldcrest_quantize::moments::{Moments, Sample};
use goldcrest_quantize::random::Random;
use goldcrest_quantize::reference::run_node;
use goldcrest_quantize::rounding::WeightRange;
use goldcrest_quantize::ties;
use goldcrest_quantize::{FloatGraph, QuantizeReport};
use rayon::prelude::*;

use super::FloatNetwork;
use crate::verify::engine::HostEngine;
use crate::verify::synthetic::largest;
use crate::verify::{Pixels, Runner, RunnerError};

/// Images that a thread runs at once.
const CHUNK: usize = 10;
/// Positions per image and layer that are looked at.
pub const POSITIONS: usize = 64;

/// Learns the weights of all convolutions, in the order of the network; those named in `int4` get weights of
/// four bits.
///
/// # Errors
/// When the float or the int8 network cannot be run.
pub fn learn_weights(
    float: &FloatGraph,
    network: &FloatNetwork,
    model: &mut QuantizedModel,
    report: &QuantizeReport,
    images: &Split,
    learning: Learning,
    int4: &[String],
) -> Result<(), RunnerError> {
    let convs = convolutions(float, &model.graph, report);
    let wanted = wanted(network, &convs, images)?;
    let pixels = Pixels::of(model);
    let graph = &mut model.graph;
    let mut values: Vec<Vec<i8>> = vec![Vec::new(); graph.tensors.len()];
    values[graph.input.0] = (0..images.len())
        .into_par_iter()
        .flat_map_iter(|index| pixels.quantize(images.image(index)))
        .collect();
    for index in 0..graph.nodes.len() {
        if let Some(conv) = &convs[index] {
            let input = &values[graph.nodes[index].inputs[0].0];
            if let Some(mut moments) = observe(graph, index, input, &wanted[index]) {
                let range = match int4.contains(&graph.nodes[index].name) {
                    true => WeightRange::INT4,
                    false => WeightRange::INT8,
                };
                learn(graph, index, conv.exact, &mut moments, learning, range);
                if graph.nodes[index].output == graph.output {
                    part_ties(graph, index, &wanted[index]);
                }
            }
        }
        let node = &graph.nodes[index];
        let inputs: Vec<&[i8]> = node.inputs.iter().map(|id| &*values[id.0]).collect();
        let output = run(graph, node, &inputs, images.len())?;
        values[node.output.0] = output;
        // What nobody reads any more is let go.
        for id in &node.inputs {
            if !graph.nodes[index + 1..].iter().any(|node| node.inputs.contains(id)) {
                values[id.0] = Vec::new();
            }
        }
    }
    Ok(())
}

/// An int8 convolution and the float one that it stands for.
struct Convolution<'a> {
    exact: &'a FloatConv,
    /// Position of the float node.
    node: usize,
    /// Shape of its output.
    shape: Shape,
}

/// The convolutions among the int8 nodes.
fn convolutions<'a>(
    float: &'a FloatGraph,
    graph: &QuantizedGraph,
    report: &QuantizeReport,
) -> Vec<Option<Convolution<'a>>> {
    let each = |(node, layer): (&Node<QuantizedOp>, &goldcrest_quantize::LayerReport)| {
        let index = float.nodes.iter().position(|float| float.output == layer.unbounded)?;
        node.op.conv()?;
        let exact = float.nodes[index].op.conv()?;
        Some(Convolution { exact, node: index, shape: graph.tensor(node.output).shape })
    };
    graph.nodes.iter().zip(&report.layers).map(each).collect()
}

/// What the float network writes at the positions that are looked at: by int8 node, then image, each
/// `[output channel][position]`.
fn wanted(
    network: &FloatNetwork,
    convs: &[Option<Convolution<'_>>],
    images: &Split,
) -> Result<Vec<Vec<Vec<f32>>>, RunnerError> {
    let starts: Vec<usize> = (0..images.len()).step_by(CHUNK).collect();
    let chunks = starts.into_par_iter().map(|start| -> Result<Vec<Vec<Vec<f32>>>, RunnerError> {
        let count = CHUNK.min(images.len() - start);
        let pictures: Vec<&[u8]> = (start..start + count).map(|index| images.image(index)).collect();
        let layers = network.layers(&pictures)?;
        let each = |conv: &Option<Convolution<'_>>| {
            let Some(conv) = conv else { return Vec::new() };
            let area = conv.shape.height * conv.shape.width;
            let image = |image: usize| {
                let positions = positions((start + image) as u64, area);
                let planes =
                    layers[conv.node][image * conv.shape.len()..][..conv.shape.len()].chunks_exact(area);
                planes.flat_map(|plane| positions.iter().map(|&position| plane[position])).collect()
            };
            (0..count).map(image).collect()
        };
        Ok(convs.iter().map(each).collect())
    });
    let chunks: Vec<_> = chunks.collect::<Result<_, _>>()?;
    let mut all = vec![Vec::new(); convs.len()];
    for chunk in chunks {
        all.iter_mut().zip(chunk).for_each(|(all, images)| all.extend(images));
    }
    Ok(all)
}

/// The moments of one convolution over all images.
fn observe(graph: &QuantizedGraph, index: usize, values: &[i8], wanted: &[Vec<f32>]) -> Option<Moments> {
    let node = &graph.nodes[index];
    let conv = node.op.conv()?;
    let source = graph.tensor(node.inputs[0]);
    let output = graph.tensor(node.output).shape;
    let size = wanted.len().div_ceil(rayon::current_num_threads()).max(1);
    let parts = wanted.par_chunks(size).enumerate().map(|(part, wanted)| {
        let mut moments = Moments::new(conv);
        for (within, target) in wanted.iter().enumerate() {
            let image = part * size + within;
            let sample = Sample {
                input: &values[image * source.shape.len()..][..source.shape.len()],
                shape: source.shape,
                zero_point: source.info.zero_point,
                target,
                width: output.width,
            };
            moments.observe(conv, &sample, &positions(image as u64, output.height * output.width));
        }
        moments
    });
    parts.reduce_with(|mut a, b| {
        a.merge(b);
        a
    })
}

/// Moves the logits' biases so that equal logits favour no class.
fn part_ties(graph: &mut QuantizedGraph, index: usize, wanted: &[Vec<f32>]) {
    let Some(conv) = graph.nodes[index].op.conv_mut() else { return };
    let offsets = ties::offsets(&wanted.concat(), conv.bias.len());
    for ((bias, multiplier), offset) in conv.bias.iter_mut().zip(&conv.multipliers).zip(offsets) {
        let step = 65536.0 / f64::from(multiplier.k());
        *bias = bias.saturating_add((offset * step).round() as i32);
    }
}

/// Runs one node on all images.
fn run(
    graph: &QuantizedGraph,
    node: &Node<QuantizedOp>,
    inputs: &[&[i8]],
    images: usize,
) -> Result<Vec<i8>, RunnerError> {
    let part = |index: usize, from: usize, count: usize| {
        let length = graph.tensor(node.inputs[index]).shape.len();
        &inputs[index][from * length..][..count * length]
    };
    let starts: Vec<usize> = (0..images).step_by(CHUNK).collect();
    let engine = match node.op.conv() {
        Some(conv) => Some(HostEngine::pack(&alone(graph, node, conv))?),
        None => None,
    };
    let chunks = starts.into_par_iter().map(|start| {
        let count = CHUNK.min(images - start);
        if let Some(engine) = &engine {
            return Ok(engine.layers(part(0, start, count))?.swap_remove(0));
        }
        let image = |image| {
            let inputs: Vec<&[i8]> = (0..inputs.len()).map(|index| part(index, image, 1)).collect();
            run_node(graph, node, &inputs)
        };
        Ok((start..start + count).flat_map(image).collect())
    });
    Ok(chunks.collect::<Result<Vec<Vec<i8>>, RunnerError>>()?.concat())
}

/// A convolution as a model of its own: a pool behind it makes the output a vector.
fn alone(graph: &QuantizedGraph, node: &Node<QuantizedOp>, conv: &QuantizedConv) -> QuantizedModel {
    let (input, output) = (graph.tensor(node.inputs[0]).clone(), graph.tensor(node.output).clone());
    let channels = input.shape.channels;
    let pooled = Shape::new(1, 1, output.shape.channels);
    let labels = (0..pooled.channels).map(|index| index.to_string()).collect();
    let (pool, info) = (largest(output.shape), output.info);
    let name = |name: &str| name.to_owned();
    let nodes = vec![
        Node { name: name("conv"), op: conv.clone().into(), inputs: vec![TensorId(0)], output: TensorId(1) },
        Node { name: name("pool"), op: pool, inputs: vec![TensorId(1)], output: TensorId(2) },
    ];
    let tensors = vec![
        Tensor { name: name("input"), ..input },
        Tensor { name: name("conv"), ..output },
        Tensor { name: name("pool"), shape: pooled, info },
    ];
    let graph = Graph { name: name("alone"), tensors, nodes, input: TensorId(0), output: TensorId(2) };
    let normalization = Normalization { mean: vec![0.0; channels], std: vec![1.0; channels] };
    QuantizedModel { graph, info: ModelInfo { labels, normalization, preprocessing: Default::default() } }
}

/// Positions of a plane to look at in an image: all of them, or as many drawn at random.
fn positions(image: u64, area: usize) -> Vec<usize> {
    if area <= POSITIONS {
        return (0..area).collect();
    }
    let mut random = Random::new(image);
    (0..POSITIONS).map(|_| random.within(0, area as i64 - 1) as usize).collect()
}
