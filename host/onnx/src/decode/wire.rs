//! The wire format of protobuf: a message is a list of numbered fields. What they mean is in
//! [`proto`](crate::proto).

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

/// The fields of a message in the order of the bytes; `None` stands for bytes that are no message, and ends them.
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

/// Integers one behind the other; what is no integer ends them.
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
}
