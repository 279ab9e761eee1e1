//! int8 tensors inside messages.

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// int8 values, borrowed from an activation (to send) or from a received payload. On the wire: the
/// count as a varint, then one byte each, two's complement.
#[derive(Clone, Copy)]
pub struct Values<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    Signed(&'a [i8]),
    Wire(&'a [u8]),
}

impl<'a> Values<'a> {
    /// Values to send.
    pub const fn new(values: &'a [i8]) -> Self {
        Self(Source::Signed(values))
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        match self.0 {
            Source::Signed(values) => values.len(),
            Source::Wire(bytes) => bytes.len(),
        }
    }

    /// True when there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = i8> + 'a {
        let (signed, wire): (&[i8], &[u8]) = match self.0 {
            Source::Signed(values) => (values, &[]),
            Source::Wire(bytes) => (&[], bytes),
        };
        signed.iter().copied().chain(wire.iter().map(|&byte| byte as i8))
    }
}

impl PartialEq for Values<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Values<'_> {}

impl core::fmt::Debug for Values<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            // postcard writes a sequence of i8 exactly as it writes bytes.
            Source::Signed(values) => serializer.collect_seq(values),
            Source::Wire(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Values<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowed;
        impl<'de> Visitor<'de> for Borrowed {
            type Value = Values<'de>;
            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("int8 values")
            }
            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Values(Source::Wire(bytes)))
            }
        }
        deserializer.deserialize_bytes(Borrowed)
    }
}
