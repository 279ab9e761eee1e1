//! The kernels: one file per operator and family, all of one shape, listed in one table.
//!
//! A kernel is a [`Kernel`] with two functions for the device. `needs` looks at a layer's shapes alone: it
//! says how many weights, channel constants and scratch bytes the kernel will touch, or that the shapes do
//! not belong to the operator. `run` computes the layer. The image check compares `needs` with what the image
//! holds, so `run` never meets a surprise. With feature `pack` it also holds what the packer must know.
//!
//! To add a kernel: a file with its value, its `mod` line, and a line in `ALL` below.

#[cfg_attr(goldcrest_mve, allow(dead_code, reason = "`mve` has other instructions"))]
mod add;
mod average_pool;
mod block;
mod concat;
mod conv;
mod depthwise;
mod dsp;
mod fully_connected;
mod int4;
#[cfg_attr(goldcrest_mve, allow(dead_code, reason = "`mve` has other instructions"))]
mod lookup;
#[cfg_attr(goldcrest_mve, allow(dead_code, reason = "`mve` has other instructions"))]
mod max_pool;
mod mul;
#[cfg(any(goldcrest_mve, not(target_os = "none")))]
mod mve;
mod output;
#[cfg(feature = "pack")]
pub mod packing;
mod pad;
mod pixel_pairs;
mod rows;
mod runs;
#[cfg_attr(goldcrest_mve, allow(dead_code, reason = "`mve` has other instructions"))]
mod simd;
mod taps;
mod upsample;

use crate::engine::Arena;
use crate::image::{Entry, Record};

/// A kernel: what a layer needs and how it runs.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// Its number in device images: not 0, and never given to another order of weights.
    pub id: u8,
    /// Its name in profiles and memory maps.
    pub name: &'static str,
    /// What the kernel touches beside its tensors; `None` when the shapes do not belong to it.
    pub needs: fn(&Record) -> Option<Needs>,
    /// Computes the layer.
    pub(crate) run: fn(&Entry<'_>, Arena<'_>),
    /// What the packer must know.
    #[cfg(feature = "pack")]
    pub packing: packing::Packing,
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

/// Every kernel. Where several suit a layer, the packer prefers the first, so the faster kernels of an
/// operator stand before the slower ones.
const ALL: &[&Kernel] = &[
    &dsp::fully_connected::DSP_INT4_FULLY_CONNECTED,
    &dsp::conv::DSP_INT4_CONV,
    &fully_connected::INT4_FULLY_CONNECTED,
    &conv::INT4_CONV,
    &dsp::small_fully_connected::DSP_SMALL_FULLY_CONNECTED,
    &dsp::fully_connected::DSP_FULLY_CONNECTED,
    &dsp::winograd::DSP_WINOGRAD,
    &dsp::conv::DSP_CONV,
    &dsp::depthwise::DSP_DEPTHWISE,
    &dsp::depthwise_direct::DSP_DEPTHWISE_DIRECT,
    #[cfg(any(goldcrest_mve, not(target_os = "none")))]
    &mve::fully_connected::MVE_FULLY_CONNECTED,
    #[cfg(any(goldcrest_mve, not(target_os = "none")))]
    &mve::conv::MVE_CONV,
    &fully_connected::FULLY_CONNECTED,
    &pixel_pairs::conv::PIXEL_PAIR_CONV,
    &depthwise::DEPTHWISE,
    &conv::CONV,
    &max_pool::MAX_POOL,
    &average_pool::AVERAGE_POOL,
    &add::ADD,
    &mul::MUL,
    &lookup::LOOKUP,
    &concat::CONCAT,
    &pad::PAD,
    &upsample::UPSAMPLE,
];

/// Every kernel of this build, in the order in which the packer prefers them. What no table names, the linker
/// drops.
pub static TABLE: &[Kernel] = &table();

/// Kernels that [`included`] does not leave out.
const COUNT: usize = {
    let (mut count, mut at) = (0, 0);
    while at < ALL.len() {
        count += included(ALL[at].name) as usize;
        at += 1;
    }
    count
};

const fn table() -> [Kernel; COUNT] {
    let mut table = [*ALL[0]; COUNT];
    let (mut count, mut at) = (0, 0);
    while at < ALL.len() {
        if included(ALL[at].name) {
            table[count] = *ALL[at];
            count += 1;
        }
        at += 1;
    }
    table
}

/// Whether this build prefers little code to speed: the environment variable `GOLDCREST_SMALL` was set when
/// it was compiled.
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

/// The largest number of a kernel.
const LAST: u8 = {
    let (mut last, mut at) = (0, 0);
    while at < ALL.len() {
        if ALL[at].id > last {
            last = ALL[at].id;
        }
        at += 1;
    }
    last
};

/// Where in [`TABLE`] the kernel with a number stands; beyond its end where this build has none.
static PLACES: [u8; 1 + LAST as usize] = {
    let mut places = [u8::MAX; 1 + LAST as usize];
    let mut place = 0;
    while place < TABLE.len() {
        places[TABLE[place].id as usize] = place as u8;
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

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Dsp => "dsp",
            Self::Mve => "mve",
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
        f.write_str(self.name())
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
            assert!(kernel.id != 0 && find(kernel.id).is_some_and(|found| found.name == kernel.name));
            assert!(TABLE[..index].iter().all(|other| other.name != kernel.name));
        }
        assert!(find(0).is_none());
    }

    #[cfg(not(feature = "pack"))]
    #[test]
    fn devices_hold_nothing_of_the_packer() {
        // Number, address and length of the name, two functions.
        assert_eq!(size_of::<Kernel>(), 5 * size_of::<usize>());
    }
}
