//! Elementwise operators of constants, as exporters leave them around shapes, masks and weights.

use super::Tensor;
use super::constant::{LIMIT, pick};
use crate::Data;
use crate::operators::{Problem, unsupported};

/// Of one float.
pub const UNARY: &[(&str, fn(f64) -> f64)] = &[
    ("Abs", f64::abs),
    ("Acos", f64::acos),
    ("Asin", f64::asin),
    ("Atan", f64::atan),
    ("Ceil", f64::ceil),
    ("Cos", f64::cos),
    ("Cosh", f64::cosh),
    ("Erf", libm::erf),
    ("Exp", f64::exp),
    ("Floor", f64::floor),
    ("Log", f64::ln),
    ("Neg", |value| -value),
    ("Reciprocal", f64::recip),
    ("Relu", |value| value.max(0.0)),
    ("Round", f64::round_ties_even),
    ("Sigmoid", |value| 1.0 / (1.0 + (-value).exp())),
    ("Sign", |value| if value == 0.0 { 0.0 } else { value.signum() }),
    ("Sin", f64::sin),
    ("Sinh", f64::sinh),
    ("Softplus", |value| value.exp().ln_1p()),
    ("Sqrt", f64::sqrt),
    ("Tan", f64::tan),
    ("Tanh", f64::tanh),
];

/// Comparisons of two numbers.
pub const COMPARED: &[(&str, fn(f64, f64) -> bool)] = &[
    ("Equal", |a, b| a == b),
    ("Greater", |a, b| a > b),
    ("GreaterOrEqual", |a, b| a >= b),
    ("Less", |a, b| a < b),
    ("LessOrEqual", |a, b| a <= b),
];

/// Of truth values.
pub const LOGICAL: &[(&str, fn(bool, bool) -> bool)] =
    &[("And", |a, b| a && b), ("Or", |a, b| a || b), ("Xor", |a, b| a != b)];

/// A function of every element: floats stay floats; of integers only what keeps them whole.
pub fn map(op: &str, input: &Tensor, function: fn(f64) -> f64) -> Result<Tensor, Problem> {
    let whole = ["Abs", "Neg", "Relu", "Sign"].contains(&op);
    let data = match &input.data {
        Data::F32(values) => Data::F32(values.iter().map(|&value| function(value.into()) as f32).collect()),
        Data::I64(values) if whole => {
            Data::I64(values.iter().map(|&value| function(value as f64) as i64).collect())
        }
        Data::I32(values) if whole => {
            Data::I32(values.iter().map(|&value| function(value.into()) as i32).collect())
        }
        _ => return unsupported("of constants other than floats"),
    };
    Ok(Tensor::new(&input.shape, data))
}

/// The truth values' opposites.
pub fn not(input: &Tensor) -> Result<Tensor, Problem> {
    match &input.data {
        Data::Bool(values) => {
            Ok(Tensor::new(&input.shape, Data::Bool(values.iter().map(|&value| !value).collect())))
        }
        _ => unsupported("of constants other than truth values"),
    }
}

/// The element at a place as a number.
fn number(data: &Data, at: usize) -> f64 {
    match data {
        Data::F32(values) => values[at].into(),
        Data::I64(values) => values[at] as f64,
        Data::I32(values) => values[at].into(),
        Data::I8(values) => values[at].into(),
        Data::U8(values) => values[at].into(),
        Data::Bool(values) => u8::from(values[at]).into(),
    }
}

/// A comparison, with broadcasting.
pub fn compare(a: &Tensor, b: &Tensor, function: fn(f64, f64) -> bool) -> Result<Tensor, Problem> {
    let pairs = Pairs::of(&[a, b])?;
    let values = pairs.each(|[i, j]| function(number(&a.data, i), number(&b.data, j)));
    Ok(Tensor::new(&pairs.shape, Data::Bool(values)))
}

/// A logical operator, with broadcasting.
pub fn logical(a: &Tensor, b: &Tensor, function: fn(bool, bool) -> bool) -> Result<Tensor, Problem> {
    let (Data::Bool(x), Data::Bool(y)) = (&a.data, &b.data) else {
        return unsupported("of constants other than truth values");
    };
    let pairs = Pairs::of(&[a, b])?;
    let values = pairs.each(|[i, j]| function(x[i], y[j]));
    Ok(Tensor::new(&pairs.shape, Data::Bool(values)))
}

