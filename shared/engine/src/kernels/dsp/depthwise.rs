//! Depthwise convolution with one output channel per input channel, for windows that lie side by side, so
//! that each column serves several outputs. Weights `[channel][column][pair of kernel rows]`, each a word of
//! two rows' weights as [`planes`](super::planes) hold the values, filled up to an even number of words per
//! channel.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::output::Output;
#[cfg(feature = "pack")]
use super::super::packing::Packing;
use super::super::rows::{self, Rows};
use super::super::{Kernel, Needs, product, window_fits};
use super::planes::{CHANNELS, Filler, Planes};
use super::{HEIGHT, PIXELS, bounds};
use crate::engine::{Arena, part};
use crate::image::{Channel, Entry, Layer, Record};

/// Depthwise convolution of rows next to each other on cores with DSP instructions.
pub static DSP_DEPTHWISE: Kernel = Kernel {
    id: 35,
    name: "dsp-depthwise",
    needs,
    run,
    #[cfg(feature = "pack")]
    packing: Packing { suits: pack::suits, order: pack::order, overlap: rows::row_by_row },
};

#[cfg(feature = "pack")]
mod pack {
    use alloc::vec::Vec;

    use super::CHANNELS;
    use crate::image::Record;
    use crate::kernels::dsp::packing::{self, halfwords};
    use crate::kernels::packing::{Constants, LayerSpec};

    /// Fewest output columns with which planes are faster.
    const WIDTH: usize = 12;

    /// Columns that several windows share are worth the planes where there are many.
    pub fn suits(layer: &LayerSpec<'_>) -> bool {
        let Record { window, output, .. } = &layer.record;
        let shared = window.stride[1] == 1 && window.dilation[1] == 1 && output.shape.width >= WIDTH;
        packing::is_depthwise(layer) && shared && !layer.spares_flash()
    }

    /// Channels in columns and pairs of rows. Of an odd last row the weight stands low for the first two of
    /// four channels and high for the others.
    pub fn order(layer: &LayerSpec<'_>) -> Constants {
        let [height, width] = layer.record.window.kernel;
        let mut weights = Vec::new();
        for channel in 0..layer.channels.len() {
            let taps = layer.of_channel(channel);
            let tap = |row: usize, column: usize| {
                if row < height { i16::from(taps[row * width + column]) } else { 0 }
            };
            for column in 0..width {
                for row in (0..height).step_by(2) {
                    let word = match row + 1 == height && channel % CHANNELS >= 2 {
                        true => [0, tap(row, column)],
                        false => [tap(row, column), tap(row + 1, column)],
                    };
                    weights.extend(halfwords(word));
                }
            }
            weights.resize(weights.len().next_multiple_of(8), 0);
        }
        layer.with_weights(weights)
    }
}

/// Words of weights of a channel.
fn words(record: &Record) -> usize {
    let [height, width] = record.window.kernel;
    (height.div_ceil(2) * width).next_multiple_of(2)
}

fn needs(record: &Record) -> Option<Needs> {
    let (input, output) = (record.input.shape.channels, record.output.shape.channels);
    let same = record.groups == input && input == output;
    let near = record.window.dilation[1] == 1 && record.window.stride[1] == 1;
    let planar = near && record.window.kernel[0] <= HEIGHT && record.output.shape.width >= PIXELS;
    if !window_fits(record) || !same || !planar || record.wide {
        return None;
    }
    Some(Needs {
        weights: product([words(record), output, 4]),
        channels: output as u64,
        scratch: Planes::new(record).bytes().saturating_add(rows::scratch_bytes(record)),
    })
}

fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let (input, output) = (record.input.shape, record.output.shape);
    let target = arena.values(record.output.offset, output.len());
    let planes = Planes::new(record);
    let plane_bytes = planes.bytes() as usize;
    let memory = arena.words(record.scratch.0, plane_bytes);
    let ring = arena.values(record.scratch.0 + plane_bytes, rows::scratch_bytes(record) as usize);
    let mut rows = Rows::new(record, ring, arena.values(record.input.offset, input.len()));
    let windows = Windows::new(layer, &planes);
    let bytes = output.width * output.channels;
    for y in 0..output.height {
        rows.load(y);
        let row = part(target, y * bytes, bytes);
        windows.row(&planes, memory, &rows, row);
        bounds::apply(&windows.last, row);
    }
}

