//! Few images seen more often: mirrored, and moved a little. A fully connected layer sees one sample per
//! image, so 500 images say little of 400 weights; the same images, mirrored and moved, say more.

use goldcrest_data::Split;
use goldcrest_quantize::FloatGraph;
use goldcrest_quantize::graph::FloatOp;

use super::learn::POSITIONS;

/// Samples that learning wants of each input value of a layer.
const SAMPLES: usize = 10;
/// The ways to see an image: mirrored or not, moved by rows and columns.
const VARIANTS: [(bool, [i8; 2]); 9] = [
    (false, [0, 0]),
    (true, [0, 0]),
    (false, [2, 2]),
    (true, [2, -2]),
    (false, [-2, 2]),
    (true, [-2, -2]),
    (false, [2, -2]),
    (true, [2, 2]),
    (false, [-2, -2]),
];

/// How many variants of each image the layer with the fewest samples per input value needs.
pub fn needed(graph: &FloatGraph, images: usize) -> usize {
    let need = |node: &goldcrest_quantize::graph::Node<FloatOp>| {
        let Some(conv) = node.op.conv() else { return 1 };
        let shape = graph.tensor(node.output).shape;
        let taps = conv.weights.len() / conv.bias.len().max(1);
        (SAMPLES * taps).div_ceil(images.max(1) * POSITIONS.min(shape.height * shape.width).max(1))
    };
    graph.nodes.iter().map(need).max().unwrap_or(1).clamp(1, VARIANTS.len())
}

/// The first `count` variants of each image; pixels moved in from outside repeat the edge.
pub fn varied(images: &Split, count: usize) -> Split {
    if count == 1 {
        return images.clone();
    }
    let shape = images.shape();
    let mut pixels = Vec::with_capacity(count * images.pixels().len());
    let mut labels = Vec::with_capacity(count * images.len());
    let moved = |at: usize, by: i8, size: usize| at.saturating_add_signed(by.into()).min(size - 1);
    for index in 0..images.len() {
        let image = images.image(index);
        for &(mirrored, [rows, columns]) in &VARIANTS[..count] {
            for y in 0..shape.height {
                for x in 0..shape.width {
                    let (y, x) = (moved(y, rows, shape.height), moved(x, columns, shape.width));
                    let x = if mirrored { shape.width - 1 - x } else { x };
                    pixels.extend(&image[(y * shape.width + x) * shape.channels..][..shape.channels]);
                }
            }
            labels.push(images.labels()[index]);
        }
    }
    Split::new(shape, pixels, labels)
}

#[cfg(test)]
mod tests {
    use goldcrest_engine::shape::Shape;

    use super::*;

    #[test]
    fn images_are_mirrored_and_moved() {
        let image: Vec<u8> = (0..12).collect();
        let images = Split::new(Shape::new(3, 4, 1), image.clone(), vec![5]);
        let seen = varied(&images, 3);
        assert_eq!((seen.len(), seen.labels()), (3, &[5, 5, 5][..]));
        assert_eq!(seen.image(0), image);
        assert_eq!(seen.image(1), [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8]);
        assert_eq!(seen.image(2), [10, 11, 11, 11, 10, 11, 11, 11, 10, 11, 11, 11]);
    }

    #[test]
    fn fully_connected_layers_need_more_than_convolutions() {
        let (mut graph, _) =
            goldcrest_onnx::import::float_model(&goldcrest_onnx::samples::every_operator()).unwrap();
        assert_eq!(needed(&graph, 10), VARIANTS.len());
        assert_eq!(needed(&graph, 1_000_000), 1);
        graph.nodes.clear();
        assert_eq!(needed(&graph, 10), 1);
    }
}
