//! Four channels of the rows under a window, one plane per channel, for kernels that sum over rows and
//! columns but not over channels.
//!
//! A plane is `[column][pair of kernel rows]`, each a word of two rows' values at one column: all that an
//! output reads lies side by side. Of an odd last row channels 0 and 1 stand in the low halfword and
//! channels 2 and 3 in the high one; what stands in the other half meets a weight of 0.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::product;
use super::super::rows::Rows;
use super::HEIGHT;
use crate::engine::part;
use crate::image::Record;

/// Channels in planes at once.
pub const CHANNELS: usize = 4;

/// The planes of a layer, in scratch memory.
#[derive(Clone, Copy, Debug)]
pub struct Planes {
    /// Kernel rows.
    height: usize,
    /// Pairs of kernel rows.
    pairs: usize,
    /// Columns of the padded input.
    columns: usize,
    /// Words of one plane.
    words: usize,
    /// Channels of the input.
    channels: usize,
}

impl Planes {
    /// The planes of a layer whose windows are dense in columns and at most [`HEIGHT`] rows high.
    pub fn new(record: &Record) -> Self {
        let (input, window) = (record.input.shape, &record.window);
        let pairs = window.kernel[0].div_ceil(2);
        let columns = input.width + window.padding.left + window.padding.right;
        // Windows are read in pairs of words.
        let words = product([columns, pairs]).saturating_add(1) as usize;
        Self { height: window.kernel[0], pairs, columns, words, channels: input.channels }
    }

    /// Scratch bytes.
    pub fn bytes(&self) -> u64 {
        product([self.words, 4 * CHANNELS])
    }

    /// Words of one plane.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Words from one column to the next.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// What fills the planes in `memory` from the rows under the current window, `None` when they are too
    /// short.
    pub fn filler<'a>(&self, memory: &'a [Cell<u32>], rows: &Rows<'a>) -> Option<Filler<'a>> {
        let memory = part(memory, 0, CHANNELS * self.words);
        let bytes = self.columns * self.channels;
        // The last four channels may reach into the slack behind a row.
        let read = bytes + self.channels.next_multiple_of(CHANNELS) - self.channels;
        let sources: [&[Cell<i8>]; HEIGHT] =
            core::array::from_fn(|tap| if tap < self.height { part(rows.row(tap), 0, read) } else { &[] });
        let complete = sources.iter().take(self.height).all(|row| !row.is_empty());
        (complete && !memory.is_empty()).then(|| Filler::new(self, memory, sources))
    }
}

/// The rows under a window and the planes they go to.
#[cfg(not(goldcrest_dsp))]
pub struct Filler<'a> {
    planes: Planes,
    memory: &'a [Cell<u32>],
    sources: [&'a [Cell<i8>]; HEIGHT],
}

#[cfg(not(goldcrest_dsp))]
impl<'a> Filler<'a> {
    fn new(planes: &Planes, memory: &'a [Cell<u32>], sources: [&'a [Cell<i8>]; HEIGHT]) -> Self {
        Self { planes: *planes, memory, sources }
    }

    /// Fills the planes with four channels from `first` on, which is a multiple of 4.
    pub fn fill(&self, first: usize) {
        use super::super::simd::{even, load, odd, set};
        let low = |[a, b]: [u32; 2]| (a & 0xffff) | (b << 16);
        let high = |[a, b]: [u32; 2]| (a >> 16) | (b & 0xffff_0000);
        let Planes { height, pairs, columns, words, channels } = self.planes;
        for (pair, rows) in part(&self.sources, 0, height).chunks(2).enumerate() {
            for column in 0..columns {
                let word = |row: &[Cell<i8>]| load(row, column * channels + first);
                let values = match *rows {
                    [a, b] => {
                        let (even, odd) = ([word(a), word(b)].map(even), [word(a), word(b)].map(odd));
                        [low(even), low(odd), high(even), high(odd)]
                    }
                    [a] => [even(word(a)), odd(word(a)), even(word(a)), odd(word(a))],
                    _ => return,
                };
                for (channel, value) in values.into_iter().enumerate() {
                    set(self.memory, channel * words + column * pairs + pair, value);
                }
            }
        }
    }
}

/// The rows under a window and the planes they go to.
#[cfg(goldcrest_dsp)]
pub struct Filler<'a> {
    steps: [Step<'a>; HEIGHT.div_ceil(2)],
    count: usize,
    /// Bytes from one plane to the next.
    pitch: usize,
}

/// Up to three rows and where they go.
#[cfg(goldcrest_dsp)]
#[derive(Clone, Copy)]
struct Step<'a> {
    run: unsafe extern "C" fn(*const i8, *mut u32, usize, &armv7em::Call),
    row: &'a [Cell<i8>],
    target: *mut u32,
    call: armv7em::Call,
}

