//! What a model file says beside its graph: labels, normalization and preprocessing in `metadata_props`, the
//! same way in float and int8 files. `docs/model-file.md` specifies the keys for other programs.

use std::collections::BTreeMap;

use goldcrest_engine::picture::{Fit, Preprocessing};
use goldcrest_quantize::graph::{ModelInfo, Normalization};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Key of the labels: a JSON array of strings in the order of the logits.
pub const LABELS: &str = "goldcrest.labels";
/// Key of the normalization: a JSON object `{"mean": [..], "std": [..]}`, one entry per channel.
pub const NORMALIZATION: &str = "goldcrest.normalization";
/// Key of the preprocessing: a JSON object `{"version": 1, "channels": "rgb", "fit": "whole", "background":
/// [255, 255,
/// 255]}`.
pub const PREPROCESSING: &str = "goldcrest.preprocessing";
/// The version of [`PREPROCESSING`] that is written and read.
pub const VERSION: u32 = 1;

/// Why a file's labels or normalization cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InfoError {
    /// The text under a key is not the JSON it should be.
    #[error("metadata `{key}` is not what Goldcrest writes there: {source}")]
    Json { key: &'static str, source: serde_json::Error },
    /// Longer than labels and scales of any network are.
    #[error("metadata `{key}` has {length} characters, more than {most}")]
    Long { key: &'static str, length: usize, most: usize },
    /// A list has another length than the network's channels or classes.
    #[error("metadata `{key}` has {found} entries, the network has {expected}")]
    Count { key: &'static str, found: usize, expected: usize },
    /// A mean or standard deviation that pixels cannot be normalized with.
    #[error("metadata `{NORMALIZATION}`: mean {mean} and std {std}; std must be positive, both finite")]
    Normalization { mean: f32, std: f32 },
    /// The preprocessing of a later version.
    #[error(
        "metadata `{PREPROCESSING}` has version {found}, this Goldcrest reads {VERSION}; take a newer one"
    )]
    Version { found: u32 },
    /// A fit that does not exist.
    #[error("metadata `{PREPROCESSING}`: unknown fit `{found}`; known are \
         {}", Fit::ALL.map(Fit::name).join(", "))]
    Fit { found: String },
    /// A colour form that is not the input's.
    #[error("metadata `{PREPROCESSING}` says `{found}`, but the network's input has {channels} channel(s)")]
    Channels { found: String, channels: usize },
}

/// Maximum number of characters of one entry: parsed, they take many times as much.
const LONGEST: usize = 1 << 17;

/// Maximum number of characters of a normalization or preprocessing: pictures have few channels.
const LONGEST_NUMBERS: usize = 1 << 12;

/// The text under a key, if it is there.
///
/// # Errors
/// When it is too long to be what Goldcrest writes.
pub fn entry<'a>(
    metadata: &'a BTreeMap<String, String>,
    key: &'static str,
) -> Result<Option<&'a str>, InfoError> {
    let most = if [NORMALIZATION, PREPROCESSING].contains(&key) { LONGEST_NUMBERS } else { LONGEST };
    match metadata.get(key) {
        Some(text) if text.len() > most => Err(InfoError::Long { key, length: text.len(), most }),
        text => Ok(text.map(String::as_str)),
    }
}

/// The labels in a text, at most as many as there should be, and how many there are more.
fn labels(text: &str, expected: usize) -> Result<(Vec<String>, usize), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let labels = json.deserialize_seq(Labels { expected })?;
    json.end()?;
    Ok(labels)
}

/// Reads a list of strings, as many as there should be, and counts the rest.
struct Labels {
    expected: usize,
}

impl<'de> Visitor<'de> for Labels {
    type Value = (Vec<String>, usize);

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut labels = Vec::with_capacity(self.expected);
        while labels.len() < self.expected {
            match list.next_element()? {
                Some(label) => labels.push(label),
                None => return Ok((labels, 0)),
            }
        }
        let mut more = 0;
        while list.next_element::<IgnoredAny>()?.is_some() {
            more += 1;
        }
        Ok((labels, more))
    }
}

#[derive(Serialize, Deserialize)]
struct NormalizationJson {
    mean: Vec<f32>,
    std: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
struct PreprocessingJson {
    version: u32,
    channels: String,
    fit: String,
    background: [u8; 3],
}

/// Only the version, which a later form has too.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// How the channels of an input are named; `None` for an input of neither gray nor RGB pictures.
pub fn channels_name(channels: usize) -> Option<&'static str> {
    match channels {
        1 => Some("gray"),
        3 => Some("rgb"),
        _ => None,
    }
}

/// The preprocessing in a text, for an input of that many channels.
fn preprocessing(text: &str, channels: usize) -> Result<Preprocessing, InfoError> {
    let json = |source| InfoError::Json { key: PREPROCESSING, source };
    let Versioned { version: found } = serde_json::from_str(text).map_err(json)?;
    if found != VERSION {
        return Err(InfoError::Version { found });
    }
    let stated: PreprocessingJson = serde_json::from_str(text).map_err(json)?;
    if channels_name(channels) != Some(&*stated.channels) {
        return Err(InfoError::Channels { found: stated.channels, channels });
    }
    let fit = Fit::from_name(&stated.fit).ok_or(InfoError::Fit { found: stated.fit })?;
    Ok(Preprocessing { fit, background: stated.background })
}

