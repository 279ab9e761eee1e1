//! `Conv` over rows and columns: any kernel, stride, dilation, padding and groups.
//!
//! An int8 file has `QLinearConv` with `x_scale = y_scale = 1`, `w_scale = k / 2^16` per channel [, `Clip`].

use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::Window;
use goldcrest_quantize::graph::{Clamp, FloatConv, QuantizedConv, QuantizedOp};

use super::{
    Export, Held, Importer, Int8Node, Problem, Reader, Value, Writer, arithmetic, average_pool, dense,
    unsupported, window,
};
use crate::import::{Form, Operands};
use crate::{Attribute, Data, Node, Tensor};

/// From a file.
pub fn import(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let weights = importer.weights(node, 1)?;
    let &[outputs, depth, rows, columns] = weights.shape() else {
        return unsupported(format!("weights of shape {:?}; supported are four dimensions", weights.shape()));
    };
    let bias = importer.floats(node, 2)?;
    if let Some(found) = bias.as_ref().map(|bias| bias.data.len()).filter(|&found| found != outputs) {
        return unsupported(format!("{found} biases for {outputs} outputs"));
    }
    importer.spend_floats(outputs)?;
    let bias = match bias.as_ref().and_then(|bias| bias.as_f32()) {
        Some(values) => values.to_vec(),
        None => vec![0.0; outputs],
    };
    let view = importer.activation(node, 0)?;
    let flattened =
        view.axes.len() == 4 && view.axes[1].len() > 1 && view.axes[2..].iter().all(Vec::is_empty);
    if flattened && [rows, columns] == [1, 1] && node.int("group").unwrap_or(1) == 1 {
        // A fully connected layer written as a 1x1 convolution over a flattened activation.
        let mut output = dense::push(importer, node, &view, 1, [outputs, depth], bias, |output, input| {
            weights.at(output * depth + input)
        })?;
        output.axes.extend([vec![], vec![]]);
        return Ok(Value::Activation(output));
    }
    let view = importer.image(node, 0)?;
    let shape = importer.graph.tensor(view.tensor).shape;
    let window = window::over(node, [rows, columns], shape)?;
    let groups = usize::try_from(node.int("group").unwrap_or(1)).unwrap_or(0);
    importer.spend_floats(outputs * depth * rows * columns)?;
    let weights = ohwi(|index| weights.at(index), [outputs, depth, rows * columns]);
    let conv = FloatConv { window, groups, weights, bias };
    let output = importer.push(node, "", conv.into(), &[view.tensor])?;
    Ok(Value::Activation(importer.image_view(output)))
}

/// OIHW to OHWI.
fn ohwi<T>(weight: impl Fn(usize) -> T, [outputs, depth, area]: [usize; 3]) -> Vec<T> {
    let mut turned = Vec::with_capacity(outputs * area * depth);
    for output in 0..outputs {
        for tap in 0..area {
            turned.extend((0..depth).map(|input| weight((output * depth + input) * area + tap)));
        }
    }
    turned
}

/// OHWI to OIHW.
pub fn oihw<T: Copy>(weights: &[T], outputs: usize, area: usize, depth: usize) -> Vec<T> {
    let at = |output: usize, input: usize, tap: usize| weights[(output * area + tap) * depth + input];
    (0..outputs)
        .flat_map(|output| (0..depth).flat_map(move |input| (0..area).map(move |tap| at(output, input, tap))))
        .collect()
}

/// As an int8 operator of another tool.
pub const FORM: Form = Form {
    op: "QLinearConv",
    float: "Conv",
    operands: Operands::Weights { axis: |_| 0, bias: Some((8, |_| 1.0)) },
    output: 6,
};

/// To a float file.
pub fn export(export: &mut Export<'_>, conv: &FloatConv) -> Node {
    let [rows, columns] = conv.window.kernel;
    let depth = conv.weights.len() / (conv.bias.len() * rows * columns);
    let turned = oihw(&conv.weights, conv.bias.len(), rows * columns, depth);
    let weights = Tensor::f32(&[conv.bias.len(), depth, rows, columns], turned);
    let weights = export.constant("/weights", weights);
    let bias = export.constant("/bias", Tensor::f32(&[conv.bias.len()], conv.bias.clone()));
    window::node("Conv", &[export.inputs[0], &weights, &bias], export.output, &conv.window)
        .with("group", Attribute::Int(conv.groups as i64))
}