/// What the output rows of a layer share.
struct Windows<'a> {
    weights: &'a [i8],
    channels: &'a [Channel],
    last: Output,
    /// Words of weights of a channel.
    words: usize,
    /// Words of a plane.
    plane: usize,
    /// Words from one output's window to the next.
    step: usize,
    /// Whether windows have three rows and columns.
    #[cfg(goldcrest_dsp)]
    three: bool,
    width: usize,
    pitch: usize,
}

impl<'a> Windows<'a> {
    fn new(layer: &Layer<'a>, planes: &Planes) -> Self {
        let Record { window, output, .. } = &layer.record;
        Self {
            weights: layer.weights,
            channels: layer.channels,
            last: Output::new(&layer.record),
            words: words(&layer.record),
            plane: planes.words(),
            step: window.stride[1] * planes.pairs(),
            #[cfg(goldcrest_dsp)]
            three: window.kernel == [3, 3],
            width: output.shape.width,
            pitch: output.shape.channels,
        }
    }

    /// An output row, saturated but not bounded.
    fn row(&self, planes: &Planes, memory: &[Cell<u32>], rows: &Rows<'_>, row: &[Cell<i8>]) {
        let Some(filler) = planes.filler(memory, rows) else { return };
        self.groups(&filler, memory, row);
    }

    /// All channels of a row.
    #[cfg(not(goldcrest_dsp))]
    fn groups(&self, filler: &Filler<'_>, planes: &[Cell<u32>], target: &[Cell<i8>]) {
        use super::super::simd::{multiply_add, set};
        for first in (0..self.pitch).step_by(CHANNELS) {
            filler.fill(first);
            let count = (self.pitch - first).min(CHANNELS);
            for (channel, &Channel { bias, multiplier }) in
                part(self.channels, first, count).iter().enumerate()
            {
                let weights = part(self.weights, (first + channel) * self.words * 4, self.words * 4);
                for pixel in 0..self.width {
                    let values = part(planes, channel * self.plane + pixel * self.step, self.words);
                    let products = weights.as_chunks::<4>().0.iter().zip(values);
                    let sum = products.fold(bias, |sum, (weight, value)| {
                        multiply_add(sum, u32::from_le_bytes(weight.map(|byte| byte as u8)), value.get())
                    });
                    let at = pixel * self.pitch + first + channel;
                    set(target, at, self.last.saturated(sum, multiplier));
                }
            }
        }
    }

    /// All channels of a row.
    #[cfg(goldcrest_dsp)]
    fn groups(&self, filler: &Filler<'_>, planes: &[Cell<u32>], target: &[Cell<i8>]) {
        let (width, pitch) = (self.width, self.pitch);
        let weights = part(self.weights, 0, pitch * self.words * 4);
        let channels = part(self.channels, 0, pitch);
        let fits = planes.len() >= CHANNELS * self.plane
            && self.plane >= (width - 1) * self.step + self.words
            && target.len() >= width * pitch;
        if channels.is_empty() || weights.is_empty() || !fits || width < PIXELS {
            return;
        }
        let mut call = armv7em::Call {
            channels: channels.as_ptr(),
            rounding: self.last.rounding(),
            pitch,
            tiles: width / PIXELS,
            plane: 4 * self.plane,
            count: CHANNELS,
            step: 4 * self.step,
            words: 4 * self.words,
        };
        let run = if self.three { armv7em::three } else { armv7em::any };
        let rest = if width.is_multiple_of(PIXELS) { 0 } else { width - PIXELS };
        let (planes, target) = (planes.as_ptr().cast::<u32>(), target.as_ptr().cast_mut().cast::<i8>());
        let mut weights = weights.as_ptr();
        let mut first = 0;
        while first < pitch {
            filler.fill(first);
            call.count = (pitch - first).min(CHANNELS);
            let place = target.wrapping_add(first);
            // SAFETY: `count` channels from `first` on have their weights, constants and planes, which hold
            // the windows of all pixels; the target holds them at each of `width` places `pitch` apart.
            // Weights and channels are aligned, because the image check saw to it.
            unsafe { run(weights, planes, place, &call) };
            if rest > 0 {
                // The last tile computes some pixels again.
                let last = armv7em::Call { tiles: 1, ..call };
                // SAFETY: as above; the tile ends with the row.
                unsafe { run(weights, planes.add(rest * self.step), place.add(rest * pitch), &last) };
            }
            first += CHANNELS;
            call.channels = call.channels.wrapping_add(CHANNELS);
            weights = weights.wrapping_add(CHANNELS * call.words);
        }
    }
}

