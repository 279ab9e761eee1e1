//! Constant folding: nodes that read nothing but constants, as exporters leave them around shapes and
//! weights.

use std::rc::Rc;

use super::super::{Attribute, Data};
use super::{Node, Problem, Tensor, quantized, unsupported};

/// Largest number of elements of a folded tensor that its inputs do not account for: a file must not
/// make the importer allocate more than a few times its own size.
const LIMIT: usize = 1 << 12;

/// At least as many elements as [`fold`] makes of these inputs.
pub fn most_elements(node: &Node, inputs: &[Option<Rc<Tensor>>]) -> usize {
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
        "Add" | "Sub" | "Mul" | "Div" => {
            let largest = sizes.clone().max().unwrap_or(0).max(LIMIT);
            sizes.fold(1usize, usize::saturating_mul).min(largest)
        }
        _ => sizes.sum(),
    }
}

fn attribute_elements(attribute: &Attribute) -> usize {
    match attribute {
        Attribute::Tensor(tensor) => tensor.data.len(),
        Attribute::Floats(values) => values.len(),
        Attribute::Ints(values) => values.len(),
        _ => 1,
    }
}

/// Computes a node of constants; absent optional inputs are `None`.
pub fn fold(node: &Node, inputs: &[Option<Rc<Tensor>>]) -> Result<Tensor, Problem> {
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
        "Concat" => {
            let parts: Vec<&Tensor> = inputs.iter().flatten().map(|tensor| &**tensor).collect();
            concat(node, &parts)
        }
        "Slice" => slice(inputs),
        "DequantizeLinear" => {
            let zero = inputs.get(2).cloned().flatten();
            quantized::dequantized(node, input(0)?, input(1)?, zero.as_deref())
        }
        "QuantizeLinear" => {
            let zero = inputs.get(2).cloned().flatten();
            quantized::quantized(node, input(0)?, input(1)?, zero.as_deref())
        }
        "Add" => arithmetic(input(0)?, input(1)?, |a, b| a + b, i64::wrapping_add),
        "Sub" => arithmetic(input(0)?, input(1)?, |a, b| a - b, i64::wrapping_sub),
        "Mul" => arithmetic(input(0)?, input(1)?, |a, b| a * b, i64::wrapping_mul),
        "Div" => arithmetic(input(0)?, input(1)?, |a, b| a / b, |a, b| a.checked_div(b).unwrap_or(0)),
        "Sqrt" => map(input(0)?, f32::sqrt),
        "Neg" => map(input(0)?, |value| -value),
        "Exp" => map(input(0)?, f32::exp),
        "Reciprocal" => map(input(0)?, f32::recip),
        _ => unsupported("cannot be computed from its constants; run the model through a simplifier first"),
    }
}