/// From an int8 file: a convolution, or an average pool.
pub fn read<'a>(reader: &mut Reader<'a>, node: &'a Node, output: &str) -> Result<Held, Problem> {
    let input = reader.input(node, 0)?;
    reader.expect_zero_point(node, 2, input)?;
    if reader.floats(node, 1)? != [1.0] || reader.floats(node, 6)? != [1.0] {
        return unsupported("x_scale and y_scale must be 1: the multipliers are in w_scale");
    }
    let weights = reader.constant(node, 3)?;
    let (&[outputs, depth, rows, columns], Data::I8(values)) = (&*weights.shape, &weights.data) else {
        return unsupported("weights must be int8 in four dimensions");
    };
    let window = window::written(node)?;
    if window.kernel != [rows, columns] {
        return unsupported(format!("kernel_shape {:?} differs from its weights'", window.kernel));
    }
    reader.spend(values.len() + 8 * outputs)?;
    let scales = reader.floats(node, 4)?;
    let zeros = reader.constant(node, 5)?;
    if scales.len() != outputs || !matches!(&zeros.data, Data::I8(zeros) if zeros.iter().all(|&z| z == 0)) {
        return unsupported("weights need one scale per output channel and zero points of 0");
    }
    let multipliers: Vec<Multiplier> =
        scales.iter().map(|&scale| arithmetic::read_multiplier(scale)).collect::<Result<_, _>>()?;
    let groups = usize::try_from(node.int("group").unwrap_or(1)).unwrap_or(0);
    let op = match node.inputs.len() {
        8 => {
            let channels = reader.graph.tensor(input).shape.channels;
            let alone = [outputs, depth, groups] == [channels, 1, channels];
            average_pool::read(window, values, &multipliers, alone)?
        }
        _ => {
            let bias = reader.constant(node, 8)?;
            let Data::I32(bias) = &bias.data else { return unsupported("its bias must be int32") };
            if bias.len() != outputs {
                return unsupported(format!("{} biases for {outputs} output channels", bias.len()));
            }
            QuantizedOp::Conv(QuantizedConv {
                window,
                groups,
                weights: ohwi(|index| values[index], [outputs, depth, rows * columns]),
                bias: bias.clone(),
                multipliers,
                clamp: Clamp::NONE,
            })
        }
    };
    let value = reader.push(output, op, vec![input])?;
    reader.expect_zero_point(node, 7, reader.last())?;
    Ok(value)
}

/// To an int8 file.
pub fn write(writer: &mut Writer<'_>, node: &Int8Node, conv: &QuantizedConv) {
    let (outputs, [rows, columns]) = (conv.bias.len(), conv.window.kernel);
    let depth = writer.shape(node.inputs[0]).channels / conv.groups;
    let weights = oihw(&conv.weights, outputs, rows * columns, depth);
    let weights = Tensor::new(&[outputs, depth, rows, columns], Data::I8(weights));
    let scales = conv.multipliers.iter().map(|multiplier| multiplier.to_f64() as f32).collect();
    let bias = Tensor::new(&[outputs], Data::I32(conv.bias.clone()));
    let constants = Constants { weights, scales, bias: Some(bias) };
    writer.clamped(node.output, conv.clamp, |writer, output| {
        write_sums(writer, node, output, &conv.window, conv.groups, constants);
    });
}

/// Constants of a `QLinearConv`.
pub struct Constants {
    /// OIHW, int8.
    pub weights: Tensor,
    /// One per output channel.
    pub scales: Vec<f32>,
    /// One per output channel, int32.
    pub bias: Option<Tensor>,
}

/// Writes a `QLinearConv`.
pub fn write_sums(
    writer: &mut Writer<'_>,
    node: &Int8Node,
    output: &str,
    window: &Window,
    groups: usize,
    Constants { weights, scales, bias }: Constants,
) {
    let channels = scales.len();
    let one = writer.constant("goldcrest/one".into(), Tensor::f32(&[], vec![1.0]));
    let input_zero = writer.zero_point(node.inputs[0]);
    let output_zero = writer.zero_point(node.output);
    let weights = writer.constant(format!("{output}/weights"), weights);
    let scales = writer.constant(format!("{output}/multipliers"), Tensor::f32(&[channels], scales));
    let zeros = Tensor::new(&[channels], Data::I8(vec![0; channels]));
    let zeros = writer.constant(format!("{output}/weights_zero"), zeros);
    let input = writer.name(node.inputs[0]);
    let mut inputs = vec![&*input, &one, &input_zero, &weights, &scales, &zeros, &one, &output_zero];
    let bias = bias.map(|bias| writer.constant(format!("{output}/bias"), bias));
    inputs.extend(bias.as_deref());
    let conv =
        window::node("QLinearConv", &inputs, output, window).with("group", Attribute::Int(groups as i64));
    writer.push(conv);
}
