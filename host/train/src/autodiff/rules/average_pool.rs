//! Mean over a window: every position of the output gives its gradient, divided by the number of
//! values it is the mean of, back to all of them. That is a transposed depthwise convolution with
//! ones, in both dialects: `AveragePoolGrad` of ONNX Runtime 1.19.2 crashes.

use goldcrest_engine::shape::Window;
use goldcrest_onnx::shape_inference::window_of;
use goldcrest_onnx::{Attribute, Node, Tensor};

use crate::autodiff::AutodiffError;
use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;

pub(in crate::autodiff) struct AveragePool;

impl Rule for AveragePool {
    fn op(&self) -> &'static str {
        "AveragePool"
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let x = &node.inputs[0];
        let r#type = tape.type_of(x)?;
        let (Some(channels), Some([height, width])) = (r#type.fixed(1), r#type.rows_and_columns()) else {
            return Err(AutodiffError::unsupported(node, "channels, rows and columns must be fixed"));
        };
        let window = window_of(node, None).map_err(|problem| AutodiffError::unsupported(node, problem))?;
        let Some([rows, columns]) = window.output(height, width) else {
            return Err(AutodiffError::unsupported(node, "the window does not fit the input"));
        };
        let include_padding = node.int("count_include_pad").unwrap_or(0) != 0;
        let [taps_down, taps_across] = if include_padding {
            [vec![window.kernel[0]; rows], vec![window.kernel[1]; columns]]
        } else {
            [taps(&window, 0, height, rows), taps(&window, 1, width, columns)]
        };
        let share = taps_down
            .iter()
            .flat_map(|down| taps_across.iter().map(move |across| 1.0 / (down * across) as f32))
            .collect();
        let share = tape.constant(Tensor::f32(&[1, 1, rows, columns], share));
        let share = tape.op("Mul", &[dy, &share])?;
        let ones = vec![1.0; channels * window.kernel[0] * window.kernel[1]];
        let ones = tape.constant(Tensor::f32(&[channels, 1, window.kernel[0], window.kernel[1]], ones));

        let padding = window.padding;
        let reach = |axis: usize, count: usize| (count - 1) * window.stride[axis] + window.kernel[axis];
        let rest = [
            height + padding.top + padding.bottom - reach(0, rows),
            width + padding.left + padding.right - reach(1, columns),
        ];
        let ints = |values: &[usize]| Attribute::Ints(values.iter().map(|&value| value as i64).collect());
        let dx = tape.emit(
            Node::new("ConvTranspose", &[&share, &ones], &[])
                .with("group", Attribute::Int(channels as i64))
                .with("strides", ints(&window.stride))
                .with("pads", ints(&[padding.top, padding.left, padding.bottom, padding.right]))
                .with("output_padding", ints(&rest)),
        )?;
        tape.add_gradient(x, dx)?;
        Ok(())
    }
}

/// How many values of the input each position's window covers along one axis.
fn taps(window: &Window, axis: usize, size: usize, positions: usize) -> Vec<usize> {
    let before = [window.padding.top, window.padding.left][axis];
    let first = |position: usize| position * window.stride[axis];
    let covered = |position: usize| {
        let end = (first(position) + window.kernel[axis]).min(before + size);
        end.saturating_sub(first(position).max(before)).max(1)
    };
    (0..positions).map(covered).collect()
}

#[cfg(test)]
mod tests {
    use crate::autodiff::gradient_check::GradientCheck;
    use goldcrest_onnx::{Attribute, Node};

    #[test]
    fn gradient() {
        for (kernel, strides, pads) in
            [([2, 2], [2, 2], [0, 0, 0, 0]), ([3, 2], [2, 1], [1, 0, 1, 1]), ([2, 3], [3, 2], [0, 1, 1, 1])]
        {
            for include_padding in [0, 1] {
                let node = Node::new("AveragePool", &["x"], &["y"])
                    .with("kernel_shape", Attribute::Ints(kernel.to_vec()))
                    .with("strides", Attribute::Ints(strides.to_vec()))
                    .with("pads", Attribute::Ints(pads.to_vec()))
                    .with("count_include_pad", Attribute::Int(include_padding));
                GradientCheck::of(node).input("x", &[2, 3, 7, 6]).run();
            }
        }
    }
}
