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

#[cfg_attr(goldcrest_mve, allow(dead_code, reason = "`native` has other instructions"))]
mod add;
mod average_pool;
mod block;
mod concat;
mod conv;
mod depthwise;
mod dsp;
mod fully_connected;
mod int4;
#[cfg_attr(goldcrest_mve, allow(dead_code, reason = "`native` has other instructions"))]
mod lookup;
#[cfg_attr(goldcrest_mve, allow(dead_code, reason = "`native` has other instructions"))]
mod max_pool;
mod mul;
#[cfg(any(goldcrest_mve, not(target_os = "none")))]
mod mve;
mod output;
mod pad;
mod pixel_pairs;
mod rows;
#[cfg_attr(goldcrest_mve, allow(dead_code, reason = "`native` has other instructions"))]
mod simd;
mod taps;
mod upsample;

use crate::engine::Arena;
use crate::image::{Entry, Record};

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
    pub(crate) run: fn(&Entry<'_>, Arena<'_>),
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
    pub const NONE: u8 = 0;
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
    pub const INT4_CONV: u8 = 12;
    pub const INT4_FULLY_CONNECTED: u8 = 13;
    pub const PIXEL_PAIR_CONV: u8 = 16;
    pub const DSP_CONV: u8 = 34;
    pub const DSP_DEPTHWISE: u8 = 35;
    pub const DSP_WINOGRAD: u8 = 36;
    pub const DSP_FULLY_CONNECTED: u8 = 37;
    pub const DSP_SMALL_FULLY_CONNECTED: u8 = 38;
    pub const DSP_DEPTHWISE_DIRECT: u8 = 39;
    pub const DSP_INT4_CONV: u8 = 40;
    pub const DSP_INT4_FULLY_CONNECTED: u8 = 41;
    pub const MVE_CONV: u8 = 64;
    pub const MVE_FULLY_CONNECTED: u8 = 65;
    pub(super) const LAST: u8 = MVE_FULLY_CONNECTED;
}

/// The kernels that read what the portable ones read, with the instructions of the core.
#[cfg(not(goldcrest_mve))]
mod native {
    pub(super) use super::{add, average_pool, depthwise, lookup, max_pool, mul};
}
#[cfg(goldcrest_mve)]
use mve as native;

/// Every kernel of this build.
pub static TABLE: &[Kernel] = &[
    kernel(id::CONV, "conv", conv::needs::<8>, conv::run::<8>),
    kernel(id::DEPTHWISE, "depthwise", depthwise::needs, native::depthwise::run),
    kernel(id::FULLY_CONNECTED, "fully-connected", fully_connected::needs::<8>, fully_connected::run::<8>),
    kernel(id::MAX_POOL, "max-pool", max_pool::needs, native::max_pool::run),
    kernel(id::AVERAGE_POOL, "average-pool", average_pool::needs, native::average_pool::run),
    kernel(id::ADD, "add", add::needs, native::add::run),
    kernel(id::MUL, "mul", mul::needs, native::mul::run),
    kernel(id::LOOKUP, "lookup", lookup::needs, native::lookup::run),
    kernel(id::CONCAT, "concat", concat::needs, concat::run),
    kernel(id::PAD, "pad", pad::needs, pad::run),
    kernel(id::UPSAMPLE, "upsample", upsample::needs, upsample::run),
    kernel(id::INT4_CONV, "int4-conv", conv::needs::<4>, conv::run::<4>),
    kernel(
        id::INT4_FULLY_CONNECTED,
        "int4-fully-connected",
        fully_connected::needs::<4>,
        fully_connected::run::<4>,
    ),
    kernel(id::PIXEL_PAIR_CONV, "pixel-pair-conv", pixel_pairs::conv::needs, pixel_pairs::conv::run),
    kernel(id::DSP_CONV, "dsp-conv", dsp::conv::needs::<8>, dsp::conv::run::<8>),
    kernel(id::DSP_WINOGRAD, "dsp-winograd", dsp::winograd::needs, dsp::winograd::run),
    kernel(id::DSP_DEPTHWISE, "dsp-depthwise", dsp::depthwise::needs, dsp::depthwise::run),
    kernel(
        id::DSP_DEPTHWISE_DIRECT,
        "dsp-depthwise-direct",
        dsp::depthwise_direct::needs,
        dsp::depthwise_direct::run,
    ),
    kernel(
        id::DSP_SMALL_FULLY_CONNECTED,
        "dsp-small-fully-connected",
        dsp::small_fully_connected::needs,
        dsp::small_fully_connected::run,
    ),
    kernel(
        id::DSP_FULLY_CONNECTED,
        "dsp-fully-connected",
        dsp::fully_connected::needs::<8>,
        dsp::fully_connected::run::<8>,
    ),
    kernel(id::DSP_INT4_CONV, "dsp-int4-conv", dsp::conv::needs::<4>, dsp::conv::run::<4>),
    kernel(
        id::DSP_INT4_FULLY_CONNECTED,
        "dsp-int4-fully-connected",
        dsp::fully_connected::needs::<4>,
        dsp::fully_connected::run::<4>,
    ),
    #[cfg(any(goldcrest_mve, not(target_os = "none")))]
    kernel(id::MVE_CONV, "mve-conv", mve::conv::needs, mve::conv::run),
    #[cfg(any(goldcrest_mve, not(target_os = "none")))]
    kernel(
        id::MVE_FULLY_CONNECTED,
        "mve-fully-connected",
        mve::fully_connected::needs,
        mve::fully_connected::run,
    ),
];

