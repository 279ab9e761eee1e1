//! Depthwise convolution with one output channel per input channel, four channels of one pixel after the
//! other: for windows of any size and step. Weights per four channels: where their sums start,
//! `[row][column]` with a word of the weights of channels 0 and 2 and one of 1 and 3, `0x7fff` plus the zero
//! point in the upper half, and the multipliers; the last channels are filled up with zeros.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::output::Output;
#[cfg(not(goldcrest_dsp))]
use super::super::output::saturated;
#[cfg(feature = "pack")]
use super::super::packing::Packing;
use super::super::rows::{self, Rows};
use super::super::{Kernel, Needs, product, window_fits};
#[cfg(feature = "pack")]
use super::packing;
use super::{HEIGHT, bounds};
use crate::engine::{Arena, part};
use crate::image::{Entry, Record};

/// Depthwise convolution of any window on cores with DSP instructions.
pub static DSP_DEPTHWISE_DIRECT: Kernel = Kernel {
    id: 39,
    name: "dsp-depthwise-direct",
    needs,
    run,
    #[cfg(feature = "pack")]
    packing: Packing { suits: packing::is_depthwise, order: pack::order, overlap: rows::row_by_row },
};

#[cfg(feature = "pack")]
mod pack {
    use alloc::vec::Vec;

    use super::CHANNELS;
    use crate::kernels::dsp::packing::{self, halfwords, le_bytes};
    use crate::kernels::packing::{Constants, LayerSpec};

    /// Fours of channels with their constants.
    pub fn order(layer: &LayerSpec<'_>) -> Constants {
        let mut weights = Vec::new();
        for first in (0..layer.channels.len()).step_by(CHANNELS) {
            let four = [0, 1, 2, 3].map(|channel| layer.channel(first + channel));
            weights.extend(le_bytes(four.map(|channel| channel.bias)));
            for tap in 0..layer.taps() {
                let weight =
                    |channel: usize| layer.of_channel(first + channel).get(tap).map_or(0, |&w| w.into());
                weights.extend(halfwords([0, 2, 1, 3].map(weight)));
            }
            weights.extend(le_bytes([packing::rounding(layer)]));
            weights.extend(le_bytes(four.map(|channel| channel.multiplier)));
        }
        Constants { weights, channels: Vec::new() }
    }
}

/// Channels that are computed at once.
const CHANNELS: usize = 4;

/// Bytes of weights and constants of four channels.
fn group_bytes(record: &Record) -> u64 {
    let [height, width] = record.window.kernel;
    product([height, width, 8]).saturating_add(36)
}

/// Bytes for the outputs of a last few channels.
fn staging_bytes(record: &Record) -> u64 {
    let output = record.output.shape;
    if output.channels.is_multiple_of(CHANNELS) { 0 } else { product([output.width, CHANNELS]) }
}

fn needs(record: &Record) -> Option<Needs> {
    let (input, output) = (record.input.shape.channels, record.output.shape.channels);
    let same = record.groups == input && input == output;
    if !window_fits(record) || !same || record.window.kernel[0] > HEIGHT || record.wide {
        return None;
    }
    Some(Needs {
        weights: group_bytes(record).saturating_mul(output.div_ceil(CHANNELS) as u64),
        channels: 0,
        scratch: staging_bytes(record).saturating_add(rows::scratch_bytes(record)),
    })
}

fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let (input, output) = (record.input.shape, record.output.shape);
    let target = arena.values(record.output.offset, output.len());
    let staging_bytes = staging_bytes(record) as usize;
    let staging = arena.values(record.scratch.0, staging_bytes);
    let ring = arena.values(record.scratch.0 + staging_bytes, rows::scratch_bytes(record) as usize);
    let mut rows = Rows::new(record, ring, arena.values(record.input.offset, input.len()));
    let pixels = Pixels::new(record);
    let last = Output::new(record);
    let (bytes, whole) = (output.width * output.channels, output.channels / CHANNELS);
    let (weights, rest) = layer.weights.split_at(layer.weights.len().min(whole * pixels.group));
    for y in 0..output.height {
        rows.load(y);
        let row = part(target, y * bytes, bytes);
        pixels.groups(weights, &rows, 0, row, output.channels);
        pixels.groups(rest, &rows, whole * CHANNELS, staging, CHANNELS);
        let few = output.channels - whole * CHANNELS;
        for (pixel, values) in row.chunks(output.channels.max(1)).zip(staging.chunks(CHANNELS)) {
            rows::copy(part(values, 0, few), part(pixel, whole * CHANNELS, few));
        }
        bounds::apply(&last, row);
    }
}