/// The loops over channels and tiles of four pixels.
#[cfg(goldcrest_dsp)]
mod armv7em {
    use crate::image::Channel;
    use core::arch::naked_asm;

    use super::super::requantize::plain;

    /// What the loops need beside their pointers; the offsets stand in the code below.
    #[derive(Clone, Copy)]
    #[repr(C)]
    pub struct Call {
        /// Constants of the channels.
        pub channels: *const Channel,
        /// `0x7fff` plus the zero point in the upper half.
        pub rounding: i32,
        /// Bytes from one pixel of the output to the next.
        pub pitch: usize,
        /// Tiles of four pixels.
        pub tiles: usize,
        /// Bytes of a plane.
        pub plane: usize,
        /// Channels.
        pub count: usize,
        /// Bytes from one window to the next.
        pub step: usize,
        /// Bytes of weights of a channel.
        pub words: usize,
    }

    /// The next column of a window of three: r0 the windows, r2 and r3 its two words.
    macro_rules! column {
        ($at:literal) => {
            concat!("ldrd r2, r3, [r0, #", $at, "]\n")
        };
    }

    /// Two products of an output with a column of weights.
    macro_rules! sum {
        ($sum:literal, $from:literal, $a:literal, $b:literal) => {
            concat!(
                "smlad ", $sum, ", r2, ", $a, ", ", $from, "\n", "smlad ", $sum, ", r3, ", $b, ", ", $sum,
                "\n",
            )
        };
    }
    macro_rules! first {
        ($sum:literal) => {
            sum!($sum, "lr", "r4", "r5")
        };
    }
    macro_rules! second {
        ($sum:literal) => {
            sum!($sum, $sum, "r6", "r7")
        };
    }
    macro_rules! third {
        ($sum:literal) => {
            sum!($sum, $sum, "r8", "r9")
        };
    }

    /// From sums to outputs. [sp]: windows, output, call, channels, count, weights, multiplier, rounding,
    /// place, pitch, tiles, bias.
    macro_rules! finish {
        () => {
            concat!(
                "ldrd r2, r3, [sp, #24]\n",
                plain!("r10", "r2", "r3", "r1"),
                plain!("r11", "r2", "r3", "r1"),
                plain!("r12", "r2", "r3", "r1"),
                plain!("lr", "r2", "r3", "r1"),
                "ldrd r2, r3, [sp, #32]\n",
                "strb r10, [r2]\n",
                "strb r11, [r2, r3]\n",
                "strb r12, [r2, r3, lsl #1]\n",
                "add r2, r2, r3, lsl #2\n",
                "str r2, [sp, #32]\n",
                "subs r2, r2, r3\n",
                "strb lr, [r2]\n",
                "ldr r1, [sp, #40]\n",
                "subs r1, #1\n",
                "str r1, [sp, #40]\n",
            )
        };
    }