/// A kernel, or nothing where [`included`] leaves it out: what no table names, the linker drops.
const fn kernel(
    id: u8,
    name: &'static str,
    needs: fn(&Record) -> Option<Needs>,
    run: fn(&Entry<'_>, Arena<'_>),
) -> Kernel {
    match included(name) {
        true => Kernel { id, name, needs, run },
        false => Kernel { id: id::NONE, name, needs: |_| None, run: |_, _| {} },
    }
}

/// Whether this build prefers little code to speed: the environment variable `GOLDCREST_SMALL` was set when it
/// was compiled.
pub(crate) const SMALL: bool = option_env!("GOLDCREST_SMALL").is_some();

/// Whether this build has a kernel: it has all, unless the environment variable `GOLDCREST_KERNELS` named
/// the wanted ones, with commas between, when it was compiled.
const fn included(name: &str) -> bool {
    match option_env!("GOLDCREST_KERNELS") {
        None => true,
        Some(names) => is_among(name.as_bytes(), names.as_bytes()),
    }
}

/// Whether a list with commas contains a name.
const fn is_among(name: &[u8], list: &[u8]) -> bool {
    let (mut start, mut at) = (0, 0);
    while at <= list.len() {
        if at == list.len() || list[at] == b',' {
            let mut same = 0;
            while same < name.len() && start + same < at && list[start + same] == name[same] {
                same += 1;
            }
            if same == name.len() && start + same == at {
                return true;
            }
            start = at + 1;
        }
        at += 1;
    }
    false
}

/// Where in [`TABLE`] the kernel with a number stands; beyond its end where this build has none.
static PLACES: [u8; 1 + id::LAST as usize] = {
    let mut places = [u8::MAX; 1 + id::LAST as usize];
    let mut place = 0;
    while place < TABLE.len() {
        let id = TABLE[place].id;
        if id != id::NONE {
            places[id as usize] = place as u8;
        }
        place += 1;
    }
    places
};

/// The kernel with a number, when this build has it.
pub fn find(id: u8) -> Option<&'static Kernel> {
    PLACES.get(usize::from(id)).and_then(|&place| TABLE.get(usize::from(place)))
}

/// Runs one layer.
pub(crate) fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    if let Some(kernel) = find(entry.kernel()) {
        (kernel.run)(entry, arena);
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
    /// Armv8.1-M with vector instructions (Helium).
    Mve,
}

impl Family {
    /// The number in the header of device images.
    pub const fn code(self) -> u8 {
        match self {
            Self::Portable => 0,
            Self::Dsp => 1,
            Self::Mve => 2,
        }
    }

    /// Every family.
    pub const ALL: [Family; 3] = [Family::Portable, Family::Dsp, Family::Mve];

    /// The fastest family that this build has.
    pub const NATIVE: Family = match () {
        () if cfg!(goldcrest_mve) => Family::Mve,
        () if cfg!(goldcrest_dsp) => Family::Dsp,
        () => Family::Portable,
    };
}

impl core::fmt::Display for Family {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Dsp => "dsp",
            Self::Mve => "mve",
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

#[cfg(feature = "pack")]
#[doc(hidden)]
pub use block::width as block_width;
#[cfg(feature = "pack")]
#[doc(hidden)]
pub use dsp::ACCUMULATOR_LIMIT as DSP_ACCUMULATOR_LIMIT;
#[cfg(feature = "pack")]
#[doc(hidden)]
pub use dsp::HEIGHT as DSP_HEIGHT;
#[cfg(feature = "pack")]
#[doc(hidden)]
pub use dsp::conv::is_flat as dsp_conv_is_flat;
#[cfg(feature = "pack")]
#[doc(hidden)]
pub use dsp::winograd;
#[cfg(feature = "pack")]
#[doc(hidden)]
pub use mve::{BLOCK as MVE_BLOCK, VECTOR as MVE_VECTOR, apart as mve_runs_apart};
#[cfg(feature = "pack")]
#[doc(hidden)]
pub use pixel_pairs::{CHANNELS as PIXEL_PAIR_CHANNELS, TAPS as PIXEL_PAIR_TAPS};
#[cfg(feature = "pack")]
#[doc(hidden)]
pub use rows::loaded_bytes;

/// The first input value that a pool reads for an output position, when it reads any.
#[cfg(feature = "pack")]
#[doc(hidden)]
pub fn first_value(record: &Record, y: usize, x: usize) -> Option<usize> {
    let taps = taps::Taps::new(record, y, x);
    (taps.rows > 0 && taps.columns > 0).then_some(taps.first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_whole_kernels() {
        let among = |name: &str, list: &str| is_among(name.as_bytes(), list.as_bytes());
        assert!(among("add", "add") && among("add", "conv,add") && among("conv", "conv,add"));
        assert!(
            !among("conv", "dsp-conv")
                && !among("conv", "conv-x,y")
                && !among("add", "")
                && !among("add", "ad,d")
        );
    }

    #[test]
    fn numbers_and_names_are_unique() {
        for (index, kernel) in TABLE.iter().enumerate() {
            assert!(kernel.id != id::NONE && find(kernel.id).is_some_and(|found| found.name == kernel.name));
            assert!(TABLE[..index].iter().all(|other| other.name != kernel.name));
        }
        assert!(find(id::NONE).is_none());
    }
}
