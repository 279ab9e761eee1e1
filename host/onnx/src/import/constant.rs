//! Constant folding: nodes that read nothing but constants, as exporters leave them around shapes and
//! weights.

use super::known::Constant;
use super::{Node, Problem, Tensor, quantized, unsupported};
use crate::operators::FOLDS;
use crate::{Attribute, Data};

/// Maximum number of elements of a folded tensor that its inputs do not account for: a file must not
/// make the importer allocate more than a few times its own size.
const LIMIT: usize = 1 << 12;

/// The tensor that a node holds.
pub fn given(node: &Node) -> Option<&Tensor> {
    match (&*node.op, node.attributes.values().next()) {
        ("Constant", Some(Attribute::Tensor(tensor))) if node.domain.is_empty() => Some(tensor),
        _ => None,
    }
}

/// At least as many bytes as [`fold`] makes of these inputs.
pub fn most_bytes(node: &Node, inputs: &[Option<Constant<'_>>]) -> usize {
    let longs = inputs.iter().flatten().any(|tensor| matches!(tensor.data, Data::I64(_)));
    let makes_longs = matches!(&*node.op, "Cast" | "Constant" | "ConstantOfShape" | "Shape")
        || matches!(fold_of(&node.op), Some(Fold::Parts(_)));
    let bytes = if longs || makes_longs { size_of::<i64>() } else { size_of::<f32>() };
    most_elements(node, inputs).saturating_mul(bytes)
}

fn most_elements(node: &Node, inputs: &[Option<Constant<'_>>]) -> usize {
    let sizes = inputs.iter().flatten().map(|tensor| tensor.data.len());
    match &*node.op {
        "Constant" => node.attributes.values().map(attribute_elements).sum(),
        "ConstantOfShape" => {
            let shape = inputs.iter().flatten().filter_map(|tensor| tensor.as_i64()).flatten();
            shape
                .fold(1usize, |all, &size| all.saturating_mul(size.clamp(0, LIMIT as i64) as usize))
                .min(LIMIT)
        }
        "Shape" => inputs.iter().flatten().map(|tensor| tensor.shape.len()).sum(),
        // Shapes and indices are looked at, not copied.
        "Reshape" | "Squeeze" | "Unsqueeze" | "Slice" => sizes.take(1).sum(),
        "Gather" => sizes.skip(1).sum(),
        op => match fold_of(op) {
            Some(Fold::Arithmetic(..)) => {
                let largest = sizes.clone().max().unwrap_or(0).max(LIMIT);
                sizes.fold(1usize, usize::saturating_mul).min(largest)
            }
            _ => sizes.sum(),
        },
    }
}

fn attribute_elements(attribute: &Attribute) -> usize {
    match attribute {
        Attribute::Floats(values) => values.len(),
        Attribute::Ints(values) => values.len(),
        _ => 1,
    }
}

/// Computes a node of constants; absent optional inputs are `None`.
pub fn fold(node: &Node, inputs: &[Option<Constant<'_>>]) -> Result<Tensor, Problem> {
    let input = |index: usize| match inputs.get(index) {
        Some(Some(tensor)) => Ok(&**tensor),
        _ => unsupported(format!("lacks input {index}")),
    };
    match &*node.op {
        _ if !node.domain.is_empty() => unsupported("Goldcrest has no such operator"),
        "Constant" => constant(node),
        "ConstantOfShape" => constant_of_shape(node, input(0)?),
        "Identity" => Ok(input(0)?.clone()),
        "Cast" => cast(input(0)?, node.int("to").unwrap_or(0)),
        "Shape" => Ok(Tensor::i64s(&input(0)?.shape.iter().map(|&size| size as i64).collect::<Vec<_>>())),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
            let axes = inputs.get(1).cloned().flatten();
            reshape(node, input(0)?, axes.as_deref())
        }
        "Transpose" => transpose(node, input(0)?),
        "Gather" => gather(node, input(0)?, input(1)?),
        "Slice" => slice(inputs),
        "QuantizeLinear" => match inputs.get(1) {
            Some(Some(scale)) => {
                quantized::quantized(node, input(0)?, scale, inputs.get(2).and_then(Option::as_ref))
            }
            _ => unsupported("lacks input 1"),
        },
        "Sqrt" => map(input(0)?, f32::sqrt),
        "Neg" => map(input(0)?, |value| -value),
        "Exp" => map(input(0)?, f32::exp),
        "Reciprocal" => map(input(0)?, f32::recip),
        op => match fold_of(op) {
            Some(Fold::Arithmetic(floats, integers)) => arithmetic(input(0)?, input(1)?, *floats, *integers),
            Some(Fold::Parts(join)) => {
                join(node, &inputs.iter().flatten().map(|tensor| &**tensor).collect::<Vec<_>>())
            }
            None => {
                unsupported("cannot be computed from its constants; run the model through a simplifier first")
            }
        },
    }
}

fn constant(node: &Node) -> Result<Tensor, Problem> {
    match node.attributes.values().next() {
        Some(Attribute::Float(value)) => Ok(Tensor::f32(&[], vec![*value])),
        Some(Attribute::Floats(values)) => Ok(Tensor::f32(&[values.len()], values.clone())),
        Some(Attribute::Int(value)) => Ok(Tensor::new(&[], Data::I64(vec![*value]))),
        Some(Attribute::Ints(values)) => Ok(Tensor::i64s(values)),
        _ => unsupported("has no value"),
    }
}

fn constant_of_shape(node: &Node, shape: &Tensor) -> Result<Tensor, Problem> {
    let sizes: Option<Vec<usize>> =
        shape.as_i64().and_then(|sizes| sizes.iter().map(|&size| usize::try_from(size).ok()).collect());
    let count = |sizes: &Vec<usize>| sizes.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
    let Some(sizes) = sizes.filter(|sizes| count(sizes).is_some_and(|count| count <= LIMIT)) else {
        return unsupported(format!("fills a tensor of more than {LIMIT} elements"));
    };
    let len = sizes.iter().product();
    let data = match node.attributes.get("value") {
        Some(Attribute::Tensor(Tensor { data: Data::I64(values), .. })) if values.len() == 1 => {
            Data::I64(vec![values[0]; len])
        }
        Some(Attribute::Tensor(Tensor { data: Data::F32(values), .. })) if values.len() == 1 => {
            Data::F32(vec![values[0]; len])
        }
        None => Data::F32(vec![0.0; len]),
        Some(_) => return unsupported("fills with another type than float or int64"),
    };
    Ok(Tensor::new(&sizes, data))
}

fn cast(input: &Tensor, to: i64) -> Result<Tensor, Problem> {
    let data = match (&input.data, to) {
        (Data::F32(values), 1 | 10 | 11) => Data::F32(values.clone()),
        (Data::F32(values), 7) => Data::I64(values.iter().map(|&v| v as i64).collect()),
        (Data::I64(values), 1 | 10 | 11) => Data::F32(values.iter().map(|&v| v as f32).collect()),
        (Data::I32(values), 1 | 10 | 11) => Data::F32(values.iter().map(|&v| v as f32).collect()),
        (Data::I32(values), 7) => Data::I64(values.iter().map(|&v| v.into()).collect()),
        (Data::I64(values), 6 | 7) => Data::I64(values.clone()),
        _ => return unsupported(format!("casts to type {to}")),
    };
    Ok(Tensor::new(&input.shape, data))
}

fn reshape(node: &Node, input: &Tensor, axes: Option<&Tensor>) -> Result<Tensor, Problem> {
    let given = axes.and_then(Tensor::as_i64).or(node.ints("axes"));
    let rank = input.shape.len() as i64;
    let shape: Vec<usize> = match (&*node.op, given) {
        ("Flatten", _) => {
            let axis = node.int("axis").unwrap_or(1);
            let split = if axis < 0 { axis + rank } else { axis }.clamp(0, rank) as usize;
            vec![input.shape[..split].iter().product(), input.shape[split..].iter().product()]
        }
        ("Reshape", Some(wanted)) => {
            let known: i64 = wanted
                .iter()
                .filter(|&&size| size > 0)
                .fold(1, |product, &size| product.saturating_mul(size));
            let total = input.data.len() as i64;
            let size = |(index, &size): (usize, &i64)| match size {
                -1 => total.checked_div(known).map(|size| size as usize),
                0 => input.shape.get(index).copied(),
                size => usize::try_from(size).ok(),
            };
            wanted.iter().enumerate().map(size).collect::<Option<_>>().unwrap_or_default()
        }
        ("Squeeze", None) => input.shape.iter().copied().filter(|&size| size != 1).collect(),
        ("Squeeze", Some(axes)) => {
            let removed =
                |index: usize| axes.iter().any(|&axis| axis == index as i64 || axis + rank == index as i64);
            (0..input.shape.len()).filter(|&index| !removed(index)).map(|index| input.shape[index]).collect()
        }
        ("Unsqueeze", Some(axes)) if axes.len() <= 4 => {
            let all = rank + axes.len() as i64;
            let mut own = input.shape.iter().copied();
            let added =
                |index: i64| axes.iter().any(|&axis| axis == index || axis.saturating_add(all) == index);
            (0..all).map(|index| if added(index) { 1 } else { own.next().unwrap_or(1) }).collect()
        }
        _ => return unsupported("has no shape or axes"),
    };
    let count = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    match count == Some(input.data.len()) {
        true => Ok(Tensor::new(&shape, input.data.clone())),
        false => unsupported(format!("gives {:?} the shape {shape:?}", input.shape)),
    }
}

/// The elements at some positions.
fn pick(input: &Tensor, shape: &[usize], positions: impl Iterator<Item = usize>) -> Tensor {
    let data = match &input.data {
        Data::F32(values) => Data::F32(positions.map(|at| values[at]).collect()),
        Data::I64(values) => Data::I64(positions.map(|at| values[at]).collect()),
        Data::I32(values) => Data::I32(positions.map(|at| values[at]).collect()),
        Data::I8(values) => Data::I8(positions.map(|at| values[at]).collect()),
        Data::U8(values) => Data::U8(positions.map(|at| values[at]).collect()),
        Data::Bool(values) => Data::Bool(positions.map(|at| values[at]).collect()),
    };
    Tensor::new(shape, data)
}

/// One dimension of a walk over a tensor: where it starts, how far it steps and how often.
#[derive(Clone, Copy, Debug)]
struct Steps {
    start: usize,
    step: isize,
    count: usize,
}

/// The elements of a tensor that a walk meets, the last dimension fastest.
fn walk(input: &Tensor, steps: &[Steps]) -> Tensor {
    let shape: Vec<usize> = steps.iter().map(|steps| steps.count).collect();
    let place = |mut index: usize| {
        let mut place = 0;
        for &Steps { start, step, count } in steps.iter().rev() {
            place += start.wrapping_add_signed((index % count) as isize * step);
            index /= count;
        }
        place
    };
    let count = shape.iter().product();
    pick(input, &shape, (0..count).map(place))
}

/// Distance of neighbours along an axis.
fn distance(input: &Tensor, axis: usize) -> usize {
    input.shape[axis + 1..].iter().product()
}

/// From the axes of a transposed constant to those of its input.
pub fn order(node: &Node, input: &Tensor) -> Result<Vec<usize>, Problem> {
    let rank = input.shape.len();
    let order: Vec<usize> = match node.ints("perm") {
        Some(order) => order.iter().map(|&axis| usize::try_from(axis).unwrap_or(rank)).collect(),
        None => (0..rank).rev().collect(),
    };
    match order.len() == rank && (0..rank).all(|axis| order.contains(&axis)) {
        true => Ok(order),
        false => unsupported(format!("perm {order:?} of {:?}", input.shape)),
    }
}

fn transpose(node: &Node, input: &Tensor) -> Result<Tensor, Problem> {
    let steps =
        |axis: usize| Steps { start: 0, step: distance(input, axis) as isize, count: input.shape[axis] };
    Ok(walk(input, &order(node, input)?.into_iter().map(steps).collect::<Vec<_>>()))
}

/// Along the first axis, as shapes are taken apart.
fn gather(node: &Node, input: &Tensor, indices: &Tensor) -> Result<Tensor, Problem> {
    let (&[size], Some(wanted), 0) = (&*input.shape, integers(indices), node.int("axis").unwrap_or(0)) else {
        return unsupported("gathers from more than one dimension");
    };
    let position = |index: i64| {
        let index = if index < 0 { index.checked_add(size as i64)? } else { index };
        usize::try_from(index).ok().filter(|&index| index < size)
    };
    match wanted.clone().all(|index| position(index).is_some()) {
        true => Ok(pick(input, &indices.shape, wanted.map(|index| position(index).unwrap_or(0)))),
        false => unsupported(format!("index outside of {size} elements")),
    }
}

/// How an operator that can stand on activations is computed of constants.
pub enum Fold {
    /// Element by element, of two constants with broadcasting; wrapping for integers.
    Arithmetic(fn(f32, f32) -> f32, fn(i64, i64) -> i64),
    /// From all constants at once; integers become int64.
    Parts(fn(&Node, &[&Tensor]) -> Result<Tensor, Problem>),
}

fn fold_of(op: &str) -> Option<&'static Fold> {
    FOLDS.iter().find(|(known, _)| *known == op).map(|(_, fold)| fold)
}

/// The elements of a tensor of integers. Some exporters take shapes apart as int32; here they are all int64.
pub fn integers(tensor: &Tensor) -> Option<impl Iterator<Item = i64> + Clone> {
    let (long, short) = match &tensor.data {
        Data::I64(values) => (&values[..], &[][..]),
        Data::I32(values) => (&[][..], &values[..]),
        _ => return None,
    };
    Some(long.iter().copied().chain(short.iter().map(|&value| value.into())))
}

/// Any dimensions, any steps.
fn slice(inputs: &[Option<Constant<'_>>]) -> Result<Tensor, Problem> {
    let Some(Some(input)) = inputs.first() else { return unsupported("lacks input 0") };
    let rank = input.shape.len();
    let list = |index: usize| match inputs.get(index) {
        Some(Some(tensor)) if tensor.data.len() <= rank => integers(tensor).map(|list| Some(list.collect())),
        Some(Some(_)) => None,
        _ => Some(None::<Vec<i64>>),
    };
    let (Some(Some(starts)), Some(Some(ends)), Some(axes), Some(steps)) =
        (list(1), list(2), list(3), list(4))
    else {
        return unsupported(
            "its starts, ends, axes and steps must be lists of integers, one for each dimension",
        );
    };
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return unsupported("its starts, ends, axes and steps differ in number");
    }
    let whole =
        |axis: usize| Steps { start: 0, step: distance(input, axis) as isize, count: input.shape[axis] };
    let mut kept: Vec<Steps> = (0..rank).map(whole).collect();
    let mut taken = vec![false; rank];
    for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let place = usize::try_from(if axis < 0 { axis.saturating_add(rank as i64) } else { axis });
        let Some(place) = place.ok().filter(|&place| place < rank && !taken[place]) else {
            return unsupported(format!("axis {axis} of {:?}", input.shape));
        };
        taken[place] = true;
        let size = input.shape[place] as i64;
        let resolve = |index: i64, low: i64, high: i64| {
            (if index < 0 { index.saturating_add(size) } else { index }).clamp(low, high)
        };
        let (from, span) = match step {
            0 => return unsupported("a step of 0"),
            1.. => {
                let from = resolve(start, 0, size);
                (from, resolve(end, 0, size) - from)
            }
            _ => {
                let from = resolve(start, -1, size - 1);
                (from, from - resolve(end, -1, size - 1))
            }
        };
        let count = span.max(0).unsigned_abs().div_ceil(step.unsigned_abs()) as usize;
        let neighbours = distance(input, place);
        // Of a dimension that nothing is kept of, start and step do not matter, and may be out of range.
        kept[place] = match count {
            0 | 1 => Steps { start: from.max(0) as usize * neighbours, step: 0, count },
            _ => {
                Steps { start: from as usize * neighbours, step: step as isize * neighbours as isize, count }
            }
        };
    }
    Ok(walk(input, &kept))
}

