//! Symbolic dimensions.

use std::fmt;

use crate::Dimension;

/// A shape as people write it: `[N, 3, 32, 32]`.
pub(super) struct Shown<'a>(pub &'a [Dimension]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[")?;
        for (index, dimension) in self.0.iter().enumerate() {
            if index > 0 {
                write!(f, ", ")?;
            }
            match dimension {
                Dimension::Fixed(size) => write!(f, "{size}")?,
                Dimension::Named(name) if name.is_empty() => write!(f, "?")?,
                Dimension::Named(name) => write!(f, "{name}")?,
            }
        }
        write!(f, "]")
    }
}

/// The product of dimensions: a number, or a number times symbols, as in `400*N`. An anonymous
/// dimension makes the product anonymous.
pub fn product(dimensions: &[Dimension]) -> Dimension {
    let (size, mut names) = factors(dimensions);
    if size == 0 || names.is_empty() {
        return Dimension::Fixed(size);
    }
    // A network multiplies its batch by numbers; squaring symbols again and again is not a network.
    if names.contains(&"") || names.len() > 4 {
        return Dimension::Named(String::new());
    }
    names.sort_unstable();
    let names = names.join("*");
    Dimension::Named(if size == 1 { names } else { format!("{size}*{names}") })
}

/// `whole / part` when both differ by a number only, as in `[N, 400] / [400] = N`, else `None`.
pub(super) fn quotient(whole: &[Dimension], part: &[Dimension]) -> Option<Dimension> {
    let ((size, mut names), (divisor, divisor_names)) = (factors(whole), factors(part));
    for name in divisor_names {
        let position = names.iter().position(|&other| other == name)?;
        names.swap_remove(position);
    }
    if divisor == 0 || size % divisor != 0 {
        return None;
    }
    let mut rest: Vec<Dimension> = names.into_iter().map(|name| Dimension::Named(name.into())).collect();
    rest.push(Dimension::Fixed(size / divisor));
    Some(product(&rest))
}

/// Splits dimensions into a number and symbols; `400*N` counts as 400 and `N`.
fn factors(dimensions: &[Dimension]) -> (i64, Vec<&str>) {
    let (mut size, mut names) = (1i64, Vec::new());
    for dimension in dimensions {
        match dimension {
            Dimension::Fixed(value) => size = size.saturating_mul(*value),
            Dimension::Named(name) => {
                for factor in name.split('*') {
                    match factor.parse::<i64>() {
                        Ok(value) => size = size.saturating_mul(value),
                        Err(_) => names.push(factor),
                    }
                }
            }
        }
    }
    (size, names)
}
