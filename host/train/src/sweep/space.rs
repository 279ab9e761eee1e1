//! What a sweep varies: the `[search]` table of a recipe.
//!
//! ```toml
//! [search]
//! learning-rate = { low = 0.005, high = 0.5, log = true }
//! momentum = { low = 0.5, high = 0.95 }
//! batch = { low = 32, high = 256, log = true }    # whole numbers: whole draws
//! augment = { choices = ["flip", "flip,crop=4", "flip,crop=4,cutmix=1"] }
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Table, Value};

/// The dimensions of a search, by the recipe's keys.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Space {
    dimensions: BTreeMap<Key, Dimension>,
}

/// A key of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Key(String);

impl TryFrom<String> for Key {
    type Error = String;

    fn try_from(key: String) -> Result<Self, String> {
        // What decides how trials compare cannot itself be varied.
        const FIXED: [&str; 3] = ["epochs", "validate", "seed"];
        let keys =
            crate::training::recipe::KEYS.iter().map(crate::training::recipe::Key::name).collect::<Vec<_>>();
        let keys: Vec<String> = keys.into_iter().filter(|known| !FIXED.contains(&known.as_str())).collect();
        match keys.contains(&key) {
            true => Ok(Self(key)),
            false => Err(format!("`{key}` cannot be searched, expected one of {}", keys.join(", "))),
        }
    }
}

/// The values one key can take.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Given")]
pub enum Dimension {
    /// Numbers from `low` to `high`, evenly spread, or evenly on a logarithmic scale.
    Range {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// As many draws between 0.001 and 0.01 as between 0.01 and 0.1.
        log: bool,
        /// Whole numbers only.
        whole: bool,
    },
    /// One of these.
    Choices(Vec<Value>),
}

/// A dimension as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    low: Option<Value>,
    high: Option<Value>,
    #[serde(default)]
    log: bool,
    choices: Option<Vec<Value>>,
}

impl TryFrom<Given> for Dimension {
    type Error = &'static str;

    fn try_from(given: Given) -> Result<Self, Self::Error> {
        let (low, high) = match given {
            Given { low: None, high: None, log: false, choices: Some(choices) } if !choices.is_empty() => {
                return Ok(Self::Choices(choices));
            }
            Given { low: Some(low), high: Some(high), choices: None, .. } => (low, high),
            _ => {
                return Err("give `low` and `high` (and `log = true`), or `choices` with at least one value");
            }
        };
        let whole = matches!((&low, &high), (Value::Integer(_), Value::Integer(_)));
        let number = |value: Value| match value {
            Value::Integer(value) => Some(value as f64),
            Value::Float(value) => Some(value),
            _ => None,
        };
        match (number(low), number(high)) {
            (Some(low), Some(high))
                if low < high && (high - low).is_finite() && (!given.log || low > 0.0) =>
            {
                Ok(Self::Range { low, high, log: given.log, whole })
            }
            _ => Err("`low` and `high` are numbers, `low` the lower one, above 0 where `log = true`"),
        }
    }
}

impl Space {
    /// The dimensions in the order of their keys.
    pub fn dimensions(&self) -> impl Iterator<Item = (&str, &Dimension)> {
        self.dimensions.iter().map(|(key, dimension)| (key.0.as_str(), dimension))
    }

    /// True when nothing varies.
    pub fn is_empty(&self) -> bool {
        self.dimensions.is_empty()
    }
}

impl Dimension {
    /// The numbers that a sampler draws from, as start and end (which is not drawn).
    pub fn span(&self) -> (f64, f64) {
        match *self {
            Self::Choices(ref choices) => (0.0, choices.len() as f64),
            Self::Range { low, high, log, whole } => {
                let high = if whole { high + 1.0 } else { high };
                if log { (low.ln(), high.ln()) } else { (low, high) }
            }
        }
    }

    /// The value that a drawn number stands for.
    pub fn value(&self, drawn: f64) -> Value {
        match *self {
            Self::Choices(ref choices) => choices[(drawn as usize).min(choices.len() - 1)].clone(),
            Self::Range { low, high, log, whole } => {
                let number = if log { drawn.exp() } else { drawn };
                if whole {
                    Value::Integer(number.floor().clamp(low, high) as i64)
                } else {
                    // As many digits as a recipe holds.
                    let rounded = format!("{:.4e}", number.clamp(low, high)).parse().unwrap_or(number);
                    Value::Float(f64::clamp(rounded, low, high))
                }
            }
        }
    }
}

/// A drawn number for each key, and the values they stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// In the order of [`Space::dimensions`].
    pub drawn: Vec<f64>,
    /// Recipe keys with their values.
    pub values: Table,
}

impl Space {
    /// The point of drawn numbers.
    pub fn point(&self, drawn: Vec<f64>) -> Point {
        let values = self.dimensions().zip(&drawn);
        let values = values.map(|((key, dimension), drawn)| (key.to_owned(), dimension.value(*drawn)));
        Point { values: values.collect(), drawn }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Space, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_be_searched_is_shown_with_its_line() {
        for (text, line, words) in [
            ("momentum = { low = 0.5, high = 0.9 }\nmomentun = { low = 0.5, high = 0.9 }", 2, "momentun"),
            ("epochs = { choices = [1, 2] }", 1, "epochs"),
            ("momentum = { low = 0.9, high = 0.5 }", 1, "`low` the lower one"),
            ("\nlearning-rate = { low = 0.0, high = 0.5, log = true }", 2, "above 0"),
            ("momentum = { choices = [] }", 1, "at least one value"),
            ("momentum = { low = 0.5 }", 1, "`low` and `high`"),
            ("momentum = { low = 0.5, high = 0.9, steps = 3 }", 1, "steps"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(&format!("line {line}")) && error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn values_stay_in_their_dimension() {
        let space = parse(
            "batch = { low = 8, high = 64, log = true }\nmomentum = { low = 0.5, high = 0.9 }\n\
             augment = { choices = [\"none\", \"flip\"] }\nlearning-rate = { low = 1e-3, high = 1.0, log = \
             true }",
        )
        .unwrap();
        let keys: Vec<&str> = space.dimensions().map(|(key, _)| key).collect();
        assert_eq!(keys, ["augment", "batch", "learning-rate", "momentum"]);
        let ends =
            |at: fn((f64, f64)) -> f64| space.point(space.dimensions().map(|(_, d)| at(d.span())).collect());
        let (low, high) = (ends(|span| span.0), ends(|span| span.1));
        let number = |point: &Point, key: &str| point.values[key].clone();
        assert_eq!(number(&low, "batch"), Value::Integer(8));
        assert_eq!(number(&high, "batch"), Value::Integer(64));
        assert_eq!(number(&low, "learning-rate"), Value::Float(1e-3));
        assert_eq!(number(&high, "learning-rate"), Value::Float(1.0));
        assert_eq!(number(&high, "momentum"), Value::Float(0.9));
        assert_eq!(number(&high, "augment"), Value::String("flip".into()));
        let middle = space.point(space.dimensions().map(|(_, d)| (d.span().0 + d.span().1) / 2.0).collect());
        assert_eq!(number(&middle, "learning-rate"), Value::Float(0.031623));
    }
}