/// What the pixels of a layer share.
struct Pixels {
    /// Rows and columns of a window.
    kernel: [usize; 2],
    /// Bytes of weights and constants of four channels.
    group: usize,
    /// Bytes from one column of a window to the next.
    column: usize,
    /// Bytes from one window to the next.
    step: usize,
    /// Outputs of a row.
    width: usize,
}

impl Pixels {
    fn new(record: &Record) -> Self {
        let (window, channels) = (&record.window, record.input.shape.channels);
        Self {
            kernel: window.kernel,
            group: group_bytes(record) as usize,
            column: window.dilation[1] * channels,
            step: window.stride[1] * channels,
            width: record.output.shape.width,
        }
    }

    /// A row of all fours of channels that have weights, from channel `first` on, saturated but not bounded;
    /// the target's pixels are `pitch` values apart.
    #[cfg(not(goldcrest_dsp))]
    fn groups(&self, weights: &[i8], rows: &Rows<'_>, first: usize, target: &[Cell<i8>], pitch: usize) {
        use super::super::simd::{even, halfwords, load, odd, set};
        let [height, width] = self.kernel;
        let word = |bytes: &[i8; 4]| u32::from_le_bytes(bytes.map(|byte| byte as u8));
        for (group, weights) in weights.chunks_exact(self.group.max(1)).enumerate() {
            let Some((starts, rest)) = weights.as_chunks::<4>().0.split_first_chunk::<CHANNELS>() else {
                return;
            };
            let Some((taps, [rounding, multipliers @ ..])) = rest.split_last_chunk::<5>() else { return };
            for x in 0..self.width {
                let mut sums = starts.each_ref().map(|start| word(start) as i32);
                for (tap, [low, high]) in taps.as_chunks().0.iter().enumerate() {
                    let row = rows.row(tap / width.max(1) % height.max(1));
                    let column = tap % width.max(1) * self.column;
                    let values = load(row, x * self.step + column + first + CHANNELS * group);
                    let four = |a: u32, b: u32| {
                        let ([a, c], [b, d]) = (halfwords(a), halfwords(b));
                        [a, b, c, d]
                    };
                    let products =
                        four(even(values), odd(values)).into_iter().zip(four(word(low), word(high)));
                    sums.iter_mut()
                        .zip(products)
                        .for_each(|(sum, (value, weight))| *sum = sum.wrapping_add(value * weight));
                }
                for (channel, (sum, multiplier)) in sums.into_iter().zip(multipliers).enumerate() {
                    let product = sum.wrapping_mul(word(multiplier) as i32);
                    let at = x * pitch + CHANNELS * group + channel;
                    set(target, at, saturated(product, word(rounding) as i32) as i8);
                }
            }
        }
    }

