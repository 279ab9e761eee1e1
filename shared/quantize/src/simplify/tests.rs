//! Simplification keeps the function: checked through what the folded weights are.

use alloc::{string::ToString, vec, vec::Vec};

use super::super::graph::{Activation, FloatConv, FloatGraph, FloatOp, Node, Tensor, TensorId};
use super::super::infer::Infer;
use super::super::operators::{MaxPool, Pad};
use super::simplify;
use goldcrest_engine::shape::{Padding, Shape, Window};

/// A graph from operators and the tensors they read; tensor 0 is the input, node `i` writes `i + 1`.
fn graph(input: Shape, nodes: Vec<(FloatOp, Vec<usize>)>) -> FloatGraph {
    let mut tensors = vec![Tensor { name: "input".into(), shape: input, info: () }];
    let mut built = Vec::new();
    for (index, (op, inputs)) in nodes.into_iter().enumerate() {
        let shapes: Vec<Shape> = inputs.iter().map(|&id| tensors[id].shape).collect();
        let shape = op.output_shape(&shapes).unwrap();
        let name = (index + 1).to_string();
        tensors.push(Tensor { name: name.clone(), shape, info: () });
        let inputs = inputs.into_iter().map(TensorId).collect();
        built.push(Node { name, op, inputs, output: TensorId(index + 1) });
    }
    let output = TensorId(tensors.len() - 1);
    FloatGraph { name: "test".into(), tensors, nodes: built, input: TensorId(0), output }
}

fn affine(scale: &[f32], shift: &[f32]) -> FloatOp {
    let window = Window::new([1, 1], [1, 1]);
    FloatOp::Conv(FloatConv { window, groups: scale.len(), weights: scale.into(), bias: shift.into() })
}

fn conv(padding: usize, weights: &[f32], bias: &[f32]) -> FloatOp {
    let padding = Padding { top: padding, left: 0, bottom: padding, right: 0 };
    let window = Window { padding, ..Window::new([2, 1], [1, 1]) };
    FloatOp::Conv(FloatConv { window, groups: 1, weights: weights.into(), bias: bias.into() })
}

fn only_conv(graph: &FloatGraph) -> &FloatConv {
    match &*graph.nodes {
        [Node { op: FloatOp::Conv(conv), .. }] => conv,
        nodes => panic!("{nodes:?}"),
    }
}

#[test]
fn scale_and_shift_move_into_the_convolution_before() {
    let nodes =
        vec![(conv(1, &[1., 2., 3., 4.], &[5., 6.]), vec![0]), (affine(&[2., -1.], &[10., 20.]), vec![1])];
    let simple = simplify(graph(Shape::new(4, 1, 1), nodes));
    let conv = only_conv(&simple);
    assert_eq!((&*conv.weights, &*conv.bias), (&[2., 4., -3., -4.][..], &[20., 14.][..]));
    assert_eq!(simple.tensor(simple.output).name, "2", "the later name stays");
}

#[test]
fn scale_and_shift_move_into_the_convolution_behind_only_where_padding_allows() {
    let shifted = |padding| {
        let conv = conv(padding, &[1., 2., 3., 4.], &[5.]);
        simplify(graph(
            Shape::new(4, 1, 2),
            vec![(affine(&[2., 3.], &[10., 100.]), vec![0]), (conv, vec![1])],
        ))
    };
    let simple = shifted(0);
    let folded = only_conv(&simple);
    assert_eq!(folded.weights, [2., 6., 6., 12.]);
    assert_eq!(folded.bias, [5. + 10. + 200. + 30. + 400.]);
    assert_eq!(shifted(1).nodes.len(), 2);
}

#[test]
fn a_tensor_that_others_read_keeps_its_value() {
    let nodes = vec![
        (conv(0, &[1., 2.], &[0.]), vec![0]),
        (affine(&[2.], &[1.]), vec![1]),
        (FloatOp::Add, vec![1, 2]),
    ];
    assert_eq!(simplify(graph(Shape::new(4, 1, 1), nodes)).nodes.len(), 3);
}

#[test]
fn padding_moves_into_convolutions_but_not_into_maxima() {
    let pad = FloatOp::Pad(Pad { padding: Padding { top: 1, left: 0, bottom: 0, right: 0 } });
    let input = Shape::new(4, 1, 1);
    let merged = simplify(graph(input, vec![(pad.clone(), vec![0]), (conv(0, &[1., 2.], &[0.]), vec![1])]));
    assert_eq!(only_conv(&merged).window.padding, Padding { top: 1, ..Default::default() });
    let window = Window::new([2, 1], [1, 1]);
    let kept =
        simplify(graph(input, vec![(pad.clone(), vec![0]), (FloatOp::MaxPool(MaxPool { window }), vec![1])]));
    assert_eq!(kept.nodes.len(), 2);
    // Padding as large as the kernel would make outputs that see nothing but zeros.
    let wide = FloatOp::Pad(Pad { padding: Padding { top: 2, left: 0, bottom: 0, right: 0 } });
    assert_eq!(
        simplify(graph(input, vec![(wide, vec![0]), (conv(0, &[1., 2.], &[0.]), vec![1])])).nodes.len(),
        2
    );
}

#[test]
fn written_out_activations_become_one_node() {
    let relu6 = || FloatOp::Activation(Activation::Clip { low: 0.0, high: 6.0 });
    let input = Shape::new(2, 2, 2);
    let sixth = || affine(&[1.0 / 6.0; 2], &[0.0; 2]);
    let three = || affine(&[1.0; 2], &[3.0; 2]);
    let cases = [
        (
            vec![(three(), vec![0]), (relu6(), vec![1]), (FloatOp::Mul, vec![0, 2]), (sixth(), vec![3])],
            Activation::HardSwish,
        ),
        (
            vec![(three(), vec![0]), (relu6(), vec![1]), (sixth(), vec![2]), (FloatOp::Mul, vec![3, 0])],
            Activation::HardSwish,
        ),
        (
            vec![(FloatOp::Activation(Activation::Sigmoid), vec![0]), (FloatOp::Mul, vec![0, 1])],
            Activation::Silu,
        ),
    ];
    for (nodes, wanted) in cases {
        let simple = simplify(graph(input, nodes));
        assert_eq!(simple.nodes.len(), 1, "{wanted:?}");
        assert_eq!(simple.nodes[0].op, FloatOp::Activation(wanted));
        assert_eq!(simple.nodes[0].inputs, [simple.input]);
    }
    // Another shift is not a HardSwish.
    let other = affine(&[1.0; 2], &[2.0; 2]);
    let nodes = vec![(other, vec![0]), (relu6(), vec![1]), (FloatOp::Mul, vec![0, 2]), (sixth(), vec![3])];
    assert_eq!(simplify(graph(input, nodes)).nodes.len(), 4);
}

#[test]
fn dead_nodes_and_their_tensors_go() {
    let relu = || FloatOp::Activation(Activation::Relu);
    let simple = simplify(graph(Shape::new(1, 1, 1), vec![(relu(), vec![0]), (relu(), vec![0])]));
    assert_eq!((simple.nodes.len(), simple.tensors.len()), (1, 2));
    assert_eq!(simple.tensor(simple.output).name, "2");
}
