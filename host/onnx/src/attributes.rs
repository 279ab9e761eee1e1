//! The attributes of a node by name.

use super::Attribute;

/// Attributes, ordered by name. A node has few, so this is a list without room for more: a tree's leaf alone
/// would take a kilobyte.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(Vec<(String, Attribute)>);

impl Attributes {
    /// No attributes yet, and room for some.
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(name))
    }

    /// The attribute with a name.
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        Some(&self.0[self.place(name).ok()?].1)
    }

    /// Whether there is an attribute with a name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// Adds an attribute; returns the one that had the name before.
    pub fn insert(&mut self, name: String, value: Attribute) -> Option<Attribute> {
        match self.place(&name) {
            Ok(place) => Some(std::mem::replace(&mut self.0[place].1, value)),
            Err(place) => {
                if self.0.len() == self.0.capacity() {
                    self.0.reserve_exact(1);
                }
                self.0.insert(place, (name, value));
                None
            }
        }
    }

    /// Takes an attribute away.
    pub fn remove(&mut self, name: &str) -> Option<Attribute> {
        Some(self.0.remove(self.place(name).ok()?).1)
    }

    /// Names and values in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Attribute)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Values in the order of their names.
    pub fn values(&self) -> impl Iterator<Item = &Attribute> {
        self.0.iter().map(|(_, value)| value)
    }
}

impl Extend<(String, Attribute)> for Attributes {
    fn extend<T: IntoIterator<Item = (String, Attribute)>>(&mut self, attributes: T) {
        attributes.into_iter().for_each(|(name, value)| drop(self.insert(name, value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_order() {
        let mut attributes = Attributes::default();
        attributes
            .extend(["pads", "axis", "pads"].map(str::to_owned).into_iter().zip((0..).map(Attribute::Int)));
        let found: Vec<_> = attributes.iter().collect();
        assert_eq!(found, [("axis", &Attribute::Int(1)), ("pads", &Attribute::Int(2))]);
        assert_eq!(attributes.get("pads"), Some(&Attribute::Int(2)));
        assert_eq!(attributes.remove("axis"), Some(Attribute::Int(1)));
        assert!(!attributes.contains_key("axis") && attributes.get("axis").is_none());
    }
}
