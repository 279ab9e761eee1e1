//! What a command line must know of an option, and the types that options have.

use std::path::PathBuf;

use super::recipe::Optimizer;
use super::schedule::Shape;

/// An option: a key of recipe files, and a flag of the same name.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub(super) field: &'static str,
    /// What it does, a line each.
    pub help: &'static [&'static str],
    /// What help calls its value.
    pub value: &'static str,
    /// Its default, as a person would type it; empty where there is none.
    pub default: fn() -> String,
    /// From what was typed to the value of a TOML key; the error says what is expected.
    pub parse: fn(&str) -> Result<toml::Value, String>,
    /// The words that it takes, where it takes only some.
    pub choices: &'static [&'static str],
}

impl Key {
    /// The key in a recipe file, and the flag without its dashes.
    pub fn name(&self) -> String {
        self.field.replace('_', "-")
    }
}

/// A type of options.
pub(super) trait Value {
    /// The words that stand for its values, where there are only some.
    const CHOICES: &'static [&'static str] = &[];

    fn show(&self) -> String;
    fn parse(text: &str) -> Result<toml::Value, String>;
}

fn number<T: std::str::FromStr>(text: &str, expected: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("expected {expected}"))
}

impl Value for usize {
    fn show(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Result<toml::Value, String> {
        number(text, "a whole number from 0 on").map(|value: u32| i64::from(value).into())
    }
}

impl Value for u64 {
    fn show(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Result<toml::Value, String> {
        number(text, "a whole number from 0 to 2^63 - 1")
            .and_then(|value: u64| i64::try_from(value).map_err(|_| "expected at most 2^63 - 1".to_owned()))
            .map(toml::Value::from)
    }
}

impl Value for f32 {
    fn show(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Result<toml::Value, String> {
        number(text, "a number").map(|value: f64| value.into())
    }
}

impl Value for bool {
    fn show(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Result<toml::Value, String> {
        number(text, "true or false").map(|value: bool| value.into())
    }
}

impl Value for String {
    fn show(&self) -> String {
        self.clone()
    }

    fn parse(text: &str) -> Result<toml::Value, String> {
        Ok(text.into())
    }
}

impl Value for PathBuf {
    fn show(&self) -> String {
        self.display().to_string()
    }

    fn parse(text: &str) -> Result<toml::Value, String> {
        Ok(text.into())
    }
}

impl<T: Value> Value for Vec<T> {
    fn show(&self) -> String {
        self.iter().map(Value::show).collect::<Vec<_>>().join(",")
    }

    fn parse(text: &str) -> Result<toml::Value, String> {
        text.split(',').map(T::parse).collect::<Result<Vec<_>, _>>().map(toml::Value::Array)
    }
}

/// An enum whose values are words.
macro_rules! words {
    ($type:ty: $($value:path = $word:literal),+) => {
        impl Value for $type {
            const CHOICES: &'static [&'static str] = &[$($word),+];

            fn show(&self) -> String {
                match self { $($value => $word),+ }.to_owned()
            }

            fn parse(text: &str) -> Result<toml::Value, String> {
                match <Self as Value>::CHOICES.contains(&text) {
                    true => Ok(text.into()),
                    false => Err(format!("expected one of {}", <Self as Value>::CHOICES.join(", "))),
                }
            }
        }
    };
}

words!(Optimizer: Optimizer::Sgd = "sgd", Optimizer::AdamW = "adamw");
words!(
    Shape: Shape::Constant = "constant",
    Shape::Step = "step",
    Shape::Cosine = "cosine",
    Shape::OneCycle = "one-cycle"
);

#[cfg(test)]
mod tests {
    use super::super::recipe::{KEYS, RecipeOptions};

    #[test]
    fn every_default_is_a_value_of_its_key() {
        for key in KEYS.iter().filter(|key| !(key.default)().is_empty()) {
            let value = (key.parse)(&(key.default)()).unwrap();
            let table = toml::Table::from_iter([(key.name(), value)]);
            RecipeOptions::of_table(&table).unwrap_or_else(|error| panic!("{}: {error}", key.name()));
        }
    }

    #[test]
    fn what_a_key_does_not_take_says_what_it_does() {
        let parse = |name: &str, text: &str| {
            let key = KEYS.iter().find(|key| key.name() == name).unwrap();
            (key.parse)(text).unwrap_err()
        };
        assert_eq!(parse("epochs", "-1"), "expected a whole number from 0 on");
        assert_eq!(parse("schedule", "up"), "expected one of constant, step, cosine, one-cycle");
        assert_eq!(parse("mean", "0.1,x"), "expected a number");
    }
}
