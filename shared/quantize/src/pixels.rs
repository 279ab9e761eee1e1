//! Pixels without rounding: the normalization moves into the first convolution, so that the int8 input is the
//! pixel minus 128, exactly. Without it, normalized pixels are rounded once more, on a grid that fits them by
//! chance only (with mean and deviation 0.5 every pixel lies on a tie).

use super::graph::{FloatConv, FloatGraph, ModelInfo};
use goldcrest_engine::shape::Padding;

/// The pixel that becomes 0.
const ZERO: f64 = 128.0 / 255.0;
/// The deviation that the input keeps: its scale is `1 / (255 * DEVIATION)`.
const DEVIATION: f32 = 0.5;
/// Padding is 0, so it becomes pixel 128 where it was the mean: as long as these are this near, in `0..=1`.
const NEAR: f64 = 0.51 / 255.0;

/// Moves the normalization into the convolutions that read the image. Nothing changes when something else
/// reads it, or when padding would come to stand for another pixel than before.
pub fn exact_pixels(graph: &mut FloatGraph, info: &mut ModelInfo) {
    let normalization = &info.normalization;
    let near = normalization.mean.iter().all(|&mean| (f64::from(mean) - ZERO).abs() <= NEAR);
    let input = graph.input;
    let takes = |conv: &FloatConv| conv.groups == 1 && (near || conv.window.padding == Padding::default());
    let readers = || graph.nodes.iter().filter(|node| node.inputs.contains(&input));
    if readers().any(|node| !node.op.conv().is_some_and(takes)) {
        return;
    }
    let channels = normalization.mean.len();
    for node in graph.nodes.iter_mut().filter(|node| node.inputs.contains(&input)) {
        let Some(conv) = node.op.conv_mut() else { continue };
        let each = conv.weights.len() / conv.bias.len();
        for (row, bias) in conv.weights.chunks_exact_mut(each).zip(&mut conv.bias) {
            let mut shift = 0.0;
            for (position, weight) in row.iter_mut().enumerate() {
                let channel = position % channels;
                let (mean, std) = (normalization.mean[channel], normalization.std[channel]);
                shift += f64::from(*weight) * (ZERO - f64::from(mean)) / f64::from(std);
                *weight *= DEVIATION / std;
            }
            *bias = (f64::from(*bias) + shift) as f32;
        }
    }
    info.normalization.mean.fill(ZERO as f32);
    info.normalization.std.fill(DEVIATION);
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::super::graph::{Node, Normalization, Tensor, TensorId};
    use super::*;
    use goldcrest_engine::shape::{Shape, Window};

    fn network(padding: Padding, mean: f32, std: f32) -> (FloatGraph, ModelInfo) {
        let tensor = |name: &str, shape| Tensor { name: name.into(), shape, info: () };
        let window = Window { padding, ..Window::new([1, 2], [1, 1]) };
        let conv = FloatConv { window, groups: 1, weights: vec![2.0, -1.0, 0.5, 3.0], bias: vec![0.25] };
        let node = Node { name: "y".into(), op: conv.into(), inputs: vec![TensorId(0)], output: TensorId(1) };
        let graph = FloatGraph {
            name: "test".into(),
            tensors: vec![tensor("x", Shape::new(1, 2, 2)), tensor("y", Shape::new(1, 1, 1))],
            nodes: vec![node],
            input: TensorId(0),
            output: TensorId(1),
        };
        let normalization = Normalization { mean: vec![mean, 0.4], std: vec![std, 0.2] };
        (graph, ModelInfo { labels: vec!["only".into()], normalization, preprocessing: Default::default() })
    }

    fn output(graph: &FloatGraph, info: &ModelInfo, pixels: [u8; 4]) -> f64 {
        let Some(conv) = graph.nodes[0].op.conv() else { panic!() };
        let real = |(index, &pixel): (usize, &u8)| info.normalization.real(index % 2, pixel);
        let inputs: Vec<f64> = pixels.iter().enumerate().map(real).collect();
        f64::from(conv.bias[0])
            + inputs.iter().zip(&conv.weights).map(|(x, &w)| x * f64::from(w)).sum::<f64>()
    }

    #[test]
    fn the_function_stays_and_pixels_become_exact() {
        let (graph, info) = network(Padding::default(), 0.5, 0.25);
        let (mut moved, mut exact) = (graph.clone(), info.clone());
        exact_pixels(&mut moved, &mut exact);
        assert_eq!((exact.normalization.mean[1], exact.normalization.std[0]), (ZERO as f32, DEVIATION));
        for pixels in [[0, 255, 7, 200], [128, 128, 128, 128], [255, 0, 1, 2]] {
            let (before, after) = (output(&graph, &info, pixels), output(&moved, &exact, pixels));
            assert!((before - after).abs() < 1e-5, "{pixels:?}: {before}, {after}");
        }
    }

    #[test]
    fn padding_must_stay_the_same_pixel() {
        let (graph, info) = network(Padding { left: 1, ..Padding::default() }, 0.5, 0.5);
        let (mut moved, mut same) = (graph.clone(), info.clone());
        exact_pixels(&mut moved, &mut same);
        assert_eq!((moved, same), (graph, info), "the second channel's mean is far from pixel 128");
    }
}
