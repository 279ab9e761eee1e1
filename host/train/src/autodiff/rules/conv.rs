//! Convolution over two dimensions, with stride, padding, dilation and groups.
//!
//! The training dialect takes Goldcrest's own operators ([`crate::operators`]), which are faster than ONNX
//! Runtime's.
//!
//! In standard operators, the gradient of the input is the transposed convolution of `dY` with the
//! same weights. The gradient of the weights is a convolution of the input with `dY` as the kernel:
//! batch and channels change places, stride and dilation change places. With groups, input channel
//! `g * C + c` of image `n` becomes image `c`, channel `g * N + n`, so that group `g` sums over the
//! images of its own channels.

use goldcrest_engine::shape::Window;
use goldcrest_onnx::shape_inference::window_of;
use goldcrest_onnx::{Attribute, Node};

use crate::autodiff::rule::{Positions, Rule};
use crate::autodiff::tape::Tape;
use crate::autodiff::{AutodiffError, Dialect};
use crate::operators;

pub(in crate::autodiff) struct Conv;

impl Rule for Conv {
    fn op(&self) -> &'static str {
        "Conv"
    }

    fn parameters(&self) -> Positions {
        Positions { trainable: &[1, 2], ..Positions::default() }
    }

    fn forward(&self, tape: &mut Tape, node: &Node) -> Result<(), AutodiffError> {
        match tape.dialect {
            Dialect::Training => tape.append_as(node.clone().in_domain(operators::DOMAIN), node),
            Dialect::Standard => tape.append(node.clone()),
        }
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        match tape.dialect {
            Dialect::Training => training(tape, node, dy),
            Dialect::Standard => standard(tape, node, dy),
        }
    }
}

fn training(tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
    let (x, w) = (&node.inputs[0], &node.inputs[1]);
    let mut outputs = Vec::new();
    for input in &node.inputs {
        outputs.push(if tape.wants(input) { tape.declare_gradient(input)? } else { String::new() });
    }
    let mut grad = Node::new("ConvGrad", &[dy, x, w], &[]).in_domain(operators::DOMAIN);
    grad.name = outputs.iter().find(|output| !output.is_empty()).cloned().unwrap_or_default();
    grad.attributes = node.attributes.clone();
    grad.outputs = outputs.clone();
    tape.append(grad)?;
    for (input, gradient) in node.inputs.iter().zip(outputs) {
        if tape.wants(input) {
            tape.add_gradient(input, gradient)?;
        }
    }
    Ok(())
}

fn standard(tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
    let geometry = Geometry::of(tape, node)?;
    let (x, w) = (&node.inputs[0], &node.inputs[1]);
    if tape.wants(x) {
        let dx = geometry.input_gradient(tape, dy, w)?;
        tape.add_gradient(x, dx)?;
    }
    if tape.wants(w) {
        let dw = geometry.weight_gradient(tape, dy, x)?;
        tape.add_gradient(w, dw)?;
    }
    if let Some(bias) = node.inputs.get(2).filter(|bias| tape.wants(bias)) {
        let db = tape.reduce_sum(dy, &[0, 2, 3], false)?;
        tape.add_gradient(bias, db)?;
    }
    Ok(())
}

struct Geometry {
    window: Window,
    groups: usize,
    /// Channels, rows, columns of the input.
    input: [usize; 3],
    /// Rows and columns below and to the right that no window reaches, of the padded input.
    rest: [usize; 2],
}

impl Geometry {
    fn of(tape: &Tape, node: &Node) -> Result<Self, AutodiffError> {
        let (x, w) = (tape.type_of(&node.inputs[0])?, tape.type_of(&node.inputs[1])?);
        let unfixed =
            || AutodiffError::unsupported(node, format!("channels, rows and columns of {x} must be fixed"));
        let window = window_of(node, w.rows_and_columns())
            .map_err(|problem| AutodiffError::unsupported(node, problem))?;
        let (Some(channels), Some([height, width])) = (x.fixed(1), x.rows_and_columns()) else {
            return Err(unfixed());
        };
        let output = window.output(height, width).ok_or_else(unfixed)?;
        let padding = window.padding;
        let padded = [height + padding.top + padding.bottom, width + padding.left + padding.right];
        let reached = |axis: usize| {
            (output[axis] - 1) * window.stride[axis] + (window.kernel[axis] - 1) * window.dilation[axis] + 1
        };
        let groups = node.int("group").unwrap_or(1).max(1) as usize;
        let rest = [padded[0] - reached(0), padded[1] - reached(1)];
        Ok(Self { window, groups, input: [channels, height, width], rest })
    }

    fn input_gradient(&self, tape: &mut Tape, dy: &str, w: &str) -> Result<String, AutodiffError> {
        let pads = self.pads([0, 0]);
        let node = self.node("ConvTranspose", &[dy, w], self.window.stride, self.window.dilation, &pads);
        tape.emit(node.with("output_padding", Attribute::Ints(self.rest.map(|rest| rest as i64).to_vec())))
    }