fn map(input: &Tensor, function: fn(f32) -> f32) -> Result<Tensor, Problem> {
    match input.as_f32() {
        Some(values) => Ok(Tensor::f32(&input.shape, values.iter().map(|&value| function(value)).collect())),
        None => unsupported("of constants other than floats"),
    }
}

/// Two constants with broadcasting.
fn arithmetic(
    a: &Tensor,
    b: &Tensor,
    floats: fn(f32, f32) -> f32,
    integers: fn(i64, i64) -> i64,
) -> Result<Tensor, Problem> {
    let rank = a.shape.len().max(b.shape.len());
    let size = |tensor: &Tensor, axis: usize| match (axis + tensor.shape.len()).checked_sub(rank) {
        Some(own) => tensor.shape[own],
        None => 1,
    };
    let mut shape = Vec::new();
    for axis in 0..rank {
        shape.push(match (size(a, axis), size(b, axis)) {
            (x, y) if x == y => x,
            (1, other) | (other, 1) => other,
            _ => return unsupported(format!("constants of {:?} and {:?}", a.shape, b.shape)),
        });
    }
    let count = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    let Some(count) = count.filter(|&count| count <= LIMIT.max(a.data.len()).max(b.data.len())) else {
        return unsupported(format!("constants of {:?} and {:?} make too large a tensor", a.shape, b.shape));
    };
    let position = |tensor: &Tensor, mut index: usize| {
        let (mut position, mut stride) = (0, 1);
        for axis in (0..rank).rev() {
            let own = size(tensor, axis);
            position += if own == 1 { 0 } else { index % shape[axis] * stride };
            stride *= own;
            index /= shape[axis];
        }
        position
    };
    let pairs = (0..count).map(|index| (position(a, index), position(b, index)));
    let data = match (&a.data, &b.data) {
        (Data::F32(x), Data::F32(y)) => Data::F32(pairs.map(|(i, j)| floats(x[i], y[j])).collect()),
        (Data::I64(x), Data::I64(y)) => Data::I64(pairs.map(|(i, j)| integers(x[i], y[j])).collect()),
        _ => return unsupported("constants of different types"),
    };
    Ok(Tensor::new(&shape, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sliced(shape: &[usize], lists: [&[i64]; 4]) -> (Vec<usize>, Vec<i64>) {
        let count = shape.iter().product::<usize>() as i64;
        let input = Tensor::new(shape, Data::I64((0..count).collect()));
        let lists = lists.iter().map(|list| Some(Tensor::i64s(list).into()));
        let inputs: Vec<Option<Constant>> = std::iter::once(Some(input.into())).chain(lists).collect();
        let output = slice(&inputs).unwrap();
        (output.shape.clone(), output.as_i64().unwrap().to_vec())
    }

    #[test]
    fn slices_are_onnxs() {
        assert_eq!(sliced(&[5], [&[1], &[i64::MAX], &[0], &[1]]), (vec![4], vec![1, 2, 3, 4]));
        assert_eq!(sliced(&[5], [&[-2], &[-1], &[0], &[1]]), (vec![1], vec![3]));
        assert_eq!(sliced(&[5], [&[0], &[5], &[-1], &[2]]), (vec![3], vec![0, 2, 4]));
        // As PyTorch turns padding around.
        let turned = sliced(&[3, 2], [&[-1], &[i64::MIN], &[0], &[-1]]);
        assert_eq!(turned, (vec![3, 2], vec![4, 5, 2, 3, 0, 1]));
        assert_eq!(sliced(&[2, 3], [&[1, 2], &[2, 0], &[0, 1], &[1, -1]]), (vec![1, 2], vec![5, 4]));
        assert_eq!(sliced(&[3], [&[2], &[1], &[0], &[1]]), (vec![0], vec![]));
    }
}
