//! One entry of the layer table: which kernel reads what from where.

use super::{u16_at, u32_at};
use crate::shape::{Padding, Shape, Window};

/// Offsets of the fields of a layer record, in bytes.
mod field {
    pub const KERNEL: usize = 0;
    pub const FLAGS: usize = 1;
    pub const INPUT_ZERO: usize = 2;
    pub const SECOND_ZERO: usize = 3;
    pub const OUTPUT_ZERO: usize = 4;
    pub const LOW: usize = 5;
    pub const HIGH: usize = 6;
    pub const INPUT: usize = 8;
    pub const GROUPS: usize = 18;
    pub const SECOND: usize = 20;
    pub const FIRST_CHANNEL: usize = 30;
    pub const OUTPUT: usize = 32;
    pub const WINDOW: usize = 44;
    pub const SCRATCH: usize = 64;
    pub const WEIGHTS: usize = 72;
    pub const CHANNELS: usize = 80;
    pub const END: usize = 88;
}

/// The accumulator times the multiplier may need more than 32 bits.
const FLAG_WIDE: u8 = 1;
/// The output tensor is complete only after a later layer.
const FLAG_PARTIAL: u8 = 2;

/// A tensor at its place in the arena, HWC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// First byte in the arena.
    pub offset: usize,
    /// Height, width, channels.
    pub shape: Shape,
}

impl Default for Slot {
    /// No tensor: one value at offset 0, so that every slot passes one check.
    fn default() -> Self {
        Self { offset: 0, shape: Shape::new(1, 1, 1) }
    }
}

/// A layer as the image stores it: plain numbers, not yet compared with anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Number of the kernel that runs the layer.
    pub kernel: u8,
    /// Whether accumulator times multiplier may need more than 32 bits.
    pub wide: bool,
    /// Whether later layers write other channels of the same output (all but the last part of a
    /// concatenation).
    pub partial: bool,
    /// Zero point of the input.
    pub input_zero: i8,
    /// Zero point of the second input.
    pub second_zero: i8,
    /// Zero point of the output.
    pub output_zero: i8,
    /// Smallest output value.
    pub low: i8,
    /// Largest output value.
    pub high: i8,
    /// The input.
    pub input: Slot,
    /// The second input of operators that have one.
    pub second: Slot,
    /// The output.
    pub output: Slot,
    /// Groups of a convolution, else 1.
    pub groups: usize,
    /// First output channel that a part of a concatenation writes, else 0.
    pub first_channel: usize,
    /// The window of convolutions and pools; of a Pad only the padding counts.
    pub window: Window,
    /// Scratch memory in the arena: offset and bytes.
    pub scratch: (usize, usize),
    /// Weights in the image, in the kernel's order: offset and bytes.
    pub weights: (usize, usize),
    /// Channel constants in the image: offset and number of [`Channel`]s.
    pub channels: (usize, usize),
}

impl Default for Record {
    fn default() -> Self {
        Self {
            kernel: 0,
            wide: false,
            partial: false,
            input_zero: 0,
            second_zero: 0,
            output_zero: 0,
            low: i8::MIN,
            high: i8::MAX,
            input: Slot::default(),
            second: Slot::default(),
            output: Slot::default(),
            groups: 1,
            first_channel: 0,
            window: Window::new([1, 1], [1, 1]),
            scratch: (0, 0),
            weights: (0, 0),
            channels: (0, 0),
        }
    }
}

impl Record {
    /// Bytes of a record.
    pub const BYTES: usize = field::END;