/// `Where`: elements of one constant or the other.
pub fn choose(condition: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor, Problem> {
    let Data::Bool(condition_values) = &condition.data else {
        return unsupported("its condition is no truth value");
    };
    let pairs = Pairs::of(&[condition, a, b])?;
    let places = pairs.each(|[c, i, j]| (condition_values[c], i, j));
    macro_rules! chosen {
        ($($kind:ident),*) => {
            match (&a.data, &b.data) {
                $((Data::$kind(x), Data::$kind(y)) => Data::$kind(
                    places.iter().map(|&(first, i, j)| if first { x[i] } else { y[j] }).collect(),
                ),)*
                _ => return unsupported("chooses between constants of different types"),
            }
        };
    }
    Ok(Tensor::new(&pairs.shape, chosen!(F32, I64, I32, I8, U8, Bool)))
}

/// `Expand`: a constant repeated to a shape.
pub fn expand(input: &Tensor, sizes: &[i64]) -> Result<Tensor, Problem> {
    let Some(wanted) = sizes.iter().map(|&size| usize::try_from(size).ok()).collect::<Option<Vec<_>>>()
    else {
        return unsupported(format!("expands to {sizes:?}"));
    };
    let pairs = Pairs::of_shapes(&[&input.shape, &wanted], input.data.len())?;
    let places = pairs.each(|[at, _]| at);
    Ok(pick(input, &pairs.shape, places.into_iter()))
}

/// The positions of several constants that are broadcast to one shape.
struct Pairs<'a, const N: usize> {
    shape: Vec<usize>,
    shapes: [&'a [usize]; N],
}

impl<'a, const N: usize> Pairs<'a, N> {
    fn of(tensors: &[&'a Tensor; N]) -> Result<Self, Problem> {
        let largest = tensors.iter().map(|tensor| tensor.data.len()).max().unwrap_or(0);
        Self::of_shapes(&tensors.map(|tensor| &*tensor.shape), largest)
    }

    fn of_shapes(shapes: &[&'a [usize]; N], largest: usize) -> Result<Self, Problem> {
        let rank = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
        let mut shape = vec![1; rank];
        for own in shapes {
            for (size, &own) in shape[rank - own.len()..].iter_mut().zip(*own) {
                match (*size, own) {
                    (a, b) if a == b || b == 1 => {}
                    (1, other) => *size = other,
                    _ => return unsupported(format!("constants of {shapes:?}")),
                }
            }
        }
        let count = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        if count.is_none_or(|count| count > LIMIT.max(largest)) {
            return unsupported(format!("constants of {shapes:?} make too large a tensor"));
        }
        Ok(Self { shape, shapes: *shapes })
    }

    fn each<T>(&self, element: impl Fn([usize; N]) -> T) -> Vec<T> {
        let count = self.shape.iter().product();
        let place = |shape: &[usize], mut index: usize| {
            let (mut place, mut stride) = (0, 1);
            for (axis, &whole) in self.shape.iter().enumerate().rev() {
                let own = (axis + shape.len()).checked_sub(self.shape.len()).map_or(1, |own| shape[own]);
                place += if own == 1 { 0 } else { index % whole * stride };
                stride *= own;
                index /= whole;
            }
            place
        };
        (0..count).map(|index| element(self.shapes.map(|shape| place(shape, index)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_broadcast() {
        let column = Tensor::f32(&[2, 1], vec![1.0, 3.0]);
        let row = Tensor::f32(&[3], vec![0.0, 2.0, 4.0]);
        let greater = compare(&column, &row, |a, b| a > b).unwrap();
        assert_eq!(greater, Tensor::new(&[2, 3], Data::Bool(vec![true, false, false, true, true, false])));
        let chosen = choose(&greater, &column, &row).unwrap();
        assert_eq!(chosen, Tensor::f32(&[2, 3], vec![1.0, 2.0, 4.0, 3.0, 3.0, 4.0]));
        assert_eq!(expand(&column, &[1, 2]).unwrap(), Tensor::f32(&[2, 2], vec![1.0, 1.0, 3.0, 3.0]));
        assert_eq!(expand(&row, &[2, 1]).unwrap().shape, [2, 3], "the larger of both counts");
        assert!(expand(&row, &[4]).is_err() && expand(&row, &[1 << 20, 1]).is_err());
        assert_eq!(expand(&row, &[0, 3]).unwrap().data.len(), 0);
    }
}
