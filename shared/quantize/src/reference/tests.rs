//! Operators against values worked out by hand and against their ONNX form.

use super::super::graph::QuantizedConv;
use super::super::operators::{MaxPool, Pad, QuantizedAdd, QuantizedAveragePool, QuantizedMul};
use super::*;
use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::Padding;
use proptest::prelude::*;

/// One node over inputs of the given shapes, zero points and values.
fn apply(op: QuantizedOp, inputs: &[(Shape, i8, &[i8])], output: (Shape, i8)) -> Vec<i8> {
    let tensor = |index: usize, shape, zero_point| Tensor {
        name: alloc::format!("{index}"),
        shape,
        info: Quantization { scale: 1.0, zero_point },
    };
    let mut tensors: Vec<_> =
        inputs.iter().enumerate().map(|(index, &(shape, zp, _))| tensor(index, shape, zp)).collect();
    tensors.push(tensor(inputs.len(), output.0, output.1));
    let ids = (0..inputs.len()).map(TensorId).collect();
    let node = Node { name: "node".into(), op, inputs: ids, output: TensorId(inputs.len()) };
    let graph = QuantizedGraph {
        name: "test".into(),
        tensors,
        nodes: vec![node],
        input: TensorId(0),
        output: TensorId(inputs.len()),
    };
    let values: Vec<&[i8]> = inputs.iter().map(|&(_, _, values)| values).collect();
    run_node(&graph, &graph.nodes[0], &values)
}

fn k(k: u32) -> Multiplier {
    Multiplier::new(k).unwrap()
}

#[test]
fn convolution_pads_with_the_zero_point_and_keeps_groups_apart() {
    let conv = QuantizedConv {
        window: Window {
            padding: Padding { top: 1, left: 0, bottom: 0, right: 0 },
            ..Window::new([2, 1], [1, 1])
        },
        groups: 2,
        weights: vec![1, 2, 3, 4],
        bias: vec![10, -10],
        multipliers: vec![k(65536), k(32768)],
        clamp: Clamp { low: -5, high: 20 },
    };
    // Rows (x - zx), channels apart: channel 0 is 2, 4; channel 1 is 6, -8.
    let got =
        apply(QuantizedOp::Conv(conv), &[(Shape::new(2, 1, 2), 1, &[3, 7, 5, -7])], (Shape::new(2, 1, 2), 3));
    // Row 0: 10 + 2*2 = 14 -> 17; (-10 + 4*6)/2 = 7 -> 10.
    // Row 1: 10 + 1*2 + 2*4 = 20 -> 23, clamped to 20; (-10 + 3*6 + 4*-8)/2 = -12 -> -9, clamped to -5.
    assert_eq!(got, [17, 10, 20, -5]);
}

#[test]
fn pools_ignore_padding_and_round_half_to_even() {
    let padding = Padding { top: 0, left: 1, bottom: 0, right: 0 };
    let window = Window { padding, ..Window::new([1, 2], [1, 2]) };
    let input: (Shape, i8, &[i8]) = (Shape::new(1, 3, 1), -100, &[-120, -97, -96]);
    let output = (Shape::new(1, 2, 1), -100);
    assert_eq!(apply(QuantizedOp::MaxPool(MaxPool { window }), &[input], output), [-120, -96]);
    // (-20 + 0) / 2 = -10; (3 + 4) / 2 = 3.5 -> 4.
    let average = QuantizedOp::AveragePool(QuantizedAveragePool { window, multiplier: k(32768) });
    assert_eq!(apply(average, &[input], output), [-110, -96]);
}

#[test]
fn operators_that_move_values_put_them_where_onnx_does() {
    let shape = Shape::new(1, 1, 2);
    let joined =
        apply(QuantizedOp::Concat, &[(shape, 0, &[1, 2]), (shape, 0, &[3, 4])], (Shape::new(1, 1, 4), 0));
    assert_eq!(joined, [1, 2, 3, 4]);
    let pad = QuantizedOp::Pad(Pad { padding: Padding { top: 0, left: 1, bottom: 1, right: 0 } });
    assert_eq!(apply(pad, &[(shape, 9, &[1, 2])], (Shape::new(2, 2, 2), 9)), [9, 9, 1, 2, 9, 9, 9, 9]);
    let up =
        apply(QuantizedOp::UpsampleNearest2, &[(Shape::new(1, 2, 1), 0, &[1, 2])], (Shape::new(2, 4, 1), 0));
    assert_eq!(up, [1, 1, 2, 2, 1, 1, 2, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    /// `DequantizeLinear, Add, QuantizeLinear` and `..., Mul, ...` in binary32.
    #[test]
    fn elementwise_operators_equal_their_onnx_form(
        [a, b, za, zb, zy]: [i8; 5],
        ka in 1u32..=QuantizedOp::ELEMENTWISE_LIMIT,
        kb in 1u32..=QuantizedOp::ELEMENTWISE_LIMIT,
    ) {
        let shape = Shape::new(1, 1, 1);
        let real = |x: i8, zero: i8, k: u32| (i32::from(x) - i32::from(zero)) as f32 * (k as f32 / 65536.0);
        let quantized = |y: f32| (y.round_ties_even() + f32::from(zy)).clamp(-128.0, 127.0) as i8;
        let inputs: [(Shape, i8, &[i8]); 2] = [(shape, za, &[a]), (shape, zb, &[b])];
        let add = QuantizedOp::Add(QuantizedAdd { multipliers: [k(ka), k(kb)], clamp: Clamp::NONE });
        prop_assert_eq!(apply(add, &inputs, (shape, zy))[0], quantized(real(a, za, ka) + real(b, zb, kb)));
        let mul = QuantizedOp::Mul(QuantizedMul { multiplier: k(ka) });
        prop_assert_eq!(apply(mul, &inputs, (shape, zy))[0], quantized(real(a, za, ka) * real(b, zb, 65536)));
    }
}
