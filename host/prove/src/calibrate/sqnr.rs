//! How much noise quantization adds to each layer.

use goldcrest_data::Split;
use goldcrest_quantize::graph::QuantizedModel;
use goldcrest_quantize::{FloatGraph, QuantizeReport};
use rayon::prelude::*;

use super::FloatNetwork;
use crate::verify::layout::to_nchw;
use crate::verify::{Pixels, Runner, RunnerError};

/// Images that a thread runs at once.
const CHUNK: usize = 4;

/// The signal-to-quantization-noise ratio of every int8 layer in decibels, `10 log10(sum x^2 / sum (x -
/// xq)^2)` over all values of all images; infinite where there is no noise.
///
/// # Errors
/// When ONNX Runtime or the runner fails.
pub fn signal_to_noise(
    float: &FloatGraph,
    model: &QuantizedModel,
    report: &QuantizeReport,
    runner: &dyn Runner,
    images: &Split,
) -> Result<Vec<f64>, RunnerError> {
    let network = FloatNetwork::load(float, &model.info)?;
    let pixels = Pixels::of(model);
    // The position of each float tensor among the outputs of the float network.
    let mut position = vec![None; float.tensors.len()];
    float.nodes.iter().enumerate().for_each(|(index, node)| position[node.output.0] = Some(index));
    let layers = model.graph.nodes.len();
    let starts: Vec<usize> = (0..images.len()).step_by(CHUNK).collect();
    let energies = starts
        .into_par_iter()
        .map(|start| -> Result<Vec<[f64; 2]>, RunnerError> {
            let count = CHUNK.min(images.len() - start);
            let pictures: Vec<&[u8]> = (start..start + count).map(|index| images.image(index)).collect();
            let exact = network.layers(&pictures)?;
            let quantized: Vec<Vec<i8>> = pictures.iter().map(|picture| pixels.quantize(picture)).collect();
            let found = runner.layers(&quantized.concat())?;
            let energy = |(index, values): (usize, &Vec<i8>)| {
                let tensor = model.graph.tensor(model.graph.nodes[index].output);
                let Some(position) = position[report.layers[index].float.0] else { return [0.0; 2] };
                let values = to_nchw(values, tensor.shape);
                let pair = |(&value, &exact): (&i8, &f32)| {
                    let real =
                        f64::from(tensor.info.scale) * (f64::from(value) - f64::from(tensor.info.zero_point));
                    let (exact, noise) = (f64::from(exact), real - f64::from(exact));
                    [exact * exact, noise * noise]
                };
                values.iter().zip(&exact[position]).map(pair).fold([0.0; 2], |[a, b], [c, d]| [a + c, b + d])
            };
            Ok(found.iter().enumerate().map(energy).collect())
        })
        .try_reduce(
            || vec![[0.0; 2]; layers],
            |a, b| Ok(a.iter().zip(&b).map(|([a, b], [c, d])| [a + c, b + d]).collect()),
        )?;
    Ok(energies.iter().map(|[signal, noise]| 10.0 * (signal / noise).log10()).collect())
}
