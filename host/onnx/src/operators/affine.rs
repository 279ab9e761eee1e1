//! `scale * x + shift` with one pair per channel: what BatchNormalization and arithmetic with constants
//! amount to. It enters the graph as a 1x1 depthwise convolution, which the simplifier merges
//! into a convolution next to it.

use goldcrest_engine::shape::Window;
use goldcrest_quantize::graph::{FloatConv, TensorId};

use super::{Importer, Problem, Value, unsupported};
use crate::import::{Axis, View};
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

/// Inference mode: `(x - mean) / sqrt(var + epsilon) * scale + bias`.
pub fn batch_normalization(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    if node.int("training_mode").unwrap_or(0) != 0 {
        return unsupported("is in training mode; export the model for inference");
    }
    let channels = importer.graph.tensor(view.tensor).shape.channels;
    let on_channels = view.axes.get(1).is_some_and(|axes| match channels {
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
    let output = push(importer, node, "", view.tensor, scale, shift)?;
    Ok(Value::Activation(view.of(output)))
}
