//! What a user writes after `--data`: the name of a data set or the path to one.

use std::{fmt, path::PathBuf, str::FromStr};

use super::glyphs;

/// Which data set to open. Parsed from text and printed back as the same text:
///
/// * `glyphs`, or `glyphs:TRAIN,TEST` with the number of images: procedural, built in;
/// * `cifar10`: from the cache folder, else the official download;
/// * anything else: the path of an image folder, a `.tar`, a `.tar.gz`, a `.zip`, or a folder or archive
///   with CIFAR-10's binary files. Write `./glyphs` for a folder that has a built-in name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Spec {
    /// The procedural data set with this many images.
    Glyphs {
        /// Training images.
        train: usize,
        /// Test images.
        test: usize,
    },
    /// CIFAR-10, downloaded once.
    Cifar10,
    /// A folder or an archive; which one is found out when it is opened.
    Path(PathBuf),
}

/// A text that names no data set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Nothing was given.
    #[error("empty data set: give a folder, a .tar, .tar.gz or .zip file, `cifar10` or `glyphs`")]
    Empty,
    /// `glyphs:` with something else than two counts in range.
    #[error(
        "`{0}`: after `glyphs:` come the numbers of training and test images, each 1 to {max}, as in \
         `glyphs:8000,2000`",
        max = glyphs::MAX_IMAGES
    )]
    Glyphs(String),
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        match text {
            "" => Err(SpecError::Empty),
            "cifar10" => Ok(Self::Cifar10),
            "glyphs" => Ok(Self::Glyphs { train: glyphs::TRAIN_IMAGES, test: glyphs::TEST_IMAGES }),
            _ => match text.strip_prefix("glyphs:") {
                Some(counts) => {
                    let (train, test) = counts
                        .split_once(',')
                        .and_then(|(train, test)| Some((count(train)?, count(test)?)))
                        .ok_or_else(|| SpecError::Glyphs(text.to_owned()))?;
                    Ok(Self::Glyphs { train, test })
                }
                None => Ok(Self::Path(PathBuf::from(text))),
            },
        }
    }
}

fn count(text: &str) -> Option<usize> {
    text.parse().ok().filter(|count| (1..=glyphs::MAX_IMAGES).contains(count))
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glyphs { train: glyphs::TRAIN_IMAGES, test: glyphs::TEST_IMAGES } => f.write_str("glyphs"),
            Self::Glyphs { train, test } => write!(f, "glyphs:{train},{test}"),
            Self::Cifar10 => f.write_str("cifar10"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for text in ["glyphs", "glyphs:800,200", "cifar10", "./glyphs", "photos/birds.tar.gz", "/a b"] {
            assert_eq!(text.parse::<Spec>().unwrap().to_string(), text);
        }
        assert_eq!("glyphs:8000,2000".parse::<Spec>(), "glyphs".parse());
        assert_eq!("cifar10".parse::<Spec>(), Ok(Spec::Cifar10));
    }

    #[test]
    fn refuses_what_names_nothing() {
        assert_eq!("".parse::<Spec>(), Err(SpecError::Empty));
        for text in ["glyphs:", "glyphs:8000", "glyphs:0,10", "glyphs:10,-1", "glyphs:1,99999999999"] {
            assert_eq!(text.parse::<Spec>(), Err(SpecError::Glyphs(text.to_owned())));
        }
    }
}