    /// A row of all fours of channels that have weights, from channel `first` on, saturated but not bounded;
    /// the target's pixels are `pitch` values apart.
    #[cfg(goldcrest_dsp)]
    fn groups(&self, weights: &[i8], rows: &Rows<'_>, first: usize, target: &[Cell<i8>], pitch: usize) {
        let [height, width] = self.kernel;
        let groups = weights.len().checked_div(self.group).unwrap_or(0);
        if groups == 0 || self.width == 0 || !(1..=HEIGHT).contains(&height) || width == 0 {
            return;
        }
        let reach = (self.width - 1) * self.step + (width - 1) * self.column + first + CHANNELS * groups;
        let written = (self.width - 1) * pitch + CHANNELS * groups;
        if target.len() < written || reach > rows.pitch() {
            return;
        }
        let mut starts = [core::ptr::null(); HEIGHT];
        for (tap, start) in starts.iter_mut().enumerate().take(height) {
            let row = rows.row(tap);
            if row.is_empty() {
                return;
            }
            *start = row.as_ptr().cast::<i8>().wrapping_add(first);
        }
        let call = armv7em::Call {
            weights: weights.as_ptr(),
            step: self.step,
            pitch,
            end: 0,
            output: target.as_ptr().cast_mut().cast(),
            groups,
            column: self.column,
            row: self.width * self.step,
            group: self.group,
            columns: width * self.column,
            height: 4 * height,
            starts,
        };
        let run = match (height, width) {
            (3, 3) => armv7em::three_by_three,
            (_, 5) => armv7em::five,
            _ => armv7em::any,
        };
        // SAFETY: each of the `height` rows holds four bytes at every column of every window for every four
        // channels, and the target at every pixel; the weights hold `group` bytes for each four channels and
        // are aligned, because the image check saw to it; cells may be written through shared references.
        unsafe { run(&call) }
    }
}

#[cfg(goldcrest_dsp)]
mod armv7em {
    use core::arch::naked_asm;

    use super::super::requantize::plain;
    use super::HEIGHT;

    /// What the loops need; they keep a copy on the stack, and the offsets stand in the code below.
    #[repr(C)]
    pub struct Call {
        pub weights: *const i8,
        /// Bytes from one window to the next.
        pub step: usize,
        /// Bytes from one pixel of the output to the next.
        pub pitch: usize,
        /// Where the row ends, which the loops find themselves.
        pub end: usize,
        pub output: *mut i8,
        /// Fours of channels.
        pub groups: usize,
        /// Bytes from one column to the next.
        pub column: usize,
        /// Bytes from the first window of a row to behind the last.
        pub row: usize,
        /// Bytes of weights of four channels.
        pub group: usize,
        /// Bytes from the first column of a window to behind the last.
        pub columns: usize,
        /// Bytes of the rows' addresses.
        pub height: usize,
        /// The rows under the window.
        pub starts: [*const i8; HEIGHT],
    }

    /// Four channels of a tap. `$value` is where they stand; r0 weights, r4-r7 the sums.
    macro_rules! tap {
        ($value:literal) => {
            concat!(
                "ldr r9, ",
                $value,
                "\n",
                "ldrd r10, r11, [r0], #8\n",
                "sxtb16 r8, r9\n",
                "sxtb16 r9, r9, ror #8\n",
                "smlabb r4, r8, r10, r4\n",
                "smlabb r5, r9, r11, r5\n",
                "smlatt r6, r8, r10, r6\n",
                "smlatt r7, r9, r11, r7\n",
            )
        };
    }

    /// From sums to a word of outputs in r4.
    macro_rules! finish {
        () => {
            concat!(
                "ldm r0!, {{r8, r9, r10}}\n",
                plain!("r4", "r9", "r8", "r11"),
                plain!("r5", "r10", "r8", "r11"),
                "ldrd r9, r10, [r0]\n",
                plain!("r6", "r9", "r8", "r11"),
                plain!("r7", "r10", "r8", "r11"),
                "bfi r4, r5, #8, #8\n",
                "bfi r6, r7, #8, #8\n",
                "bfi r4, r6, #16, #16\n",
            )
        };
    }

    /// The stack: a copy of [`Call`].
    macro_rules! enter {
        () => {
            concat!(
                "push {{r4-r11, lr}}\n",
                "sub sp, sp, #76\n",
                "ldm r0!, {{r1-r9}}\n",
                "stm sp, {{r1-r9}}\n",
                "ldm r0, {{r1-r9}}\n",
                "add r0, sp, #36\n",
                "stm r0, {{r1-r9}}\n",
            )
        };
    }

    /// To the next four channels at 2, or back to the caller.
    macro_rules! next {
        () => {
            concat!(
                "ldr r8, [sp, #32]\n",
                "add r0, r8\n",
                "str r0, [sp]\n",
                "ldr r8, [sp, #20]\n",
                "subs r8, #1\n",
                "str r8, [sp, #20]\n",
                "bne 2b\n",
                "add sp, sp, #76\n",
                "pop {{r4-r11, pc}}\n",
            )
        };
    }