/// Writes labels, normalization and preprocessing into a model's metadata.
pub fn write(info: &ModelInfo, metadata: &mut BTreeMap<String, String>) {
    let Normalization { mean, std } = info.normalization.clone();
    if let Some(channels) = channels_name(mean.len()) {
        write_preprocessing(info.preprocessing, channels, metadata);
    }
    metadata.insert(LABELS.into(), serde_json::json!(info.labels).to_string());
    metadata.insert(NORMALIZATION.into(), serde_json::json!(NormalizationJson { mean, std }).to_string());
}

/// Writes the preprocessing of an input with these channels ([`channels_name`]) into a model's metadata.
pub fn write_preprocessing(
    Preprocessing { fit, background }: Preprocessing,
    channels: &str,
    metadata: &mut BTreeMap<String, String>,
) {
    let json = PreprocessingJson {
        version: VERSION,
        channels: channels.to_owned(),
        fit: fit.name().to_owned(),
        background,
    };
    metadata.insert(PREPROCESSING.into(), serde_json::json!(json).to_string());
}

/// Reads labels, normalization and preprocessing for a network with that many input channels and classes. A
/// file without them gets the labels `0`, `1`, ..., pixels in `0..=1` and the whole of each picture.
///
/// # Errors
/// When the metadata is there but malformed, or does not fit the network.
pub fn read(
    metadata: &BTreeMap<String, String>,
    channels: usize,
    classes: usize,
) -> Result<ModelInfo, InfoError> {
    let (labels, more) = match entry(metadata, LABELS)? {
        Some(text) => labels(text, classes).map_err(|source| InfoError::Json { key: LABELS, source })?,
        None => ((0..classes).map(|class| class.to_string()).collect(), 0),
    };
    let normalization = match entry(metadata, NORMALIZATION)? {
        Some(text) => {
            serde_json::from_str(text).map_err(|source| InfoError::Json { key: NORMALIZATION, source })?
        }
        None => NormalizationJson { mean: vec![0.0; channels], std: vec![1.0; channels] },
    };
    let NormalizationJson { mean, std } = normalization;
    let count = |key, found, expected| match found == expected {
        true => Ok(()),
        false => Err(InfoError::Count { key, found, expected }),
    };
    count(LABELS, labels.len() + more, classes)?;
    count(NORMALIZATION, mean.len(), channels)?;
    count(NORMALIZATION, std.len(), channels)?;
    for (&mean, &std) in mean.iter().zip(&std) {
        if !mean.is_finite() || !std.is_finite() || std <= 0.0 {
            return Err(InfoError::Normalization { mean, std });
        }
    }
    let preprocessing = match entry(metadata, PREPROCESSING)? {
        Some(text) => preprocessing(text, channels)?,
        None => Preprocessing::default(),
    };
    Ok(ModelInfo { labels, normalization: Normalization { mean, std }, preprocessing })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> ModelInfo {
        let normalization = Normalization { mean: vec![0.1, 0.2, 0.3], std: vec![0.5, 1.0, 2.0] };
        let preprocessing = Preprocessing { fit: Fit::Letterbox, background: [1, 2, 250] };
        ModelInfo { labels: vec!["cat \"x\"".into(), "dög".into()], normalization, preprocessing }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut metadata = BTreeMap::new();
        write(&info(), &mut metadata);
        assert_eq!(read(&metadata, 3, 2).unwrap(), info());
    }

    #[test]
    fn a_file_without_metadata_gets_numbers_and_plain_pixels() {
        let info = read(&BTreeMap::new(), 1, 2).unwrap();
        assert_eq!(info.labels, ["0", "1"]);
        assert_eq!(info.normalization, Normalization { mean: vec![0.0], std: vec![1.0] });
        assert_eq!(info.preprocessing, Preprocessing::default());
    }

    #[test]
    fn preprocessing_that_cannot_be_followed_is_named() {
        let read = |text: &str| {
            let metadata = BTreeMap::from([(PREPROCESSING.to_owned(), text.to_owned())]);
            read(&metadata, 3, 2).map(|info| info.preprocessing).map_err(|error| error.to_string())
        };
        let whole =
            r#"{"version": 1, "channels": "rgb", "fit": "middle", "background": [0, 0, 0], "later": true}"#;
        assert_eq!(read(whole), Ok(Preprocessing { fit: Fit::Middle, background: [0; 3] }));
        for (text, says) in [
            (r#"{"version": 2, "warp": "fisheye"}"#, "version 2"),
            (
                &whole.replace("middle", "fisheye"),
                "unknown fit `fisheye`; known are whole, middle, letterbox",
            ),
            (&whole.replace("rgb", "gray"), "says `gray`, but the network's input has 3 channel(s)"),
            ("{}", "goldcrest.preprocessing"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(says), "{text}: {message}");
        }
    }

    #[test]
    fn metadata_that_does_not_fit_is_named() {
        let mut metadata = BTreeMap::new();
        write(&info(), &mut metadata);
        let message = read(&metadata, 3, 10).unwrap_err().to_string();
        assert_eq!(message, "metadata `goldcrest.labels` has 2 entries, the network has 10");
        metadata.insert(NORMALIZATION.into(), r#"{"mean": [0, 0, 0], "std": [1, 0, 1]}"#.into());
        assert!(matches!(read(&metadata, 3, 2), Err(InfoError::Normalization { std: 0.0, .. })));
        metadata.insert(LABELS.into(), "[\"a\"".into());
        assert!(matches!(read(&metadata, 3, 1), Err(InfoError::Json { key: LABELS, .. })));
        metadata.insert(LABELS.into(), "cat, dog".into());
        assert!(matches!(read(&metadata, 3, 2), Err(InfoError::Json { key: LABELS, .. })));
    }
}
