//! The kernels as values. A program names those that its models need; the linker drops the others.
//!
//! ```
//! use goldcrest_engine::kernels::{self, Family};
//!
//! let list = [&kernels::CONV, &kernels::MAX_POOL];
//! assert_eq!(list.map(|kernel| kernel.name()), ["conv", "max-pool"]);
//! assert_eq!(kernels::DSP_CONV.family(), Family::Dsp);
//! ```
//!
//! There is one file per operator and family, all of one shape, listed in one table. A kernel is a [`Kernel`]
//! with two functions for the device. `needs` looks at a layer's shapes alone: it says how many weights,
//! channel constants and scratch bytes the kernel will touch, or that the shapes do not belong to the
//! operator. `run` computes the layer. The image check compares `needs` with what the image holds, so `run`
//! never meets a surprise. With feature `pack` it also holds what the packer must know.
//!
//! To add a kernel: a file with its value, its `mod` line, and a line in `table!` below.

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

/// A kernel: one operator, with one order of weights. The constants of this module are all there are; a
/// program names those that its models need, and the linker drops the others.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    pub(crate) id: u8,
    pub(crate) name: &'static str,
    pub(crate) needs: fn(&Record) -> Option<Needs>,
    pub(crate) run: fn(&Entry<'_>, Arena<'_>),
    #[cfg(feature = "pack")]
    pub(crate) packing: packing::Packing,
}

impl Kernel {
    /// Its number in device images: not 0, and never given to another order of weights.
    pub const fn id(&self) -> u8 {
        self.id
    }

    /// Its name in profiles and memory maps; the constant's name is the same in capitals, with `_` for `-`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The cores that it is made for.
    pub const fn family(&self) -> Family {
        Family::of_kernel(self.id)
    }

    /// What the kernel touches beside a layer's tensors; `None` when the shapes do not belong to it.
    #[cfg(feature = "pack")]
    pub fn needs(&self, record: &Record) -> Option<Needs> {
        (self.needs)(record)
    }

    /// What the packer must know.
    #[cfg(feature = "pack")]
    pub const fn packing(&self) -> &packing::Packing {
        &self.packing
    }
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

/// Makes every kernel a public name of this module and a member of [`ALL`].
macro_rules! table {
    ($($name:ident: $($module:ident)::+,)*) => {
        $(pub use $($module)::+::$name;)*

        /// Every kernel. Where several suit a layer, the packer prefers the first, so the faster kernels of
        /// an operator stand before the slower ones. A program that names it links every kernel.
        pub static ALL: &[&Kernel] = &[$(&$name),*];

        /// What a program must add to its list for an image that needs a kernel; for the compiler's messages.
        pub(crate) const fn advice(id: u8) -> &'static str {
            $(if $name.id == id {
                return concat!(
                    "the device image needs kernels::", stringify!($name), "; add it to the model's list"
                );
            })*
            "the device image needs a kernel that this version of goldcrest-engine does not have; pack the \
             model again with the same version"
        }
    };
}

table! {
    DSP_INT4_FULLY_CONNECTED: dsp::fully_connected,
    DSP_INT4_CONV: dsp::conv,
    INT4_FULLY_CONNECTED: fully_connected,
    INT4_CONV: conv,
    DSP_SMALL_FULLY_CONNECTED: dsp::small_fully_connected,
    DSP_FULLY_CONNECTED: dsp::fully_connected,
    DSP_WINOGRAD: dsp::winograd,
    DSP_CONV: dsp::conv,
    DSP_DEPTHWISE: dsp::depthwise,
    DSP_DEPTHWISE_DIRECT: dsp::depthwise_direct,
    MVE_FULLY_CONNECTED: mve::fully_connected,
    MVE_CONV: mve::conv,
    FULLY_CONNECTED: fully_connected,
    PIXEL_PAIR_CONV: pixel_pairs::conv,
    DEPTHWISE: depthwise,
    CONV: conv,
    MAX_POOL: max_pool,
    AVERAGE_POOL: average_pool,
    ADD: add,
    MUL: mul,
    LOOKUP: lookup,
    CONCAT: concat,
    PAD: pad,
    UPSAMPLE: upsample,
}

/// The kernels that this build runs with the instructions they are made for: for programs that take whatever
/// model comes. With an operating system below these are all; the host runs every family.
pub static NATIVE: &[&Kernel] = &native();

const fn is_native(kernel: &Kernel) -> bool {
    cfg!(not(target_os = "none")) || kernel.family() as u8 <= Family::NATIVE as u8
}