    /// Reads a record.
    #[inline(always)]
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let signed = |at: usize| bytes[at] as i8;
        let short = |at| usize::from(u16_at(bytes, at));
        let pair = |at| (u32_at(bytes, at) as usize, u32_at(bytes, at + 4) as usize);
        let slot = |at| Slot {
            offset: u32_at(bytes, at) as usize,
            shape: Shape::new(short(at + 4), short(at + 6), short(at + 8)),
        };
        let window = |index: usize| short(field::WINDOW + 2 * index);
        let flags = signed(field::FLAGS) as u8;
        Self {
            kernel: signed(field::KERNEL) as u8,
            wide: flags & FLAG_WIDE != 0,
            partial: flags & FLAG_PARTIAL != 0,
            input_zero: signed(field::INPUT_ZERO),
            second_zero: signed(field::SECOND_ZERO),
            output_zero: signed(field::OUTPUT_ZERO),
            low: signed(field::LOW),
            high: signed(field::HIGH),
            input: slot(field::INPUT),
            second: slot(field::SECOND),
            output: slot(field::OUTPUT),
            groups: short(field::GROUPS),
            first_channel: short(field::FIRST_CHANNEL),
            window: Window {
                kernel: [window(0), window(1)],
                stride: [window(2), window(3)],
                dilation: [window(4), window(5)],
                padding: Padding { top: window(6), left: window(7), bottom: window(8), right: window(9) },
            },
            scratch: pair(field::SCRATCH),
            weights: pair(field::WEIGHTS),
            channels: pair(field::CHANNELS),
        }
    }

    /// Writes a record, or names the field that does not fit its 16 or 32 bits.
    #[cfg(any(test, feature = "pack"))]
    pub fn encode(&self) -> Result<[u8; Self::BYTES], &'static str> {
        let mut bytes = [0; Self::BYTES];
        let flags = (u8::from(self.wide) * FLAG_WIDE) | (u8::from(self.partial) * FLAG_PARTIAL);
        bytes[field::KERNEL] = self.kernel;
        bytes[field::FLAGS] = flags;
        bytes[field::INPUT_ZERO] = self.input_zero as u8;
        bytes[field::SECOND_ZERO] = self.second_zero as u8;
        bytes[field::OUTPUT_ZERO] = self.output_zero as u8;
        bytes[field::LOW] = self.low as u8;
        bytes[field::HIGH] = self.high as u8;
        let mut short = |at: usize, value: usize, name| {
            let value = u16::try_from(value).map_err(|_| name)?;
            bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
            Ok::<(), &'static str>(())
        };
        for (at, slot) in
            [(field::INPUT, self.input), (field::SECOND, self.second), (field::OUTPUT, self.output)]
        {
            short(at + 4, slot.shape.height, "height")?;
            short(at + 6, slot.shape.width, "width")?;
            short(at + 8, slot.shape.channels, "channels")?;
        }
        short(field::GROUPS, self.groups, "groups")?;
        short(field::FIRST_CHANNEL, self.first_channel, "first channel")?;
        let Window { kernel, stride, dilation, padding } = self.window;
        let padding = [padding.top, padding.left, padding.bottom, padding.right];
        let parts = kernel.iter().chain(&stride).chain(&dilation).chain(&padding);
        for (index, &value) in parts.enumerate() {
            short(field::WINDOW + 2 * index, value, "window")?;
        }
        let mut long = |at: usize, value: usize, name| {
            let value = u32::try_from(value).map_err(|_| name)?;
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            Ok::<(), &'static str>(())
        };
        long(field::INPUT, self.input.offset, "arena offset")?;
        long(field::SECOND, self.second.offset, "arena offset")?;
        long(field::OUTPUT, self.output.offset, "arena offset")?;
        for (at, (offset, length), name) in [
            (field::SCRATCH, self.scratch, "scratch memory"),
            (field::WEIGHTS, self.weights, "weights"),
            (field::CHANNELS, self.channels, "channel constants"),
        ] {
            long(at, offset, name)?;
            long(at + 4, length, name)?;
        }
        Ok(bytes)
    }
}

/// Constants of one output channel; also the pairs of numbers other operators need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Channel {
    /// Where the accumulator starts: the bias, with the input's zero point folded in.
    pub bias: i32,
    /// The multiplier `k` of [`Multiplier`](crate::requantize::Multiplier), 0 where unused.
    pub multiplier: i32,
}

impl Channel {
    /// Bytes of the pair in an image.
    pub const BYTES: usize = 8;
}

/// A checked layer with its constants, ready to run.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// Shapes, places and parameters.
    pub record: Record,
    /// Weights in the kernel's order.
    pub weights: &'a [i8],
    /// One entry per output channel, or what the operator's file says.
    pub channels: &'a [Channel],
}

/// An entry of the layer table, not yet decoded.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub(super) image: &'a [u8],
    pub(super) bytes: &'a [u8; Record::BYTES],
}

impl<'a> Entry<'a> {
    /// Number of the kernel that runs the layer.
    pub fn kernel(&self) -> u8 {
        self.bytes[field::KERNEL]
    }

    #[inline(always)]
    fn record(&self) -> Record {
        Record::decode(self.bytes)
    }

    /// The output, when it is complete after this layer.
    #[inline]
    pub fn complete_output(&self) -> Option<Slot> {
        let record = self.record();
        (!record.partial).then_some(record.output)
    }

    /// The whole layer.
    #[inline(never)]
    pub fn layer(&self) -> Layer<'a> {
        self.decode()
    }

    /// The layer for a kernel so short that decoding what it does not look at would be felt.
    #[inline(always)]
    pub fn decode(&self) -> Layer<'a> {
        let record = self.record();
        let (weights, channels) = (record.weights, record.channels);
        // Not `part`: the image check decodes layers before it knows that their blocks exist.
        let block = |start: usize, length| {
            self.image.get(start..).and_then(|rest| rest.get(..length)).unwrap_or_default()
        };
        Layer {
            record,
            weights: signed(block(weights.0, weights.1)),
            channels: pairs(block(channels.0, channels.1.saturating_mul(Channel::BYTES))),
        }
    }
}

/// Bytes as signed values.
#[allow(unsafe_code)]
pub(super) fn signed(bytes: &[u8]) -> &[i8] {
    // SAFETY: u8 and i8 have the same size and alignment, and every bit pattern is a value of both.
    unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
}

/// Bytes as pairs of words. A checked image keeps them aligned; the check itself meets others, and does not
/// look at what they hold.
#[allow(unsafe_code)]
fn pairs(bytes: &[u8]) -> &[Channel] {
    // SAFETY: `Channel` is two i32 without padding, for which every bit pattern is a value;
    // `align_to` splits off what is not aligned.
    let (_, pairs, _) = unsafe { bytes.align_to::<Channel>() };
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decode_and_encode_are_inverse(bytes in proptest::collection::vec(any::<u8>(), Record::BYTES)) {
            let bytes = bytes.first_chunk().unwrap();
            let record = Record::decode(bytes);
            let again = Record::decode(&record.encode().unwrap());
            prop_assert_eq!(record, again);
        }
    }

    #[test]
    fn encode_names_what_does_not_fit() {
        let mut record = Record::default();
        record.input.shape.width = 70_000;
        assert_eq!(record.encode(), Err("width"));
    }
}
