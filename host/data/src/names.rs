//! Names of classes: from file systems, and against those of a model.

use unicode_normalization::UnicodeNormalization;

use super::Dataset;

/// A class name in Unicode's composed form (NFC), so that a folder from macOS, which decomposes letters, is
/// the same class as one from elsewhere.
pub(super) fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// Why the classes of a data set are not those of a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamesError {
    /// The names are other ones.
    #[error("the data set's classes are {data}, the model's {model}")]
    Names {
        /// The data set's.
        data: String,
        /// The model's.
        model: String,
    },
}

impl Dataset {
    /// The data set with its classes in the order of a model's; the names must be the same.
    ///
    /// # Errors
    /// [`NamesError`] with both lists.
    pub fn in_order_of(self, names: &[String]) -> Result<Self, NamesError> {
        if self.classes == names {
            return Ok(self);
        }
        let composed_names: Vec<String> = names.iter().map(|name| composed(name)).collect();
        let place = |class: &String| composed_names.iter().position(|name| *name == composed(class));
        let places: Option<Vec<usize>> = self.classes.iter().map(place).collect();
        // As many names, each found, none found twice: the same names.
        let places = places.filter(|places| {
            let mut sorted = places.clone();
            sorted.sort_unstable();
            sorted.into_iter().eq(0..names.len())
        });
        let Some(places) = places else {
            let (data, model) = (listing(&self.classes), listing(names));
            return Err(NamesError::Names { data, model });
        };
        let places: Vec<u16> = places.into_iter().map(|place| place as u16).collect();
        let (train, test) = (self.train.relabelled(&places), self.test.relabelled(&places));
        Ok(Self { classes: names.to_vec(), train, test, ..self })
    }
}

/// Names for a message: how many, and the first of them.
fn listing(names: &[String]) -> String {
    let shown = names.iter().take(12).map(String::as_str).collect::<Vec<_>>().join(", ");
    format!("{} ({shown}{})", names.len(), if names.len() > 12 { ", ..." } else { "" })
}

/// A file's name as text. Bytes that are not UTF-8 and control characters become `\xNN`, so that different
/// names stay different; in such names, and where it stands before an `x`, a backslash is doubled.
pub(super) fn readable(name: &[u8]) -> String {
    let is_plain =
        std::str::from_utf8(name).is_ok_and(|text| !text.contains(char::is_control) && !text.contains("\\x"));
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' if !is_plain => text.push_str("\\\\"),
                character if character.is_control() => {
                    character.to_string().bytes().for_each(|byte| text += &format!("\\x{byte:02x}"));
                }
                character => text.push(character),
            }
        }
        chunk.invalid().iter().for_each(|byte| text += &format!("\\x{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_names_stay_different() {
        let names: [&[u8]; 9] = [
            "café".as_bytes(),
            b"caf\xe9",
            b"caf\xe8",
            b"caf\\xe9",
            b"caf\\\\xe9",
            b"a\\b",
            b"a\x1bb",
            b"a\\x1bb",
            b"a\x07b",
        ];
        let texts: Vec<String> = names.iter().map(|name| readable(name)).collect();
        assert_eq!(texts[..3], ["café", "caf\\xe9", "caf\\xe8"]);
        assert_eq!(texts[5], "a\\b");
        for (index, text) in texts.iter().enumerate() {
            assert!(!texts[..index].contains(text) && !text.contains(char::is_control), "{text}");
        }
    }

    #[test]
    fn letters_are_the_same_composed_or_not() {
        let mut dataset = super::super::glyphs::draw(30, 10, 1);
        dataset.classes[0] = composed("cafe\u{301}");
        assert_eq!(dataset.classes[0], "caf\u{e9}");
        let mut names = dataset.classes.clone();
        names[0] = "cafe\u{301}".into();
        assert_eq!(dataset.in_order_of(&names).unwrap().classes, names);
    }

    #[test]
    fn classes_follow_a_model_by_name() {
        let dataset = super::super::glyphs::draw(30, 10, 1);
        let mut names = dataset.classes.clone();
        names.rotate_left(3);
        let moved = dataset.clone().in_order_of(&names).unwrap();
        for (before, after) in [(&dataset.train, &moved.train), (&dataset.test, &moved.test)] {
            assert_eq!(before.pixels(), after.pixels());
            for index in 0..before.len() {
                assert_eq!(dataset.classes[before.label(index)], names[after.label(index)]);
            }
        }
        names[0] = "kreis".into();
        let message = dataset.clone().in_order_of(&names).unwrap_err().to_string();
        assert!(message.contains("kreis") && message.contains(&dataset.classes[3]), "{message}");
        names[0] = names[1].clone();
        assert!(dataset.clone().in_order_of(&names).is_err());
        assert!(dataset.in_order_of(&[]).is_err());
    }
}