const fn native() -> [&'static Kernel; NATIVE_COUNT] {
    let mut kernels = [ALL[0]; NATIVE_COUNT];
    let (mut count, mut at) = (0, 0);
    while at < ALL.len() {
        if is_native(ALL[at]) {
            kernels[count] = ALL[at];
            count += 1;
        }
        at += 1;
    }
    kernels
}

const NATIVE_COUNT: usize = {
    let (mut count, mut at) = (0, 0);
    while at < ALL.len() {
        count += is_native(ALL[at]) as usize;
        at += 1;
    }
    count
};

/// Whether this build prefers little code to speed.
pub(crate) const SMALL: bool = cfg!(feature = "small");

/// The kernel with a number, where a list has it.
pub fn find(kernels: &[&'static Kernel], id: u8) -> Option<&'static Kernel> {
    kernels.iter().find(|kernel| kernel.id == id).copied()
}

/// The name of the kernel with a number, whether or not a program has it. It links no kernel.
pub fn name(id: u8) -> Option<&'static str> {
    NAMES.iter().find(|(number, _)| *number == id).map(|(_, name)| *name)
}

/// The name of a kernel's constant in this module: `DSP_CONV` for `dsp-conv`.
#[cfg(feature = "alloc")]
pub fn constant(name: &str) -> alloc::string::String {
    name.to_ascii_uppercase().replace('-', "_")
}

static NAMES: [(u8, &str); ALL.len()] = {
    let mut names = [(0, ""); ALL.len()];
    let mut at = 0;
    while at < ALL.len() {
        names[at] = (ALL[at].id, ALL[at].name);
        at += 1;
    }
    names
};

/// Runs one layer.
pub(crate) fn run(kernels: &[&'static Kernel], entry: &Entry<'_>, arena: Arena<'_>) {
    if let Some(kernel) = find(kernels, entry.kernel()) {
        (kernel.run)(entry, arena);
    }
}

/// Sets of kernels that belong to cores; an image is packed for one of them. A core of a later family runs
/// the kernels of the ones before with their own instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
        self as u8
    }

    /// The family with a number.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Portable),
            1 => Some(Self::Dsp),
            2 => Some(Self::Mve),
            _ => None,
        }
    }

    /// The family of a kernel, whose numbers begin at 1, 32 and 64.
    const fn of_kernel(id: u8) -> Self {
        match id {
            ..32 => Self::Portable,
            32..64 => Self::Dsp,
            64.. => Self::Mve,
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

    /// Whether this build runs images of the family: with the instructions of its kernels, or, where an
    /// operating system is below, with their equals in plain Rust, which give the same values.
    pub const fn runs_here(self) -> bool {
        cfg!(not(target_os = "none")) || self as u8 <= Self::NATIVE as u8
    }

    /// What to set so that a build runs the family.
    pub(crate) const fn setting(self) -> &'static str {
        match self {
            Self::Portable => "nothing",
            Self::Dsp => {
                "target thumbv7em-none-eabi or thumbv7em-none-eabihf; for Cortex-M33, thumbv8m.main with \
                 RUSTFLAGS=\"-C target-cpu=cortex-m33\""
            }
            Self::Mve => "target thumbv8m.main with RUSTFLAGS=\"-C target-cpu=cortex-m55\"",
        }
    }
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
    use crate::LayerError;

    #[test]
    fn numbers_and_names_are_unique_and_constants_have_the_names() {
        for (index, kernel) in ALL.iter().enumerate() {
            assert!(kernel.id != 0 && find(ALL, kernel.id).is_some_and(|found| found.name == kernel.name));
            assert!(ALL[..index].iter().all(|other| other.name != kernel.name));
            assert_eq!(name(kernel.id), Some(kernel.name));
            let constant = kernel.name.to_uppercase().replace('-', "_");
            assert!(advice(kernel.id).contains(&format!("kernels::{constant};")), "{}", kernel.name);
            let said = LayerError::Kernel(kernel.id).to_string();
            assert!(said.contains(&format!("kernels::{constant} ")), "{said}");
            let family = kernel.name.split('-').next();
            assert_eq!(kernel.family() == Family::Dsp, family == Some("dsp"));
            assert_eq!(kernel.family() == Family::Mve, family == Some("mve"));
        }
        assert!(find(ALL, 0).is_none() && name(0).is_none());
        assert!(Family::ALL.iter().all(|&family| Family::from_code(family.code()) == Some(family)));
    }

    #[cfg(not(feature = "pack"))]
    #[test]
    fn devices_hold_nothing_of_the_packer() {
        // Number, address and length of the name, two functions.
        assert_eq!(size_of::<Kernel>(), 5 * size_of::<usize>());
    }
}
