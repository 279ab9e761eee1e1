//! Means over windows and over whole images.
//!
//! An int8 file has a depthwise `QLinearConv` of ones, without bias.

use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::{Shape, Window};
use goldcrest_quantize::graph::{FloatConv, FloatOp, QuantizedOp, TensorId};
use goldcrest_quantize::operators::{FloatAveragePool, QuantizedAveragePool};

use super::{Export, Importer, Int8Node, Problem, Value, Writer, affine, conv, mul, unsupported, window};
use crate::import::{Axis, Form, Operands, View};
use crate::{Attribute, Data, Node, Tensor};

/// `AveragePool` from a file.
pub fn import(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.image(node, 0)?;
    let shape = importer.graph.tensor(view.tensor).shape;
    let mut window = window::pool(node, shape)?;
    let padded = window.padding != Default::default();
    let mut counts = !padded || node.int("count_include_pad").unwrap_or(0) != 0;
    let [rows, columns] = window::ceil_padding(node, &window, shape);
    if [rows, columns] != [0, 0] {
        if padded && counts {
            return unsupported(
                "ceil_mode cuts its last window short, and its padding counts; pad the input before it",
            );
        }
        // What rounding up reaches beyond the input never counts.
        window.padding.bottom += rows;
        window.padding.right += columns;
        counts = false;
    }
    let suffix = if counts { "" } else { "/with_padding" };
    let op = match window.dilation {
        [1, 1] => FloatOp::AveragePool(FloatAveragePool { window, count_include_pad: true }),
        // The mean of pixels apart is a depthwise convolution, which has dilations everywhere.
        _ => {
            let (channels, area) = (shape.channels, window.kernel[0] * window.kernel[1]);
            importer.spend_floats(channels * (area + 1))?;
            let weights = vec![1.0 / area as f32; channels * area];
            FloatConv { window, groups: channels, weights, bias: vec![0.0; channels] }.into()
        }
    };
    let mut output = importer.push(node, suffix, op, &[view.tensor])?;
    if !counts {
        let factors = factors(importer, node, view.tensor, window)?;
        output = mul::push(importer, node, [output, factors])?;
    }
    Ok(Value::Activation(importer.image_view(output)))
}

/// By how much a mean that counts padding falls short of one that does not: kernel area / taps inside, at
/// every position. An int8 average pool has one divisor for all positions, so this is a factor of its own: a
/// depthwise convolution over a tensor of ones, its weights such that what is left of them at a border is the
/// factor.
fn factors(
    importer: &mut Importer<'_>,
    node: &Node,
    input: TensorId,
    window: Window,
) -> Result<TensorId, Problem> {
    let Shape { height, width, channels } = importer.graph.tensor(input).shape;
    let (kernel, padding) = (window.kernel, window.padding);
    // The taps are doubles.
    importer.spend_floats(2 * (kernel[0] + kernel[1]))?;
    let taps = [
        border_taps(kernel[0], [padding.top, padding.bottom]).filter(|_| kernel[0] <= height),
        border_taps(kernel[1], [padding.left, padding.right]).filter(|_| kernel[1] <= width),
    ];
    let ([Some(rows), Some(columns)], [1, 1]) = (taps, window.dilation) else {
        return unsupported(
            "leaves its padding out, and its window reaches beyond both borders at once; set \
             count_include_pad",
        );
    };
    importer.spend_floats((rows.len() * columns.len() + 3) * channels)?;
    importer.spend_floats(rows.len() * columns.len())?;
    let each: Vec<f32> =
        rows.iter().flat_map(|row| columns.iter().map(move |column| (row * column) as f32)).collect();
    let ones = affine::push(importer, node, "/ones", input, vec![0.0; channels], vec![1.0; channels])?;
    let (weights, bias) = (each.repeat(channels), vec![0.0; channels]);
    let conv = FloatConv { window, groups: channels, weights, bias };
    importer.push(node, "/factors", conv.into(), &[ones])
}