    /// Windows of 3 x 3. r1, r3 and r12 the windows' rows, r2 bytes of a column, lr the output.
    #[unsafe(naked)]
    pub unsafe extern "C" fn three_by_three(call: &Call) {
        naked_asm!(
            super::super::cpu!(),
            enter!(),
            "2:", // Four channels.
            "ldr lr, [sp, #16]",
            "add r8, lr, #4",
            "str r8, [sp, #16]",
            "add r8, sp, #44",
            "ldm r8, {{r1, r3, r12}}",
            "adds r4, r1, #4",
            "adds r5, r3, #4",
            "add r6, r12, #4",
            "stm r8, {{r4, r5, r6}}",
            "ldr r0, [sp]",
            "ldrd r2, r8, [sp, #24]",
            "add r8, r1",
            "str r8, [sp, #12]",
            "3:", // A pixel.
            "ldm r0!, {{r4-r7}}",
            tap!("[r1]"),
            tap!("[r1, r2]"),
            tap!("[r1, r2, lsl #1]"),
            tap!("[r3]"),
            tap!("[r3, r2]"),
            tap!("[r3, r2, lsl #1]"),
            tap!("[r12]"),
            tap!("[r12, r2]"),
            tap!("[r12, r2, lsl #1]"),
            finish!(),
            "str r4, [lr]",
            "ldm sp, {{r0, r8, r9, r10}}",
            "add r1, r8",
            "add r3, r8",
            "add r12, r8",
            "add lr, r9",
            "cmp r1, r10",
            "bne 3b",
            next!(),
        )
    }

    /// Any number of rows; r1 a row of the window, r2 bytes of a column, r3 bytes from the rows' starts to
    /// the window, r12 behind the row's address, lr the end of the addresses.
    macro_rules! rows {
        ($(#[$doc:meta])* $name:ident, $columns:expr) => {
            $(#[$doc])*
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name(call: &Call) {
                naked_asm!(
                    super::super::cpu!(),
                    enter!(),
                    // How far the rows' starts are from the first four channels.
                    "movs r3, #0",
                    "2:", // Four channels.
                    "ldrd r2, r8, [sp, #24]",
                    "add r8, r3",
                    "str r8, [sp, #12]",
                    "push {{r3}}",
                    "ldr r0, [sp, #4]",
                    "ldr r8, [sp, #20]",
                    "push {{r8}}",
                    "3:", // A pixel.
                    "ldm r0!, {{r4-r7}}",
                    "add r12, sp, #52",
                    "ldr lr, [sp, #48]",
                    "add lr, r12",
                    "4:", // A row of the window.
                    "ldr r1, [r12], #4",
                    "add r1, r3",
                    $columns,
                    "cmp r12, lr",
                    "bne 4b",
                    finish!(),
                    "ldr r11, [sp]",
                    "str r4, [r11]",
                    "add r9, sp, #8",
                    "ldm r9, {{r0, r8, r9, r10}}",
                    "add r11, r9",
                    "str r11, [sp]",
                    "add r3, r8",
                    "cmp r3, r10",
                    "bne 3b",
                    "pop {{r8}}",
                    "pop {{r3}}",
                    "adds r3, #4",
                    "ldr r8, [sp, #16]",
                    "adds r8, #4",
                    "str r8, [sp, #16]",
                    next!(),
                )
            }
        };
    }

    rows!(
        /// Windows of five columns.
        five,
        concat!(
            tap!("[r1]"),
            tap!("[r1, r2]"),
            "add r1, r1, r2, lsl #1\n",
            tap!("[r1]"),
            tap!("[r1, r2]"),
            tap!("[r1, r2, lsl #1]"),
        )
    );
    rows!(
        /// Windows of any number of columns.
        any,
        concat!(
            "push {{lr}}\n",
            "ldr lr, [sp, #48]\n",
            "add lr, r1\n",
            "5:\n",
            tap!("[r1]"),
            "add r1, r2\n",
            "cmp r1, lr\n",
            "bne 5b\n",
            "pop {{lr}}\n",
        )
    );
}
