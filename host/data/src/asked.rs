//! What is asked of the images of a data set: by a user, a recipe, or the model that shall see them.

use goldcrest_engine::picture::{Fit, Preprocessing};

use super::Options;

/// What is asked of images; what is `None` was not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Rows and columns.
    pub resize: Option<[usize; 2]>,
    /// Which part of a picture becomes the image.
    pub fit: Option<Fit>,
    /// 1: gray, 3: RGB.
    pub channels: Option<usize>,
    /// RGB below transparent pixels, and of bars.
    pub background: Option<[u8; 3]>,
}

/// A key that two sides give another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The key, one of [`Asked::KEYS`].
    pub key: &'static str,
    /// The one side's value.
    pub mine: String,
    /// The other side's.
    pub theirs: String,
}

impl Asked {
    /// The keys, as flags and recipes name them.
    pub const KEYS: [&'static str; 4] = ["resize", "fit", "channels", "background"];

    /// What is expected as the value of a key.
    pub fn expected(key: &str) -> &'static str {
        match key {
            "resize" => "rows and columns, as in 32x32",
            "fit" => "whole, middle or letterbox",
            "channels" => "rgb or gray",
            _ => "white, black, or a colour as in #808080",
        }
    }

    /// Gives a key its value; the error says what is expected.
    ///
    /// # Errors
    /// A text that is not a value of the key.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), &'static str> {
        let expected = Self::expected(key);
        match key {
            "resize" => self.resize = Some(size(text).ok_or(expected)?),
            "fit" => self.fit = Some(Fit::from_name(text).ok_or(expected)?),
            "channels" => {
                self.channels = Some(match text {
                    "rgb" => 3,
                    "gray" => 1,
                    _ => return Err(expected),
                });
            }
            _ => self.background = Some(colour(text).ok_or(expected)?),
        }
        Ok(())
    }

    /// The value of a key as text.
    pub fn get(&self, key: &str) -> Option<String> {
        match key {
            "resize" => self.resize.map(|[rows, columns]| format!("{rows}x{columns}")),
            "fit" => self.fit.map(|fit| fit.to_string()),
            "channels" => self.channels.map(|channels| if channels == 1 { "gray" } else { "rgb" }.to_owned()),
            _ => self.background.map(|[red, green, blue]| format!("#{red:02x}{green:02x}{blue:02x}")),
        }
    }

    /// What is asked here, completed by `others`.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            resize: self.resize.or(others.resize),
            fit: self.fit.or(others.fit),
            channels: self.channels.or(others.channels),
            background: self.background.or(others.background),
        }
    }

    /// The first key to which both give a value, and not the same.
    pub fn conflict(&self, others: &Self) -> Option<Conflict> {
        Self::KEYS.into_iter().find_map(|key| {
            let (mine, theirs) = (self.get(key)?, others.get(key)?);
            (mine != theirs).then_some(Conflict { key, mine, theirs })
        })
    }

    /// The rule, with defaults for what was not said.
    pub fn preprocessing(&self) -> Preprocessing {
        let default = Preprocessing::default();
        Preprocessing {
            fit: self.fit.unwrap_or(default.fit),
            background: self.background.unwrap_or(default.background),
        }
    }

    /// Options to open a data set with.
    pub fn options(&self, options: Options) -> Options {
        let (resize, channels) = (self.resize, self.channels);
        Options { resize, channels, preprocessing: self.preprocessing(), ..options }
    }
}

fn size(text: &str) -> Option<[usize; 2]> {
    let side = |text: &str| text.parse::<usize>().ok().filter(|&side| side > 0);
    let (rows, columns) = text.split_once('x').unwrap_or((text, text));
    Some([side(rows)?, side(columns)?])
}

fn colour(text: &str) -> Option<[u8; 3]> {
    match text {
        "white" => Some([255; 3]),
        "black" => Some([0; 3]),
        _ => {
            let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii())?;
            let value = u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
            Some([(value >> 16) as u8, (value >> 8) as u8, value as u8])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written() {
        let mut asked = Asked::default();
        assert!(Asked::KEYS.iter().all(|key| asked.get(key).is_none()));
        for (key, text, written) in [
            ("resize", "32x48", "32x48"),
            ("resize", "32", "32x32"),
            ("fit", "letterbox", "letterbox"),
            ("channels", "gray", "gray"),
            ("background", "white", "#ffffff"),
            ("background", "#0180ff", "#0180ff"),
        ] {
            asked.set(key, text).unwrap();
            assert_eq!(asked.get(key).as_deref(), Some(written));
        }
        for (key, text) in [
            ("resize", "0x3"),
            ("resize", "3x"),
            ("fit", "fisheye"),
            ("channels", "bgr"),
            ("background", "#12345"),
            ("background", "#+12345"),
        ] {
            assert_eq!(asked.set(key, text), Err(Asked::expected(key)), "{text}");
        }
    }

    #[test]
    fn sides_that_contradict_are_found() {
        let mine = Asked { fit: Some(Fit::Whole), resize: Some([32, 32]), ..Asked::default() };
        let theirs = Asked { fit: Some(Fit::Middle), channels: Some(1), ..Asked::default() };
        let (key, mine_text, theirs_text) = ("fit", "whole".to_owned(), "middle".to_owned());
        assert_eq!(mine.conflict(&theirs), Some(Conflict { key, mine: mine_text, theirs: theirs_text }));
        assert_eq!(mine.conflict(&Asked { channels: Some(1), ..mine }), None);
        let both = mine.or(theirs);
        assert_eq!((both.fit, both.channels, both.resize), (Some(Fit::Whole), Some(1), Some([32, 32])));
    }
}