/// Weights of one dimension whose sum is 1, and `kernel / (kernel - n)` without the first or the last `n` of
/// them, for every `n` up to the padding before or after.
fn border_taps(kernel: usize, [before, after]: [usize; 2]) -> Option<Vec<f64>> {
    let missing = |count: usize| kernel as f64 / (kernel - count) as f64;
    let mut taps = vec![0.0; kernel];
    // One tap in the middle makes up for what the others need.
    let middle = kernel.checked_sub(before + after + 1)?;
    let border = |index| missing(index) - missing(index + 1);
    taps.iter_mut().take(before).enumerate().for_each(|(index, tap)| *tap = border(index));
    taps.iter_mut().rev().take(after).enumerate().for_each(|(index, tap)| *tap = border(index));
    taps[before + middle / 2] = 1.0 - taps.iter().sum::<f64>();
    Some(taps)
}

/// `GlobalAveragePool`.
pub fn global(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.image(node, 0)?;
    let output = push_global(importer, node, view.tensor)?;
    Ok(Value::Activation(importer.image_view(output)))
}

/// A mean over rows, columns or both, wherever the layout has them.
pub fn reduce_mean(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let reduced = reduced(importer, node)?;
    let op = FloatAveragePool { window: reduced.window, count_include_pad: true };
    let output = importer.push(node, "", FloatOp::AveragePool(op), &[reduced.input])?;
    Ok(Value::Activation(reduced.view.of(output)))
}

/// A sum over rows, columns or both: so many times the mean.
pub fn reduce_sum(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let reduced = reduced(importer, node)?;
    let [rows, columns] = reduced.window.kernel;
    let op = FloatAveragePool { window: reduced.window, count_include_pad: true };
    let mean = importer.push(node, "/mean", FloatOp::AveragePool(op), &[reduced.input])?;
    let channels = importer.graph.tensor(mean).shape.channels;
    importer.spend_floats(2 * channels)?;
    let (scale, shift) = (vec![(rows * columns) as f32; channels], vec![0.0; channels]);
    let output = affine::push(importer, node, "", mean, scale, shift)?;
    Ok(Value::Activation(reduced.view.of(output)))
}

/// What a reduction reads and how its result is seen.
pub struct Reduced {
    /// The activation.
    pub input: TensorId,
    /// Its rows, its columns, or both.
    pub window: Window,
    /// The dimensions that are left, as a view of the input.
    pub view: View,
}

/// What a reduction is over: rows, columns or both.
pub fn reduced(importer: &Importer<'_>, node: &Node) -> Result<Reduced, Problem> {
    let view = importer.activation(node, 0)?;
    let axes = importer.integers(node, 1, "axes")?.filter(|axes| !axes.is_empty());
    let Some(axes) = axes else {
        return match node.int("noop_with_empty_axes").unwrap_or(0) {
            0 => unsupported("reduces over all dimensions; supported are rows and columns"),
            // ONNX Runtime fails on it.
            _ => unsupported("reduces nothing (noop_with_empty_axes); leave it out"),
        };
    };
    let Some(reduced) = axes.iter().map(|&axis| view.dimension(axis)).collect::<Option<Vec<usize>>>() else {
        return unsupported(format!("axes {axes:?} of {}", importer.describe(&view)));
    };
    if !reduced.iter().all(|&index| spatial(&view.axes[index])) {
        let found = importer.describe(&view);
        return unsupported(format!("reduces axes {axes:?} of {found}; supported are rows and columns"));
    }
    let shape = importer.graph.tensor(view.tensor).shape;
    let over = |axis: Axis| reduced.iter().any(|&index| view.axes[index].contains(&axis));
    let kernel =
        [if over(Axis::Row) { shape.height } else { 1 }, if over(Axis::Column) { shape.width } else { 1 }];
    let kept = |index: &usize| !reduced.contains(index);
    let axes: Vec<Vec<Axis>> = match node.int("keepdims").unwrap_or(1) {
        0 => (0..view.axes.len()).filter(kept).map(|index| view.axes[index].clone()).collect(),
        _ => (0..view.axes.len())
            .map(|index| if kept(&index) { view.axes[index].clone() } else { vec![] })
            .collect(),
    };
    Ok(Reduced { input: view.tensor, window: Window::new(kernel, [1, 1]), view: view.with(axes) })
}

