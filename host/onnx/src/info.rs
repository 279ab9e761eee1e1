//! What a model file says beside its graph: labels and normalization in `metadata_props`, the same
//! way in float and int8 files.

use std::collections::BTreeMap;

use goldcrest_quantize::graph::{ModelInfo, Normalization};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Key of the labels: a JSON array of strings in the order of the logits.
pub const LABELS: &str = "goldcrest.labels";
/// Key of the normalization: a JSON object `{"mean": [..], "std": [..]}`, one entry per channel.
pub const NORMALIZATION: &str = "goldcrest.normalization";

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
}

/// Most characters of one entry: parsed, they take many times as much.
const LONGEST: usize = 1 << 17;

/// Most characters of a normalization: pictures have few channels.
const LONGEST_NORMALIZATION: usize = 1 << 12;

/// The text under a key, if it is there.
///
/// # Errors
/// When it is too long to be what Goldcrest writes.
pub fn entry<'a>(
    metadata: &'a BTreeMap<String, String>,
    key: &'static str,
) -> Result<Option<&'a str>, InfoError> {
    let most = if key == NORMALIZATION { LONGEST_NORMALIZATION } else { LONGEST };
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

/// Reads a list of strings into room for as many as there should be, and counts those that are more.
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

/// Writes labels and normalization into a model's metadata.
pub fn write(info: &ModelInfo, metadata: &mut BTreeMap<String, String>) {
    let Normalization { mean, std } = info.normalization.clone();
    metadata.insert(LABELS.into(), serde_json::json!(info.labels).to_string());
    metadata.insert(NORMALIZATION.into(), serde_json::json!(NormalizationJson { mean, std }).to_string());
}

/// Reads labels and normalization for a network with that many input channels and classes. A file
/// without them gets the labels `0`, `1`, ... and pixels in `0..=1`.
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
    Ok(ModelInfo { labels, normalization: Normalization { mean, std } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> ModelInfo {
        let normalization = Normalization { mean: vec![0.1, 0.2, 0.3], std: vec![0.5, 1.0, 2.0] };
        ModelInfo { labels: vec!["cat \"x\"".into(), "dög".into()], normalization }
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