    /// A function of weights (r0), planes (r1), output (r2) and [`Call`] (r3).
    macro_rules! channels {
        ($(#[$doc:meta])* $name:ident, $load:expr, $tile:expr) => {
            $(#[$doc])*
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name(
                weights: *const i8, planes: *const u32, output: *mut i8, call: &Call
            ) {
                naked_asm!(
                    super::super::cpu!(),
                    "push {{r4-r11, lr}}",
                    "sub sp, sp, #48",
                    "ldr r4, [r3]",
                    "ldr r5, [r3, #20]",
                    "strd r1, r2, [sp]",
                    "strd r3, r4, [sp, #8]",
                    "strd r5, r0, [sp, #16]",
                    "2:", // One channel.
                    "ldrd r3, r4, [sp, #8]",
                    "ldm r4!, {{r5, r6}}",
                    "str r4, [sp, #12]",
                    "ldrd r7, r8, [r3, #4]",
                    "ldr r9, [r3, #12]",
                    "ldr r0, [sp, #4]",
                    "adds r1, r0, #1",
                    "str r1, [sp, #4]",
                    "strd r6, r7, [sp, #24]",
                    "strd r0, r8, [sp, #32]",
                    "strd r9, r5, [sp, #40]",
                    "ldr r0, [sp]",
                    "ldr r1, [r3, #16]",
                    "adds r1, r0, r1",
                    "str r1, [sp]",
                    $load,
                    "3:", // Four pixels.
                    "ldr lr, [sp, #44]",
                    $tile,
                    finish!(),
                    "bne 3b",
                    "ldr r1, [sp, #16]",
                    "subs r1, #1",
                    "str r1, [sp, #16]",
                    "bne 2b",
                    "add sp, sp, #48",
                    "pop {{r4-r11, pc}}",
                )
            }
        };
    }

    /// The weights of three columns, kept in r4-r9.
    macro_rules! three_columns {
        () => {
            "ldr r1, [sp, #20]\nldm r1!, {{r4-r9}}\nstr r1, [sp, #20]\n"
        };
    }

    channels!(
        /// Windows of 3 x 3, one column apart.
        three, three_columns!(), concat!(
            column!(0), first!("r10"),
            column!(8), second!("r10"), first!("r11"),
            column!(16), third!("r10"), second!("r11"), first!("r12"),
            column!(24), third!("r11"), second!("r12"), first!("lr"),
            column!(32), third!("r12"), second!("lr"),
            column!(40), third!("lr"),
            "adds r0, #32\n",
        )
    );
    channels!(
        /// Any windows: r0 and r7-r9 those of four pixels, r1 the weights.
        any,
        "",
        concat!(
            "ldr r1, [sp, #8]\n",
            "ldrd r5, r6, [r1, #24]\n",
            "adds r7, r0, r5\n",
            "add r8, r7, r5\n",
            "add r9, r8, r5\n",
            "add r5, r9, r5\n",
            "ldr r1, [sp, #20]\n",
            "adds r6, r1, r6\n",
            "push {{r5, r6}}\n",
            "mov r10, lr\n",
            "mov r11, lr\n",
            "mov r12, lr\n",
            "4:\n",
            "ldrd r2, r3, [r1], #8\n",
            "ldrd r4, r5, [r0], #8\n",
            "smlad r10, r4, r2, r10\n",
            "smlad r10, r5, r3, r10\n",
            "ldrd r4, r5, [r7], #8\n",
            "smlad r11, r4, r2, r11\n",
            "smlad r11, r5, r3, r11\n",
            "ldrd r4, r5, [r8], #8\n",
            "smlad r12, r4, r2, r12\n",
            "smlad r12, r5, r3, r12\n",
            "ldrd r4, r5, [r9], #8\n",
            "smlad lr, r4, r2, lr\n",
            "smlad lr, r5, r3, lr\n",
            "ldr r4, [sp, #4]\n",
            "cmp r1, r4\n",
            "bne 4b\n",
            "pop {{r0, r6}}\n",
            "ldr r1, [sp, #40]\n",
            "cmp r1, #1\n",
            "it eq\n",
            "streq r6, [sp, #20]\n",
        )
    );
}
