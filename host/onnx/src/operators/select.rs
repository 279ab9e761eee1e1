//! Some channels of an activation, in any order: `Split`, `Slice` and `Gather` along channels, and
//! channel shuffles. Each is a 1x1 convolution whose weights are 0 and 1.

use goldcrest_engine::shape::Window;
use goldcrest_quantize::graph::{FloatConv, TensorId};

use super::{Importer, Problem, Value, unsupported};
use crate::Node;
use crate::import::{Axis, View, integers};

/// Adds the channels of a tensor with these numbers.
pub fn push(
    importer: &mut Importer<'_>,
    node: &Node,
    suffix: &str,
    tensor: TensorId,
    channels: &[usize],
) -> Result<TensorId, Problem> {
    let depth = importer.graph.tensor(tensor).shape.channels;
    if channels.is_empty() {
        return unsupported("keeps no channels");
    }
    if channels.iter().copied().eq(0..depth) {
        return Ok(tensor);
    }
    importer.spend_floats(channels.len().saturating_mul(depth + 1))?;
    let mut weights = vec![0.0; channels.len() * depth];
    for (output, &channel) in channels.iter().enumerate() {
        weights[output * depth + channel] = 1.0;
    }
    let (window, bias) = (Window::new([1, 1], [1, 1]), vec![0.0; channels.len()]);
    importer.push(node, suffix, FloatConv { window, groups: 1, weights, bias }.into(), &[tensor])
}

/// The dimension that an axis names, and how many channels it has.
fn channels(importer: &Importer<'_>, view: &View, axis: i64) -> Result<(usize, usize), Problem> {
    let count = importer.graph.tensor(view.tensor).shape.channels;
    match view.dimension(axis) {
        Some(dimension) if *view.axes[dimension] == [Axis::Channel] => Ok((dimension, count)),
        _ => unsupported(format!(
            "takes a part of axis {axis} of {}; supported are channels",
            importer.describe(view)
        )),
    }
}

/// `Split` into parts of equal or given sizes.
pub fn split(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let (dimension, count) = channels(importer, &view, node.int("axis").unwrap_or(0))?;
    let parts = node.outputs.len().max(1);
    let sizes: Vec<usize> = match importer.integers(node, 1, "split")? {
        Some(sizes) => sizes.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect(),
        // The last one is smaller where it does not come out even.
        None => {
            let each = count.div_ceil(parts);
            (0..parts).map(|part| each.min(count.saturating_sub(part * each))).collect()
        }
    };
    if sizes.len() != parts || sizes.iter().sum::<usize>() != count || sizes.contains(&0) {
        return unsupported(format!("splits {count} channels into {sizes:?} for {parts} outputs"));
    }
    let (mut first, mut views) = (0, Vec::with_capacity(parts));
    for (part, size) in sizes.into_iter().enumerate() {
        let suffix = if part == 0 { String::new() } else { format!("/{part}") };
        let order: Vec<usize> = (first..first + size).collect();
        let tensor = push(importer, node, &suffix, view.tensor, &order)?;
        let mut axes = view.axes.clone();
        axes[dimension] = if size == 1 { vec![] } else { vec![Axis::Channel] };
        views.push(View { tensor, axes });
        first += size;
    }
    Ok(Value::Activations(views))
}

/// `Slice`; bounds are inputs since opset 10, attributes before.
pub fn slice(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let starts = importer.integers(node, 1, "starts")?.unwrap_or_default();
    let ends = importer.integers(node, 2, "ends")?.unwrap_or_default();
    let axes = importer.integers(node, 3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = importer.integers(node, 4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if starts.is_empty() || [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return unsupported("its starts, ends, axes and steps differ in number");
    }
    let mut found = None;
    for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let sizes = importer.sizes(&view);
        let Some(size) = view.dimension(axis).map(|dimension| sizes[dimension] as i64) else {
            return unsupported(format!("axis {axis} of {}", importer.describe(&view)));
        };
        let resolve = |index: i64, low: i64, high: i64| {
            (if index < 0 { index.saturating_add(size) } else { index }).clamp(low, high)
        };
        let kept: Vec<usize> = match step {
            0 => return unsupported("a step of 0"),
            1.. => (resolve(start, 0, size)..resolve(end, 0, size))
                .step_by(step as usize)
                .map(|at| at as usize)
                .collect(),
            _ => {
                let (from, to) = (resolve(start, -1, size - 1), resolve(end, -1, size - 1));
                (0..(from - to).max(0))
                    .step_by(step.unsigned_abs() as usize)
                    .map(|back| (from - back) as usize)
                    .collect()
            }
        };
        // All of a dimension is kept where exporters write several.
        if kept.iter().copied().eq(0..size as usize) {
            continue;
        }
        if found.replace((channels(importer, &view, axis)?.0, kept)).is_some() {
            return unsupported("takes a part of two dimensions");
        }
    }
    let Some((dimension, kept)) = found else { return Ok(Value::Activation(view)) };
    selected(importer, node, &view, dimension, &kept)
}

/// `Gather` along channels; a single index takes the dimension away.
pub fn gather(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let axis = node.int("axis").unwrap_or(0);
    let (dimension, count) = channels(importer, &view, axis)?;
    let Some(indices) = importer.constant(node, 1)? else { return unsupported("has no indices") };
    let place = |index: i64| {
        let index = if index < 0 { index.checked_add(count as i64)? } else { index };
        usize::try_from(index).ok().filter(|&index| index < count)
    };
    let kept = integers(&indices).map(|list| list.map(place).collect::<Option<Vec<usize>>>());
    let Some(Some(kept)) = kept.filter(|_| indices.shape.len() <= 1 && indices.data.len() <= count) else {
        return unsupported(format!(
            "gathers {:?} indices of {count} channels; supported is one list of channels",
            indices.shape
        ));
    };
    let Value::Activation(mut output) = selected(importer, node, &view, dimension, &kept)? else {
        return unsupported("gathers nothing");
    };
    if indices.shape.is_empty() {
        output.axes.remove(dimension);
    }
    Ok(Value::Activation(output))
}

fn selected(
    importer: &mut Importer<'_>,
    node: &Node,
    view: &View,
    dimension: usize,
    kept: &[usize],
) -> Result<Value, Problem> {
    let tensor = push(importer, node, "", view.tensor, kept)?;
    let mut axes = view.axes.clone();
    axes[dimension] = if kept.len() == 1 { vec![] } else { vec![Axis::Channel] };
    Ok(Value::Activation(View { tensor, axes }))
}