fn push_global(importer: &mut Importer<'_>, node: &Node, input: TensorId) -> Result<TensorId, Problem> {
    let Shape { height, width, .. } = importer.graph.tensor(input).shape;
    let window = Window::new([height, width], [1, 1]);
    importer.push(
        node,
        "",
        FloatOp::AveragePool(FloatAveragePool { window, count_include_pad: true }),
        &[input],
    )
}

/// Whether axes are rows and columns only.
fn spatial(axes: &[Axis]) -> bool {
    axes.iter().all(|axis| matches!(axis, Axis::Row | Axis::Column))
}

/// As an int8 operator of another tool.
pub const FORM: Form =
    Form { op: "QLinearAveragePool", float: "AveragePool", operands: Operands::One, output: 3 };

/// `GlobalAveragePool` as an int8 operator of another tool.
pub const GLOBAL_FORM: Form =
    Form { op: "QLinearGlobalAveragePool", float: "GlobalAveragePool", operands: Operands::One, output: 3 };

/// To a float file.
pub fn export(export: &mut Export<'_>, pool: &FloatAveragePool) -> Node {
    let mut node = window::node("AveragePool", export.inputs, export.output, &pool.window)
        .with("count_include_pad", Attribute::Int(pool.count_include_pad.into()));
    // AveragePool knows dilations only since opset 19; the importer makes none.
    node.attributes.remove("dilations");
    node
}

/// What a convolution without bias of an int8 file is; `alone` says whether it leaves all channels alone.
pub fn read(
    window: Window,
    weights: &[i8],
    multipliers: &[Multiplier],
    alone: bool,
) -> Result<QuantizedOp, Problem> {
    let alike = multipliers.iter().all(|multiplier| Some(multiplier) == multipliers.first());
    if !alike || !alone || !weights.iter().all(|&weight| weight == 1) {
        return unsupported("without a bias it must be an average pool: depthwise, of ones, on one scale");
    }
    let Some(&multiplier) = multipliers.first() else { return unsupported("no channels") };
    Ok(QuantizedOp::AveragePool(QuantizedAveragePool { window, multiplier }))
}

/// To an int8 file.
pub fn write(writer: &mut Writer<'_>, node: &Int8Node, pool: &QuantizedAveragePool) {
    let ([rows, columns], channels) = (pool.window.kernel, writer.shape(node.inputs[0]).channels);
    let ones = Tensor::new(&[channels, 1, rows, columns], Data::I8(vec![1; channels * rows * columns]));
    let scales = vec![pool.multiplier.to_f64() as f32; channels];
    let (output, constants) =
        (writer.name(node.output), conv::Constants { weights: ones, scales, bias: None });
    conv::write_sums(writer, node, &output, &pool.window, channels, constants);
}

#[cfg(test)]
mod tests {
    use super::border_taps;

    #[test]
    fn what_is_left_of_the_taps_at_a_border_is_the_factor() {
        for (kernel, before, after) in [(3, 1, 1), (2, 1, 0), (5, 2, 2), (4, 2, 1), (3, 2, 0)] {
            let taps = border_taps(kernel, [before, after]).unwrap();
            let left = |range: std::ops::Range<usize>| taps[range].iter().sum::<f64>();
            for missing in 0..=before {
                let factor = kernel as f64 / (kernel - missing) as f64;
                assert!((left(missing..kernel) - factor).abs() < 1e-12, "{taps:?}");
            }
            for missing in 0..=after {
                let factor = kernel as f64 / (kernel - missing) as f64;
                assert!((left(0..kernel - missing) - factor).abs() < 1e-12, "{taps:?}");
            }
        }
        assert_eq!(border_taps(2, [1, 1]), None, "no tap is always inside");
    }
}
