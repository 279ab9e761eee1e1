//! `scale * x + shift` with one pair per channel: what BatchNormalization and arithmetic with constants
//! amount to. It enters the graph as a 1x1 depthwise convolution, which the simplifier merges
//! into a convolution next to it.

use goldcrest_engine::shape::Window;
use goldcrest_quantize::graph::{FloatConv, TensorId};

use super::{Importer, Problem, Value, unsupported};
use crate::import::{Axis, Factors, View};
use crate::{Node, Tensor};

/// Adds `scale * x + shift` to the graph, whose memory was [spent](Importer::spend).
pub fn push(
    importer: &mut Importer<'_>,
    node: &Node,
    suffix: &str,
    input: TensorId,
    scale: Vec<f32>,
    shift: Vec<f32>,
) -> Result<TensorId, Problem> {
    let window = Window::new([1, 1], [1, 1]);
    let conv = FloatConv { window, groups: scale.len(), weights: scale, bias: shift };
    importer.push(node, suffix, conv.into(), &[input])
}

/// The values of a constant that is broadcast along channels only, one per channel of the view. Spends the
/// memory of a scale and a shift.
pub fn per_channel(importer: &Importer<'_>, view: &View, constant: &Tensor) -> Result<Vec<f32>, Problem> {
    let channels = importer.graph.tensor(view.tensor).shape.channels;
    let Some(values) = constant.as_f32() else { return unsupported("its constant must be float") };
    importer.spend_floats(2 * channels)?;
    if let [value] = values {
        return Ok(vec![*value; channels]);
    }
    let found = format!("{:?}", constant.shape);
    let problem = || {
        Problem(format!(
            "constant of shape {found} on {}: one per channel is supported",
            importer.describe(view)
        ))
    };
    let lead = view.axes.len().checked_sub(constant.shape.len()).ok_or_else(problem)?;
    let fits = view.axes[lead..].iter().zip(&constant.shape).all(|(axes, &size)| match &**axes {
        [Axis::Channel] => size == 1 || size == channels,
        _ => size == 1,
    });
    match fits && values.len() == channels {
        true => Ok(values.to_vec()),
        false => Err(problem()),
    }
}

/// The values of a constant that stands for one factor or offset per channel of a view, or, where the
/// channels were flattened with rows and columns, per element of that dimension. Spends the memory of a
/// scale and a shift.
pub fn spread(
    importer: &Importer<'_>,
    node: &Node,
    index: usize,
    view: &View,
    constant: &Tensor,
) -> Result<Vec<f32>, Problem> {
    let Some(elements) = flattened(importer, view) else { return per_channel(importer, view, constant) };
    let Some(values) = constant.as_f32() else { return unsupported("its constant must be float") };
    let scaled = importer.factors(node, index).is_some();
    if values.len() == 1 && !scaled {
        return per_channel(importer, view, constant);
    }
    importer.spend_floats(2 * elements)?;
    match values {
        [value] => Ok(vec![*value; elements]),
        _ if values.len() == elements && constant.shape.last() == Some(&elements) => Ok(values.to_vec()),
        _ => unsupported(format!(
            "constant of shape {:?} on {}: one number or one per element is supported",
            constant.shape,
            importer.describe(view)
        )),
    }
}

/// Elements of the last dimension of a view where it is all of an image, flattened, behind the batch.
pub fn flattened(importer: &Importer<'_>, view: &View) -> Option<usize> {
    let (last, lead) = view.axes.split_last()?;
    let shape = importer.graph.tensor(view.tensor).shape;
    let batch = |axes: &Vec<Axis>| axes.iter().all(|&axis| axis == Axis::Batch);
    let whole = last.len() > 1 && lead.iter().all(batch) && !last.contains(&Axis::Batch);
    let size: usize = last.iter().map(|axis| axis.size(shape, importer.batch)).product();
    (whole && size == shape.len()).then_some(size)
}

