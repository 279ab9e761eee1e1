//! Kernels for cores with the DSP instructions of Armv7E-M and Armv8-M (Cortex-M4, M7, M33; those with
//! vectors have them too).
//!
//! SMLAD multiplies two pairs of halfwords and adds both products: two multiply-accumulates per
//! instruction. What remains is to feed it. Activations are widened to halfwords once per patch
//! ([`patch`]). Weights stay bytes; a word holds two taps of two output channels `a` and `b`, as the
//! two halfwords `256 b + a`. SMLAD with the word itself therefore sums `256 B + A`, SMLAD with its
//! sign-extended low bytes (one SXTB16) sums `A`, and `B` is their difference divided by 256: exact as
//! long as `B` fits 24 bits, which the packer proves.
//!
//! Of weights of four bits a word holds four taps of both channels, as the bytes `16 b + a + 8`. SXTB16 gives
//! two of these taps as halfwords, whose sum is `16 B + A + 8 X` with `X` the sum of the values; their low
//! halves (AND) sum `A + 8 X`. `X` is the same for all channels.
//!
//! The instructions stand in a few small functions with plain Rust twins, so every other core, the
//! host's tests and Miri run the same kernels.

/// What assembly with DSP instructions starts with: naked functions are assembled without the features
/// that `-C target-cpu` adds to Armv8-M.
#[cfg(all(goldcrest_dsp, goldcrest_armv8))]
macro_rules! cpu {
    () => {
        ".cpu cortex-m33"
    };
}
/// What assembly with DSP instructions starts with: nothing where the target has them by itself.
#[cfg(all(goldcrest_dsp, not(goldcrest_armv8)))]
macro_rules! cpu {
    () => {
        ""
    };
}
#[cfg(goldcrest_dsp)]
use cpu;

mod bounds;
pub mod conv;
#[cfg(all(goldcrest_dsp, not(goldcrest_mve)))]
pub mod copy;
pub mod depthwise;
pub mod depthwise_direct;
pub mod fully_connected;
mod multiply;
#[cfg(feature = "pack")]
mod packing;
#[cfg(not(goldcrest_dsp))]
mod pair;
mod patch;
mod planes;
#[cfg(goldcrest_dsp)]
mod requantize;
pub mod small_fully_connected;
pub mod sums;
mod tiles;
pub mod winograd;

/// Output pixels that are computed at once.
const PIXELS: usize = 4;

/// Maximum number of rows of a window.
const HEIGHT: usize = 7;
