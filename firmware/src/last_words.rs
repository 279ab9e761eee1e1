//! Why the program was started anew: a message that outlives a reset in RAM that no startup code clears.
//!
//! Power on leaves anything there, so the message counts only with its mark and its CRC, and only once.

use core::fmt::{self, Write};

use goldcrest_link::CRC;

/// Longest message; a longer one is cut.
pub const BYTES: usize = 160;
const MARK: u32 = 0x1a57_3053;

/// The place of the message.
#[repr(C)]
pub struct LastWords {
    mark: u32,
    length: u32,
    crc: u32,
    text: [u8; BYTES],
}

/// A message, taken out of its place.
pub type Message = heapless::String<BYTES>;

impl LastWords {
    /// Keeps a message for the next start.
    pub fn keep(&mut self, message: fmt::Arguments) {
        let mut text = Cut(Message::new());
        // Only a full buffer fails, and what fits is kept.
        let _ = text.write_fmt(message);
        let bytes = text.0.as_bytes();
        self.text.iter_mut().zip(bytes).for_each(|(place, &byte)| *place = byte);
        (self.length, self.crc) = (bytes.len() as u32, CRC.checksum(bytes));
        self.mark = MARK;
    }

    /// The message of the program before this one, which is then forgotten.
    pub fn take(&mut self) -> Option<Message> {
        let marked = core::mem::take(&mut self.mark) == MARK;
        let bytes = self.text.get(..self.length as usize).filter(|_| marked)?;
        let text = core::str::from_utf8(bytes).ok().filter(|_| CRC.checksum(bytes) == self.crc)?;
        Message::try_from(text).ok()
    }
}

/// Takes what fits, to the character.
struct Cut(Message);

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| self.0.push(character).map_err(|_| fmt::Error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place as power on may leave it.
    fn place(byte: u8) -> LastWords {
        let word = u32::from_ne_bytes([byte; 4]);
        LastWords { mark: word, length: word, crc: word, text: [byte; BYTES] }
    }

    #[test]
    fn a_message_is_taken_once() {
        let mut place = place(0xff);
        place.keep(format_args!("panicked at {}:{}", "service.rs", 7));
        assert_eq!(place.take().as_deref(), Some("panicked at service.rs:7"));
        assert_eq!(place.take(), None);
    }

    #[test]
    fn what_power_on_leaves_is_no_message() {
        for byte in [0x00, 0xff, 0x41] {
            assert_eq!(place(byte).take(), None);
            // Not even with the mark.
            assert_eq!(LastWords { mark: MARK, ..place(byte) }.take().filter(|text| !text.is_empty()), None);
        }
        let mut damaged = place(0);
        damaged.keep(format_args!("hard fault"));
        damaged.text[3] ^= 1;
        assert_eq!(damaged.take(), None);
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let mut place = place(0);
        place.keep(format_args!("{}", "é".repeat(BYTES)));
        assert_eq!(place.take().as_deref(), Some(&*"é".repeat(BYTES / 2)));
    }
}