    fn weight_gradient(&self, tape: &mut Tape, dy: &str, x: &str) -> Result<String, AutodiffError> {
        let Self { window, groups, input: [channels, height, width], rest } = self;
        let images = if *groups == 1 {
            tape.transpose(x, &[1, 0, 2, 3])?
        } else {
            let (taken, rows, columns) = ((channels / groups) as i64, *height as i64, *width as i64);
            let split = tape.integers(&[-1, *groups as i64, taken, rows, columns]);
            let split = tape.op("Reshape", &[x, &split])?;
            let turned = tape.transpose(&split, &[2, 1, 0, 3, 4])?;
            let joined = tape.integers(&[taken, -1, rows, columns]);
            tape.op("Reshape", &[&turned, &joined])?
        };
        let kernels = tape.transpose(dy, &[1, 0, 2, 3])?;
        // What no window reaches must not be reached here either: take it off the padding, and cut
        // what is left of it.
        let cut = [rest[0].min(window.padding.bottom), rest[1].min(window.padding.right)];
        let surplus = [0, 1].map(|axis| (rest[axis] - cut[axis]) / window.dilation[axis]);
        let pads = self.pads(cut);
        let product =
            tape.emit(self.node("Conv", &[&images, &kernels], window.dilation, window.stride, &pads))?;
        let product = if surplus == [0, 0] {
            product
        } else {
            let (starts, axes) = (tape.integers(&[0, 0]), tape.integers(&[2, 3]));
            let ends = tape.integers(&window.kernel.map(|size| size as i64));
            tape.op("Slice", &[&product, &starts, &ends, &axes])?
        };
        tape.transpose(&product, &[1, 0, 2, 3])
    }

    fn pads(&self, cut: [usize; 2]) -> [usize; 4] {
        let padding = self.window.padding;
        [padding.top, padding.left, padding.bottom - cut[0], padding.right - cut[1]]
    }

    fn node(
        &self,
        op: &str,
        inputs: &[&str],
        stride: [usize; 2],
        dilation: [usize; 2],
        pads: &[usize],
    ) -> Node {
        let ints = |values: &[usize]| Attribute::Ints(values.iter().map(|&value| value as i64).collect());
        Node::new(op, inputs, &[])
            .with("strides", ints(&stride))
            .with("dilations", ints(&dilation))
            .with("pads", ints(pads))
            .with("group", Attribute::Int(self.groups as i64))
    }
}

#[cfg(test)]
mod tests {
    use crate::autodiff::gradient_check::GradientCheck;
    use goldcrest_onnx::{Attribute, Node};

    struct Case {
        x: [usize; 4],
        w: [usize; 4],
        groups: i64,
        strides: [i64; 2],
        pads: [i64; 4],
        dilations: [i64; 2],
    }

    fn check(case: Case) {
        let node = Node::new("Conv", &["x", "w", "b"], &["y"])
            .with("kernel_shape", Attribute::Ints(vec![case.w[2] as i64, case.w[3] as i64]))
            .with("group", Attribute::Int(case.groups))
            .with("strides", Attribute::Ints(case.strides.to_vec()))
            .with("pads", Attribute::Ints(case.pads.to_vec()))
            .with("dilations", Attribute::Ints(case.dilations.to_vec()));
        GradientCheck::of(node).input("x", &case.x).input("w", &case.w).input("b", &case.w[..1]).run();
    }

    const PLAIN: Case = Case {
        x: [2, 3, 6, 5],
        w: [4, 3, 3, 2],
        groups: 1,
        strides: [1, 1],
        pads: [0, 0, 0, 0],
        dilations: [1, 1],
    };

    #[test]
    fn gradient() {
        check(PLAIN);
    }

    #[test]
    fn gradient_with_padding() {
        check(Case { pads: [1, 0, 2, 1], ..PLAIN });
    }

    #[test]
    fn gradient_with_stride_that_leaves_a_rest() {
        check(Case { strides: [2, 2], ..PLAIN });
        check(Case { strides: [2, 3], pads: [1, 1, 1, 1], ..PLAIN });
        check(Case { strides: [3, 3], pads: [0, 0, 1, 0], ..PLAIN });
        check(Case { w: [4, 3, 1, 1], strides: [2, 2], ..PLAIN });
    }

    #[test]
    fn gradient_with_dilation() {
        check(Case { x: [2, 3, 8, 7], dilations: [2, 3], pads: [1, 1, 1, 1], ..PLAIN });
        check(Case { x: [2, 3, 8, 7], dilations: [2, 2], strides: [3, 2], ..PLAIN });
    }

    #[test]
    fn gradient_of_groups() {
        check(Case { x: [2, 4, 5, 5], w: [6, 2, 3, 3], groups: 2, pads: [1, 1, 1, 1], ..PLAIN });
    }

    #[test]
    fn gradient_of_depthwise() {
        check(Case {
            x: [3, 4, 6, 6],
            w: [4, 1, 3, 3],
            groups: 4,
            strides: [2, 2],
            pads: [1, 1, 1, 1],
            ..PLAIN
        });
        check(Case { x: [3, 2, 6, 6], w: [4, 1, 3, 3], groups: 2, ..PLAIN });
    }
}