fn constant(node: &Node) -> Result<Tensor, Problem> {
    match node.attributes.iter().next() {
        Some((_, Attribute::Tensor(tensor))) => Ok(tensor.clone()),
        Some((_, Attribute::Float(value))) => Ok(Tensor::f32(&[], vec![*value])),
        Some((_, Attribute::Floats(values))) => Ok(Tensor::f32(&[values.len()], values.clone())),
        Some((_, Attribute::Int(value))) => Ok(Tensor::new(&[], Data::I64(vec![*value]))),
        Some((_, Attribute::Ints(values))) => Ok(Tensor::i64s(values)),
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
fn pick(input: &Tensor, shape: &[usize], positions: &[usize]) -> Tensor {
    let data = match &input.data {
        Data::F32(values) => Data::F32(positions.iter().map(|&at| values[at]).collect()),
        Data::I64(values) => Data::I64(positions.iter().map(|&at| values[at]).collect()),
        Data::I32(values) => Data::I32(positions.iter().map(|&at| values[at]).collect()),
        Data::I8(values) => Data::I8(positions.iter().map(|&at| values[at]).collect()),
        Data::U8(values) => Data::U8(positions.iter().map(|&at| values[at]).collect()),
        Data::Bool(values) => Data::Bool(positions.iter().map(|&at| values[at]).collect()),
    };
    Tensor::new(shape, data)
}

fn transpose(node: &Node, input: &Tensor) -> Result<Tensor, Problem> {
    let rank = input.shape.len();
    let order: Vec<usize> = match node.ints("perm") {
        Some(order) => order.iter().map(|&axis| usize::try_from(axis).unwrap_or(rank)).collect(),
        None => (0..rank).rev().collect(),
    };
    if order.len() != rank || !(0..rank).all(|axis| order.contains(&axis)) {
        return unsupported(format!("perm {order:?} of {:?}", input.shape));
    }
    let stride = |axis: usize| input.shape[axis + 1..].iter().product::<usize>();
    let shape: Vec<usize> = order.iter().map(|&axis| input.shape[axis]).collect();
    let mut positions = vec![0; input.data.len()];
    let mut inner = 1;
    for (&axis, &size) in order.iter().zip(&shape).rev() {
        let step = stride(axis);
        for (index, position) in positions.iter_mut().enumerate() {
            *position += index / inner % size * step;
        }
        inner *= size;
    }
    Ok(pick(input, &shape, &positions))
}

/// Along the first axis, as shapes are taken apart.
fn gather(node: &Node, input: &Tensor, indices: &Tensor) -> Result<Tensor, Problem> {
    let (&[size], Some(indices_values), 0) =
        (&*input.shape, integers(indices), node.int("axis").unwrap_or(0))
    else {
        return unsupported("gathers from more than one dimension");
    };
    let position = |&index: &i64| {
        let index = if index < 0 { index.checked_add(size as i64)? } else { index };
        usize::try_from(index).ok().filter(|&index| index < size)
    };
    match indices_values.iter().map(position).collect::<Option<Vec<usize>>>() {
        Some(positions) => Ok(pick(input, &indices.shape, &positions)),
        None => unsupported(format!("index outside of {size} elements")),
    }
}

fn concat(node: &Node, parts: &[&Tensor]) -> Result<Tensor, Problem> {
    if node.int("axis").unwrap_or(0) != 0 || parts.iter().any(|part| part.shape.len() != 1) {
        return unsupported("joins constants of more than one dimension");
    }
    let floats: Option<Vec<&[f32]>> = parts.iter().map(|part| part.as_f32()).collect();
    let integers: Option<Vec<Vec<i64>>> = parts.iter().map(|part| integers(part)).collect();
    match (floats, integers) {
        (_, Some(integers)) => Ok(Tensor::i64s(&integers.concat())),
        (Some(floats), _) => {
            let values = floats.concat();
            Ok(Tensor::f32(&[values.len()], values))
        }
        _ => unsupported("joins constants of different types"),
    }
}

/// The elements of a tensor of integers. Some exporters take shapes apart as int32; here they are all int64.
fn integers(tensor: &Tensor) -> Option<Vec<i64>> {
    match &tensor.data {
        Data::I64(values) => Some(values.clone()),
        Data::I32(values) => Some(values.iter().map(|&value| value.into()).collect()),
        _ => None,
    }
}

/// Any dimensions, any steps.
fn slice(inputs: &[Option<Rc<Tensor>>]) -> Result<Tensor, Problem> {
    let Some(Some(input)) = inputs.first() else { return unsupported("lacks input 0") };
    let list = |index: usize| match inputs.get(index) {
        Some(Some(tensor)) => integers(tensor).map(Some),
        _ => Some(None),
    };
    let (Some(Some(starts)), Some(Some(ends)), Some(axes), Some(steps)) =
        (list(1), list(2), list(3), list(4))
    else {
        return unsupported("its starts, ends, axes and steps must be lists of integers");
    };
    let rank = input.shape.len() as i64;
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || starts.len() > input.shape.len() {
        return unsupported("its starts, ends, axes and steps differ in number");
    }
    // The indices kept of each dimension.
    let mut kept: Vec<Vec<usize>> = input.shape.iter().map(|&size| (0..size).collect()).collect();
    for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = if axis < 0 { axis.saturating_add(rank) } else { axis };
        let Some(kept) = usize::try_from(axis).ok().and_then(|axis| kept.get_mut(axis)) else {
            return unsupported(format!("axis {axis} of {:?}", input.shape));
        };
        let size = kept.len() as i64;
        let resolve = |index: i64, low: i64, high: i64| {
            (if index < 0 { index.saturating_add(size) } else { index }).clamp(low, high)
        };
        let (from, to) = match step {
            0 => return unsupported("a step of 0"),
            1.. => (resolve(start, 0, size), resolve(end, 0, size)),
            _ => (resolve(start, -1, size - 1), resolve(end, -1, size - 1)),
        };
        let stride = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
        *kept = match step > 0 {
            true => (from..to).step_by(stride).map(|index| index as usize).collect(),
            false => (to + 1..from + 1).rev().step_by(stride).map(|index| index as usize).collect(),
        };
    }
    let shape: Vec<usize> = kept.iter().map(Vec::len).collect();
    let mut positions = vec![0];
    for (indices, &size) in kept.iter().zip(&input.shape) {
        positions = positions
            .iter()
            .flat_map(|position| indices.iter().map(move |index| position * size + index))
            .collect();
    }
    Ok(pick(input, &shape, &positions))
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
        let lists = lists.iter().map(|list| Some(Rc::new(Tensor::i64s(list))));
        let inputs: Vec<_> = std::iter::once(Some(Rc::new(input))).chain(lists).collect();
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

    #[test]
    fn int32_and_int64_parts_of_shapes_go_together() {
        let node = Node::new("Concat", &["a", "b"], &["c"]);
        let parts = [Tensor::new(&[1], Data::I32(vec![-1])), Tensor::i64s(&[4, 5])];
        let joined = concat(&node, &parts.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(joined, Tensor::i64s(&[-1, 4, 5]));
    }
}
