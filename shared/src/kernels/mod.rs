//! The kernels: one file per operator and family, all of one shape, listed in one table.
//!
//! A kernel is two functions. `needs` looks at a layer's shapes alone: it says how many weights,
//! channel constants and scratch bytes the kernel will touch, or that the shapes do not belong to
//! the operator. `run` computes the layer. The image check compares `needs` with what the image
//! holds, so `run` never meets a surprise.
//!
//! To add a kernel: a file with `needs` and `run`, a line in [`TABLE`], the order of its weights in
//! `quantize::pack::weights`, and its distance in `quantize::planner::overlap` when it may write
//! over its input.

mod add;
mod average_pool;
mod block;
mod concat;
mod conv;
mod depthwise;
mod dsp;
mod fully_connected;
mod lookup;
mod max_pool;
mod mul;
mod output;
mod pad;
mod pixel_pairs;
mod rows;
mod simd;
mod taps;
mod upsample;

use crate::engine::Arena;
use crate::image::{Layer, Record};

/// A kernel: what a layer needs and how it runs.
#[derive(Debug)]
pub struct Kernel {
    /// Its number in device images; never reused for another order of weights.
    pub id: u8,
    /// Its name in profiles and memory maps.
    pub name: &'static str,
    /// What the kernel touches beside its tensors; `None` when the shapes do not belong to it.
    pub needs: fn(&Record) -> Option<Needs>,
    /// Computes the layer.
    pub(crate) run: fn(&Layer<'_>, Arena<'_>),
}

/// What a kernel touches beside its input and output tensors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Bytes of weights in the image.
    pub weights: u64,
    /// Channel constants in the image.
    pub channels: u64,
    /// Bytes of scratch memory in the arena.
    pub scratch: u64,
}

/// Numbers of the kernels in device images.
#[allow(missing_docs)]
pub mod id {
    pub const CONV: u8 = 1;
    pub const DEPTHWISE: u8 = 2;
    pub const FULLY_CONNECTED: u8 = 3;
    pub const MAX_POOL: u8 = 4;
    pub const AVERAGE_POOL: u8 = 5;
    pub const ADD: u8 = 6;
    pub const MUL: u8 = 7;
    pub const LOOKUP: u8 = 8;
    pub const CONCAT: u8 = 9;
    pub const PAD: u8 = 10;
    pub const UPSAMPLE: u8 = 11;
    pub const PIXEL_PAIR_CONV: u8 = 16;
    pub const DSP_CONV: u8 = 32;
    pub const DSP_FULLY_CONNECTED: u8 = 33;
}

/// Every kernel of this build.
pub static TABLE: &[Kernel] = &[
    Kernel { id: id::CONV, name: "conv", needs: conv::needs, run: conv::run },
    Kernel { id: id::DEPTHWISE, name: "depthwise", needs: depthwise::needs, run: depthwise::run },
    Kernel {
        id: id::FULLY_CONNECTED,
        name: "fully-connected",
        needs: fully_connected::needs,
        run: fully_connected::run,
    },
    Kernel { id: id::MAX_POOL, name: "max-pool", needs: max_pool::needs, run: max_pool::run },
    Kernel { id: id::AVERAGE_POOL, name: "average-pool", needs: average_pool::needs, run: average_pool::run },
    Kernel { id: id::ADD, name: "add", needs: add::needs, run: add::run },
    Kernel { id: id::MUL, name: "mul", needs: mul::needs, run: mul::run },
    Kernel { id: id::LOOKUP, name: "lookup", needs: lookup::needs, run: lookup::run },
    Kernel { id: id::CONCAT, name: "concat", needs: concat::needs, run: concat::run },
    Kernel { id: id::PAD, name: "pad", needs: pad::needs, run: pad::run },
    Kernel { id: id::UPSAMPLE, name: "upsample", needs: upsample::needs, run: upsample::run },
    Kernel {
        id: id::PIXEL_PAIR_CONV,
        name: "pixel-pair-conv",
        needs: pixel_pairs::conv::needs,
        run: pixel_pairs::conv::run,
    },
    Kernel { id: id::DSP_CONV, name: "dsp-conv", needs: dsp::conv::needs, run: dsp::conv::run },
    Kernel {
        id: id::DSP_FULLY_CONNECTED,
        name: "dsp-fully-connected",
        needs: dsp::fully_connected::needs,
        run: dsp::fully_connected::run,
    },
];

/// The kernel with a number, when this build has it.
pub fn find(id: u8) -> Option<&'static Kernel> {
    TABLE.iter().find(|kernel| kernel.id == id)
}

/// Runs one layer.
pub(crate) fn run(layer: &Layer<'_>, arena: Arena<'_>) {
    if let Some(kernel) = find(layer.record.kernel) {
        (kernel.run)(layer, arena);
    }
}

/// Sets of kernels that belong to cores; an image is packed for one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// Plain Rust, for every core.
    #[default]
    Portable,
    /// Armv7E-M and Armv8-M with DSP instructions.
    Dsp,
}

impl Family {
    /// The number in the header of device images.
    pub const fn code(self) -> u8 {
        match self {
            Self::Portable => 0,
            Self::Dsp => 1,
        }
    }

    /// Every family.
    pub const ALL: [Family; 2] = [Family::Portable, Family::Dsp];

    /// The fastest family that this build has.
    pub const NATIVE: Family = if cfg!(goldcrest_dsp) { Family::Dsp } else { Family::Portable };
}

impl core::fmt::Display for Family {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Dsp => "dsp",
        })
    }
}

/// The product of extents, saturating: no hostile shape wraps around.
pub(crate) fn product<const N: usize>(extents: [usize; N]) -> u64 {
    extents.into_iter().fold(1, |product: u64, extent| product.saturating_mul(extent as u64))
}

/// Whether the window leads from the input's rows and columns to the output's.
pub(crate) fn window_fits(record: &Record) -> bool {
    let (input, output) = (record.input.shape, record.output.shape);
    record.window.output(input.height, input.width) == Some([output.height, output.width])
}

#[cfg(feature = "quantize")]
pub(crate) use block::width as block_width;
#[cfg(feature = "quantize")]
pub(crate) use dsp::ACCUMULATOR_LIMIT as DSP_ACCUMULATOR_LIMIT;
#[cfg(feature = "quantize")]
pub(crate) use pixel_pairs::{CHANNELS as PIXEL_PAIR_CHANNELS, TAPS as PIXEL_PAIR_TAPS};
#[cfg(feature = "quantize")]
pub(crate) use rows::loaded_bytes;

/// The first input value that a pool reads for an output position, when it reads any.
#[cfg(feature = "quantize")]
pub(crate) fn first_value(record: &Record, y: usize, x: usize) -> Option<usize> {
    let taps = taps::Taps::new(record, y, x);
    (taps.rows > 0 && taps.columns > 0).then_some(taps.first)
}
