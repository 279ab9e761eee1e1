//! The wire format of protobuf: a message is a list of numbered fields. What they mean is in
//! [`proto`](super::proto).

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// An integer of 1 to 10 bytes.
    Varint(u64),
    /// A number of 4 or 8 bytes.
    Fixed(&'a [u8]),
    /// A message, a string, bytes, or numbers one behind the other.
    Bytes(&'a [u8]),
}

/// The fields of a message in the order of the bytes; `None` stands for bytes that are not a message, and
/// ends them.
#[derive(Clone, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields of a message's bytes.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What the fields of a number hold.
    pub fn with(bytes: &'a [u8], tag: u32) -> impl Iterator<Item = Content<'a>> + Clone {
        Self::of(bytes).flatten().filter(move |(found, _)| *found == tag).map(|(_, content)| content)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u32, Content<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = field(&mut self.0);
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Content<'a>)> {
    let key = varint(bytes)?;
    let content = match key & 7 {
        0 => Content::Varint(varint(bytes)?),
        1 => Content::Fixed(take(bytes, 8)?),
        5 => Content::Fixed(take(bytes, 4)?),
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            Content::Bytes(take(bytes, length)?)
        }
        // ONNX has no groups.
        _ => return None,
    };
    Some((u32::try_from(key >> 3).ok()?, content))
}

/// Integers one behind the other; what is not an integer ends them.
#[derive(Clone, Debug)]
pub struct Varints<'a>(pub &'a [u8]);

impl Iterator for Varints<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        varint(&mut self.0)
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for index in 0..10 {
        let byte = *take(bytes, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << (7 * index).min(63);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// A message as it is written. What equals an absent field, 0 or nothing, is left out, as proto3 asks.
#[derive(Debug, Default)]
pub struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, tag: u32, kind: u32) {
        self.varint((tag << 3 | kind).into());
    }

    /// An integer.
    pub fn integer(&mut self, tag: u32, value: i64) {
        if value != 0 {
            self.present_integer(tag, value);
        }
    }

    /// An integer, also 0.
    pub fn present_integer(&mut self, tag: u32, value: i64) {
        self.key(tag, 0);
        self.varint(value as u64);
    }

    /// A float.
    pub fn float(&mut self, tag: u32, value: f32) {
        if value != 0.0 {
            self.key(tag, 5);
            self.0.extend(value.to_le_bytes());
        }
    }

    /// A string or bytes.
    pub fn bytes(&mut self, tag: u32, bytes: impl AsRef<[u8]>) {
        if !bytes.as_ref().is_empty() {
            self.present_bytes(tag, bytes);
        }
    }

    /// A string or bytes, also empty: one of a list.
    pub fn present_bytes(&mut self, tag: u32, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.key(tag, 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    /// A message in the message.
    pub fn message(&mut self, tag: u32, message: &Message) {
        self.present_bytes(tag, &message.0);
    }

    /// A list of integers.
    pub fn integers(&mut self, tag: u32, values: impl IntoIterator<Item = i64>) {
        let mut packed = Self::default();
        values.into_iter().for_each(|value| packed.varint(value as u64));
        self.bytes(tag, packed.0);
    }

    /// A list of floats.
    pub fn floats(&mut self, tag: u32, values: &[f32]) {
        self.bytes(tag, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    }

    /// The message.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Vec<Option<(u32, Content<'_>)>> {
        Fields::of(bytes).collect()
    }

    #[test]
    fn a_message_is_a_list_of_fields() {
        let message = [0x08, 0x96, 0x01, 0x12, 2, 7, 8, 0x1d, 1, 0, 0, 0];
        let (number, fixed) = (Content::Varint(150), Content::Fixed(&[1, 0, 0, 0]));
        let list = [Some((1, number)), Some((2, Content::Bytes(&[7, 8]))), Some((3, fixed))];
        assert_eq!(fields(&message), list);
        assert_eq!(Fields::with(&message, 1).collect::<Vec<_>>(), [number]);
        assert_eq!(Varints(&message[1..4]).collect::<Vec<_>>(), [150, 18]);
        assert_eq!(fields(&[]), []);
    }

    #[test]
    fn what_is_no_message_ends_the_list() {
        assert_eq!(fields(&[0x12, 9, 0]), [None], "cut short");
        assert_eq!(fields(&[0x08, 1, 0x0b, 0x08, 1]), [Some((1, Content::Varint(1))), None], "a group");
        assert_eq!(fields(&[0xff; 40]), [None]);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut message = Message::default();
        message.integer(1, 150);
        message.integer(9, 0);
        message.float(3, 0.0);
        message.integers(2, [7, 8]);
        message.float(3, f32::from_bits(1));
        message.bytes(4, "");
        message.present_bytes(4, "");
        message.integer(16, -1);
        let bytes = message.into_bytes();
        assert_eq!(bytes[..12], [0x08, 0x96, 0x01, 0x12, 2, 7, 8, 0x1d, 1, 0, 0, 0]);
        let rest = [Some((4, Content::Bytes(&[]))), Some((16, Content::Varint(u64::MAX)))];
        assert_eq!(fields(&bytes[12..]), rest);
    }
}
