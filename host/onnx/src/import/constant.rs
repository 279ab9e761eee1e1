//! Constant folding: nodes that read nothing but constants, as exporters leave them around shapes and
//! weights.

use super::elementwise::{self, COMPARED, LOGICAL, UNARY};
use super::known::Constant;
use super::{Node, Problem, Tensor, quantized, unsupported};
use crate::operators::FOLDS;
use crate::proto::{data_type, element_name};
use crate::{Attribute, Data};

/// Maximum number of elements of a folded tensor that its inputs do not account for: a file must not
/// make the importer allocate more than a few times its own size.
pub const LIMIT: usize = 1 << 12;

/// Maximum number of dimensions that are looked at to find how many elements a node makes.
const LIST: usize = 16;

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
    let makes_longs = matches!(
        &*node.op,
        "Cast" | "CastLike" | "Constant" | "ConstantOfShape" | "Range" | "Shape" | "Size"
    ) || matches!(fold_of(&node.op), Some(Fold::Parts(_)));
    let bytes = if longs || makes_longs { size_of::<i64>() } else { size_of::<f32>() };
    most_elements(node, inputs).saturating_mul(bytes)
}

fn most_elements(node: &Node, inputs: &[Option<Constant<'_>>]) -> usize {
    let sizes = inputs.iter().flatten().map(|tensor| tensor.data.len());
    match &*node.op {
        "Constant" => node.attributes.values().map(attribute_elements).sum(),
        // As often as the second input says.
        "Expand" | "Tile" => {
            let own = inputs.first().and_then(Option::as_ref).map_or(0, |input| input.data.len());
            let times = inputs.get(1).and_then(Option::as_ref).and_then(|times| integers(times));
            let times = times.into_iter().flatten().take(LIST);
            times
                .fold(own, |all, times| all.saturating_mul(times.clamp(1, LIMIT as i64) as usize))
                .min(own.max(LIMIT))
        }
        "Range" => match inputs {
            [Some(start), Some(limit), Some(delta)] => counted([start, limit, delta]).unwrap_or(0).min(LIMIT),
            _ => 0,
        },
        "ConstantOfShape" => {
            let shape = inputs.iter().flatten().filter_map(|tensor| tensor.as_i64()).flatten();
            shape
                .fold(1usize, |all, &size| all.saturating_mul(size.clamp(0, LIMIT as i64) as usize))
                .min(LIMIT)
        }
        "Size" => 1,
        "Shape" => inputs.iter().flatten().map(|tensor| tensor.shape.len()).sum(),
        // Shapes and indices are looked at, not copied.
        "Reshape" | "Squeeze" | "Unsqueeze" | "Slice" => sizes.take(1).sum(),
        "Gather" => {
            let mut sizes = sizes;
            let axis = node.int("axis").unwrap_or(0);
            let along = inputs.first().and_then(Option::as_ref).and_then(|input| {
                let axis = if axis < 0 { axis + input.shape.len() as i64 } else { axis };
                input.shape.get(usize::try_from(axis).ok()?).copied()
            });
            let each = sizes.next().unwrap_or(0) / along.unwrap_or(1).max(1);
            sizes.next().unwrap_or(0).saturating_mul(each)
        }
        op => match fold_of(op) {
            _ if op == "Where" || entry(COMPARED, op).is_some() || entry(LOGICAL, op).is_some() => {
                let largest = sizes.clone().max().unwrap_or(0).max(LIMIT);
                sizes.fold(1usize, usize::saturating_mul).min(largest)
            }
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
        "CastLike" => cast(input(0)?, input(1)?.data.element().into()),
        "Size" => Ok(Tensor::new(&[], Data::I64(vec![input(0)?.data.len() as i64]))),
        "Not" => elementwise::not(input(0)?),
        "Where" => elementwise::choose(input(0)?, input(1)?, input(2)?),
        "Expand" => match integers(input(1)?) {
            Some(sizes) => elementwise::expand(input(0)?, &sizes.take(16).collect::<Vec<_>>()),
            None => unsupported("its shape must be a list of integers"),
        },
        "Tile" => tile(input(0)?, input(1)?),
        "Range" => range([input(0)?, input(1)?, input(2)?]),
        op => match fold_of(op) {
            Some(Fold::Arithmetic(floats, integers)) => arithmetic(input(0)?, input(1)?, *floats, *integers),
            Some(Fold::Parts(join)) => {
                join(node, &inputs.iter().flatten().map(|tensor| &**tensor).collect::<Vec<_>>())
            }
            None => {
                if let Some(function) = entry(UNARY, op) {
                    return elementwise::map(op, input(0)?, function);
                }
                if let Some(function) = entry(COMPARED, op) {
                    return elementwise::compare(input(0)?, input(1)?, function);
                }
                if let Some(function) = entry(LOGICAL, op) {
                    return elementwise::logical(input(0)?, input(1)?, function);
                }
                unsupported("cannot be computed from its constants; run the model through a simplifier first")
            }
        },
    }
}

/// Operators that are computed of constants, beside those in tables.
const FOLDED: [&str; 21] = [
    "Cast",
    "CastLike",
    "Constant",
    "ConstantOfShape",
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "Not",
    "QuantizeLinear",
    "Range",
    "Reshape",
    "Shape",
    "Size",
    "Slice",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
    "Where",
    "DequantizeLinear",
];

/// Whether an operator is computed where it reads nothing but constants.
pub fn folds(op: &str) -> bool {
    FOLDED.contains(&op)
        || fold_of(op).is_some()
        || entry(UNARY, op).is_some()
        || entry(COMPARED, op).is_some()
        || entry(LOGICAL, op).is_some()
}

fn entry<T: Copy>(table: &[(&str, T)], op: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == op).map(|(_, function)| *function)
}

/// A constant behind itself, so many times along each dimension.
fn tile(input: &Tensor, repeats: &Tensor) -> Result<Tensor, Problem> {
    let wanted = integers(repeats).map(|list| list.map(|times| usize::try_from(times).ok()).collect());
    let Some(Some(repeats)) = wanted.filter(|_| repeats.data.len() == input.shape.len()) else {
        return unsupported("its repeats must be integers, one for each dimension");
    };
    let repeats: Vec<usize> = repeats;
    let sizes = || input.shape.iter().zip(&repeats);
    let count = sizes().try_fold(1usize, |all, (size, times)| all.checked_mul(size.checked_mul(*times)?));
    let Some(count) = count.filter(|&count| count <= LIMIT.max(input.data.len())) else {
        return unsupported(format!("repeats a constant to more than {LIMIT} elements"));
    };
    let shape: Vec<usize> = sizes().map(|(size, times)| size * times).collect();
    let place = |mut index: usize| {
        let (mut place, mut stride) = (0, 1);
        for (&own, &whole) in input.shape.iter().zip(&shape).rev() {
            place += index % whole % own * stride;
            stride *= own;
            index /= whole;
        }
        place
    };
    Ok(pick(input, &shape, (0..count).map(place)))
}

/// How many numbers there are from a start to a limit.
fn counted([start, limit, delta]: [&Tensor; 3]) -> Option<usize> {
    let long = |tensor: &Tensor| integers(tensor).and_then(|mut list| list.next());
    let (start, limit, delta) = (long(start)?, long(limit)?, long(delta).filter(|&delta| delta != 0)?);
    let span = ((i128::from(limit) - i128::from(start)) * i128::from(delta.signum())).max(0).unsigned_abs();
    usize::try_from(span.div_ceil(delta.unsigned_abs().into())).ok()
}

/// Numbers at equal distances.
fn range([start, limit, delta]: [&Tensor; 3]) -> Result<Tensor, Problem> {
    let first = |tensor: &Tensor| integers(tensor).and_then(|mut list| list.next()).unwrap_or(0);
    match counted([start, limit, delta]) {
        Some(count) if count <= LIMIT => {
            let (start, delta) = (first(start), first(delta));
            let values = (0..count as i64).map(|index| start.wrapping_add(index.wrapping_mul(delta)));
            Ok(Tensor::i64s(&values.collect::<Vec<_>>()))
        }
        Some(_) => unsupported(format!("counts to more than {LIMIT} elements")),
        None => unsupported("its start, limit and delta must be integers, the last not 0"),
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
    let to = i32::try_from(to).unwrap_or(0);
    let is_real =
        [data_type::FLOAT, data_type::FLOAT16, data_type::BFLOAT16, data_type::DOUBLE].contains(&to);
    let data = match (&input.data, to) {
        (Data::F32(values), _) if is_real => Data::F32(values.clone()),
        (Data::I64(values), _) if is_real => Data::F32(values.iter().map(|&v| v as f32).collect()),
        (Data::I32(values), _) if is_real => Data::F32(values.iter().map(|&v| v as f32).collect()),
        (Data::I8(values), _) if is_real => Data::F32(values.iter().map(|&v| v.into()).collect()),
        (Data::U8(values), _) if is_real => Data::F32(values.iter().map(|&v| v.into()).collect()),
        (Data::Bool(values), _) if is_real => Data::F32(values.iter().map(|&v| u8::from(v).into()).collect()),
        // Integers of 32 bits count as those of 64: they are parts of shapes.
        (Data::F32(values), data_type::INT32 | data_type::INT64) => {
            Data::I64(values.iter().map(|&v| v as i64).collect())
        }
        (Data::I32(values), data_type::INT32 | data_type::INT64) => {
            Data::I64(values.iter().map(|&v| v.into()).collect())
        }
        (Data::Bool(values), data_type::INT32 | data_type::INT64) => {
            Data::I64(values.iter().map(|&v| v.into()).collect())
        }
        (Data::I64(values), data_type::INT32 | data_type::INT64) => Data::I64(values.clone()),
        (Data::Bool(values), data_type::BOOL) => Data::Bool(values.clone()),
        (Data::I64(values), data_type::BOOL) => Data::Bool(values.iter().map(|&v| v != 0).collect()),
        (Data::F32(values), data_type::BOOL) => Data::Bool(values.iter().map(|&v| v != 0.0).collect()),
        _ => return unsupported(format!("casts a constant to {}", element_name(to))),
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
pub fn pick(input: &Tensor, shape: &[usize], positions: impl Iterator<Item = usize>) -> Tensor {
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

/// Along any axis: shapes are taken apart by it, weights seldom.
fn gather(node: &Node, input: &Tensor, indices: &Tensor) -> Result<Tensor, Problem> {
    let (axis, rank) = (node.int("axis").unwrap_or(0), input.shape.len() as i64);
    let place =
        usize::try_from(if axis < 0 { axis.saturating_add(rank) } else { axis }).unwrap_or(usize::MAX);
    let (Some(&size), Some(wanted)) = (input.shape.get(place), integers(indices)) else {
        return unsupported(format!("gathers along axis {axis} of {:?}", input.shape));
    };
    let position = |index: i64| {
        let index = if index < 0 { index.checked_add(size as i64)? } else { index };
        usize::try_from(index).ok().filter(|&index| index < size)
    };
    if !wanted.clone().all(|index| position(index).is_some()) {
        return unsupported(format!("index outside of {size} elements"));
    }
    let (lead, behind) = (&input.shape[..place], &input.shape[place + 1..]);
    let (before, each): (usize, usize) = (lead.iter().product(), behind.iter().product());
    let shape = [lead, &indices.shape, behind].concat();
    let rows = (0..before).flat_map(|before| wanted.clone().map(move |index| (before, index)));
    let places = rows.flat_map(|(before, index)| {
        let first = (before * size + position(index).unwrap_or(0)) * each;
        first..first + each
    });
    Ok(pick(input, &shape, places))
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