/// `scale * x + shift`, per channel or per element of a flattened dimension. The latter waits for the
/// operator behind it: a fully connected layer takes it into its weights.
pub fn apply(
    importer: &mut Importer<'_>,
    node: &Node,
    index: usize,
    view: &View,
    scale: Vec<f32>,
    shift: Vec<f32>,
) -> Result<Value, Problem> {
    if scale.len() == importer.graph.tensor(view.tensor).shape.channels {
        let output = push(importer, node, "", view.tensor, scale, shift)?;
        return Ok(Value::Activation(view.of(output)));
    }
    let (mut scale, mut shift) = (scale, shift);
    if let Some(before) = importer.factors(node, index) {
        let pairs = before.scale.iter().zip(&before.shift);
        for ((scale, shift), (&factor, &offset)) in scale.iter_mut().zip(&mut shift).zip(pairs) {
            *shift += *scale * offset;
            *scale *= factor;
        }
    }
    Ok(Value::Scaled(view.clone(), Factors { scale, shift }))
}

/// `scale * x + shift` for every element of a flattened dimension, as a convolution over all of the image
/// that makes one channel of each element.
pub fn flat(
    importer: &mut Importer<'_>,
    name: &str,
    view: &View,
    factors: &Factors,
) -> Result<View, Problem> {
    let shape = importer.graph.tensor(view.tensor).shape;
    let (area, channels) = (shape.height * shape.width, shape.channels);
    let Some((last, lead)) = view.axes.split_last() else { return unsupported("has no dimensions") };
    let channels_first = [Axis::Channel, Axis::Row, Axis::Column];
    if !last.iter().eq(channels_first.iter().filter(|axis| last.contains(axis))) {
        return unsupported(format!(
            "scales each element of {}, flattened with its channels last; supported are channels first, or \
             a fully connected layer right behind it",
            importer.describe(view)
        ));
    }
    importer.spend_floats(channels * area * area)?;
    importer.spend_floats(channels * area)?;
    let mut weights = vec![0.0; channels * area * area];
    for (element, &scale) in factors.scale.iter().enumerate() {
        weights[element * area + element % area] = scale;
    }
    let window = Window::new([shape.height, shape.width], [1, 1]);
    let conv = FloatConv { window, groups: channels, weights, bias: factors.shift.clone() };
    let output = importer.push(&Node::new("Mul", &[], &[name]), "", conv.into(), &[view.tensor])?;
    let mut axes = lead.to_vec();
    axes.push(vec![Axis::Channel]);
    Ok(View { tensor: output, axes })
}

/// Inference mode: `(x - mean) / sqrt(var + epsilon) * scale + bias`.
pub fn batch_normalization(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    if node.int("training_mode").unwrap_or(0) != 0 {
        return unsupported("is in training mode; export the model for inference");
    }
    let elements = flattened(importer, &view);
    let channels = elements.unwrap_or(importer.graph.tensor(view.tensor).shape.channels);
    let on_channels = elements.is_some() && view.axes.len() == 2
        || view.axes.get(1).is_some_and(|axes| match channels {
            1 => axes.is_empty(),
            _ => **axes == [Axis::Channel],
        });
    if !on_channels {
        return unsupported(format!(
            "normalizes dimension 1 of {}, which is not channels",
            importer.describe(&view)
        ));
    }
    let parameter = |index: usize, what: &str| match importer.floats(node, index)? {
        Some(tensor) if tensor.data.len() == channels => Ok(tensor),
        _ => unsupported(format!("its {what} must hold {channels} floats")),
    };
    let (gamma, beta) = (parameter(1, "scale")?, parameter(2, "bias")?);
    let (mean, variance) = (parameter(3, "mean")?, parameter(4, "variance")?);
    let epsilon = f64::from(node.float("epsilon").unwrap_or(1e-5));
    importer.spend_floats(2 * channels)?;
    let real =
        |tensor: &Tensor, channel: usize| tensor.as_f32().map_or(0.0, |values| f64::from(values[channel]));
    let scale = |channel: usize| real(&gamma, channel) / (real(&variance, channel) + epsilon).sqrt();
    let shift = |channel: usize| (real(&beta, channel) - real(&mean, channel) * scale(channel)) as f32;
    let shift = (0..channels).map(shift).collect();
    let scale = (0..channels).map(|channel| scale(channel) as f32).collect();
    apply(importer, node, 0, &view, scale, shift)
}