#[cfg(goldcrest_dsp)]
impl<'a> Filler<'a> {
    fn new(planes: &Planes, memory: &'a [Cell<u32>], sources: [&'a [Cell<i8>]; HEIGHT]) -> Self {
        let Planes { height, pairs, columns, words, channels } = *planes;
        let (bytes, step) = (columns * channels, 4 * pairs);
        let target: *mut u32 = memory.as_ptr().cast_mut().cast();
        let of = |from: usize| {
            let row = sources[from.min(HEIGHT - 1)];
            let to = |tap: usize| {
                sources
                    .get(from + tap)
                    .map_or(0, |other| other.as_ptr().addr().wrapping_sub(row.as_ptr().addr()))
            };
            let run = match (height, height - from.min(height)) {
                (3, _) => armv7em::three,
                (_, 1) => armv7em::one,
                _ => armv7em::two,
            };
            let call = armv7em::Call { second: to(1), third: to(2), channels, bytes, step };
            Step { run, row, target: target.wrapping_add(from / 2), call }
        };
        let steps = core::array::from_fn(|index| of(2 * index));
        Self { steps, count: if height == 3 { 1 } else { pairs }, pitch: 4 * words }
    }

    /// Fills the planes with four channels from `first` on, which is a multiple of 4.
    #[inline]
    pub fn fill(&self, first: usize) {
        for step in self.steps.iter().take(self.count) {
            if first >= step.call.channels {
                return;
            }
            // SAFETY: the rows are equally long parts of one block of scratch memory, in which a word can be
            // read at every column and `first` less than the number of channels; a word of each pair can be
            // written at every column of the four planes. `filler` looked at both lengths.
            unsafe {
                (step.run)(step.row.as_ptr().cast::<i8>().add(first), step.target, self.pitch, &step.call)
            }
        }
    }
}

/// Rows to planes.
#[cfg(goldcrest_dsp)]
mod armv7em {
    use core::arch::naked_asm;

    /// What the loops need beside their pointers; the offsets stand in the code below.
    #[derive(Clone, Copy)]
    #[repr(C)]
    pub struct Call {
        /// Bytes from the first row to the second and to the third.
        pub second: usize,
        pub third: usize,
        /// Bytes from one column of a row to the next.
        pub channels: usize,
        /// Bytes of a row.
        pub bytes: usize,
        /// Bytes from one column of a plane to the next.
        pub step: usize,
    }

    /// Three rows (r0 the first), two words per column of the planes (r1), which are `pitch` bytes (r2)
    /// apart.
    #[unsafe(naked)]
    pub unsafe extern "C" fn three(row: *const i8, planes: *mut u32, pitch: usize, call: &Call) {
        naked_asm!(
            super::super::cpu!(),
            "push {{r4-r11, lr}}",
            "add r9, r1, r2",
            "add r10, r9, r2",
            "add r11, r10, r2",
            "ldm r3, {{r2, r3, r4, r12}}",
            // [sp]: the end of the first row.
            "add r12, r0",
            "push {{r12}}",
            // r0 row, r1 and r9-r11 planes, r2 and r3 the other rows, r4 bytes of a column.
            "2:",
            "ldr r5, [r0]",
            "ldr r6, [r0, r2]",
            "ldr r7, [r0, r3]",
            "sxtb16 r8, r5",
            "sxtb16 lr, r6",
            "sxtb16 r5, r5, ror #8",
            "sxtb16 r6, r6, ror #8",
            "pkhbt r12, r8, lr, lsl #16",
            "pkhtb lr, lr, r8, asr #16",
            "sxtb16 r8, r7",
            "strd r12, r8, [r1], #8",
            "strd lr, r8, [r10], #8",
            "sxtb16 r7, r7, ror #8",
            "pkhbt r12, r5, r6, lsl #16",
            "pkhtb lr, r6, r5, asr #16",
            "strd r12, r7, [r9], #8",
            "strd lr, r7, [r11], #8",
            "ldr r12, [sp]",
            "add r0, r4",
            "cmp r0, r12",
            "bne 2b",
            "pop {{r12}}",
            "pop {{r4-r11, pc}}",
        )
    }

    /// A loop over the columns: r0 row, r1 plane, r2 and r8 bytes to the second and the fourth plane, r3
    /// bytes of a column, r4 of a column of a plane, r5 the end of the row, r9 bytes to the second row.
    macro_rules! columns {
        (
            $(#[$doc:meta])* $name:ident, $words:expr,
            $even:literal, $odd:literal, $even_high:literal, $odd_high:literal
        ) => {
            $(#[$doc])*
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name(row: *const i8, planes: *mut u32, pitch: usize, call: &Call) {
                naked_asm!(
                    super::super::cpu!(),
                    "push {{r4-r11, lr}}",
                    "ldr r9, [r3]",
                    "ldr r4, [r3, #16]",
                    "ldr r5, [r3, #12]",
                    "ldr r3, [r3, #8]",
                    "add r5, r0",
                    "add r8, r2, r2, lsl #1",
                    "2:",
                    $words,
                    concat!("str ", $odd, ", [r1, r2]"),
                    concat!("str ", $even_high, ", [r1, r2, lsl #1]"),
                    concat!("str ", $odd_high, ", [r1, r8]"),
                    concat!("str ", $even, ", [r1]"),
                    "add r0, r3",
                    "add r1, r4",
                    "cmp r0, r5",
                    "bne 2b",
                    "pop {{r4-r11, pc}}",
                )
            }
        };
    }

    columns!(
        /// Two rows.
        two,
        concat!(
            "ldr r6, [r0]\n",
            "ldr r7, [r0, r9]\n",
            "sxtb16 r10, r6\n",
            "sxtb16 r11, r7\n",
            "sxtb16 r6, r6, ror #8\n",
            "sxtb16 r7, r7, ror #8\n",
            "pkhbt r12, r10, r11, lsl #16\n",
            "pkhtb r11, r11, r10, asr #16\n",
            "pkhbt lr, r6, r7, lsl #16\n",
            "pkhtb r7, r7, r6, asr #16\n",
        ),
        "r12", "lr", "r11", "r7"
    );
    columns!(
        /// A last row.
        one,
        "ldr r6, [r0]\nsxtb16 r12, r6\nsxtb16 lr, r6, ror #8\n",
        "r12", "lr", "r12", "lr"
    );
}
