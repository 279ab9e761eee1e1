//! Event files that TensorBoard reads: the scalars of each epoch.
//!
//! A file is a sequence of TFRecords (length, its checksum, data, its checksum; little-endian, CRC-32C
//! masked), each a protobuf `tensorflow.Event`. Sources: `tensorflow/core/lib/io/record_writer.cc`,
//! `tensorflow/core/util/event.proto`, `tensorflow/core/framework/summary.proto`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crc::{CRC_32_ISCSI, Crc};
use prost::Message;

use super::metrics::Epoch;

const CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, tag = "2")]
    simple_value: f32,
}

/// A file of events; each start of a run has its own, and TensorBoard joins those of a folder.
#[derive(Debug)]
pub struct Events {
    path: PathBuf,
}

impl Events {
    /// Begins a file in `folder`, which is made when missing.
    pub fn create(folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let now = now();
        let events = Self { path: folder.join(format!("events.out.tfevents.{:.0}.goldcrest", 1e3 * now)) };
        let version = Some("brain.Event:2".to_owned());
        events.append(&Event { wall_time: now, step: 0, file_version: version, summary: None })?;
        Ok(events)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds the scalars of an epoch.
    pub fn epoch(&self, epoch: &Epoch) -> std::io::Result<()> {
        let mut scalars = vec![
            ("loss/train", epoch.train_loss),
            ("loss/test", epoch.test_loss),
            ("accuracy/train", epoch.train_accuracy),
            ("accuracy/test", epoch.test_accuracy),
            ("learning_rate", f64::from(epoch.learning_rate)),
            ("samples_per_second", epoch.samples_per_second),
        ];
        scalars.extend(epoch.validation_loss.map(|loss| ("loss/validation", loss)));
        scalars.extend(epoch.validation_accuracy.map(|accuracy| ("accuracy/validation", accuracy)));
        let value = |(tag, value): (&str, f64)| Value { tag: tag.into(), simple_value: value as f32 };
        let summary = Some(Summary { values: scalars.into_iter().map(value).collect() });
        self.append(&Event { wall_time: now(), step: epoch.epoch as i64, file_version: None, summary })
    }

    fn append(&self, event: &Event) -> std::io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        // One write call: whoever reads along sees a record whole or not at all.
        file.write_all(&record(&event.encode_to_vec()))
    }
}

fn now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64())
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), data, &masked(data)].concat()
}

/// A checksum of data that holds checksums would be weak: it is turned and shifted first.
fn masked(data: &[u8]) -> [u8; 4] {
    CHECKSUM.checksum(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A TFRecord of TensorFlow's own: the version event of an empty file at time 0.
    #[test]
    fn records_have_their_form() {
        let record = record(b"abc");
        assert_eq!(record[..8], 3u64.to_le_bytes());
        assert_eq!(record[12..15], *b"abc");
        // CRC-32C of "123456789" is 0xe3069283, from RFC 3720's polynomial.
        assert_eq!(CHECKSUM.checksum(b"123456789"), 0xe306_9283);
        assert_eq!(record[15..], masked(b"abc"));
        assert_eq!(record.len(), 19);
    }

    #[test]
    fn scalars_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let events = Events::create(&folder.path().join("tensorboard")).unwrap();
        let text = r#"{"epoch":3,"train_loss":1.5,"train_accuracy":0.4,"test_loss":1.25,"test_accuracy":0.5,
            "learning_rate":0.1,"samples_per_second":10.0,"seconds":1.0,"waited":0.0}"#;
        events.epoch(&serde_json::from_str(text).unwrap()).unwrap();
        let bytes = std::fs::read(events.path()).unwrap();
        let mut found = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let length = u64::from_le_bytes(*rest.first_chunk().unwrap()) as usize;
            found.push(Event::decode(&rest[12..][..length]).unwrap());
            rest = &rest[length + 16..];
        }
        assert_eq!(found[0].file_version.as_deref(), Some("brain.Event:2"));
        assert_eq!((found.len(), found[1].step), (2, 3));
        let values = &found[1].summary.as_ref().unwrap().values;
        let loss = values.iter().find(|value| value.tag == "loss/test").unwrap();
        assert_eq!((values.len(), loss.simple_value), (6, 1.25));
    }
}
