//! Convolution on cores without DSP instructions: two pixels per multiplication.
//!
//! A word `x = p + 65536 q` holds the values of two pixels, so `x * w` multiplies both. Of two taps the
//! sum `x0 * w0 + x1 * w1` still keeps its halves apart: `p0 * w0 + p1 * w1` is at most
//! `2 * 128 * 127 < 32768` in magnitude. With 32768 added to it, an arithmetic shift by 16 gives `q`'s sum
//! exactly. So for every two taps a word takes two multiplications, and the additions
//!
//! ```text
//! t = 32768 + x0 * w0 + x1 * w1
//! total += t
//! high += t >> 16
//! ```
//!
//! after which `q`'s sum is `high`, and `p`'s is `total - (high << 16) - 32768 * rounds`, modulo 2^32 and
//! therefore exactly. Four multiply-accumulates cost 4 instructions on Armv7-M, whose MLA adds too, and 7
//! elsewhere; the plain form takes 4 and 8 but twice the loads and registers.
//!
//! The loops stand in one file per instruction set ([`armv7m`], [`armv6m`], [`rv32`]), with a plain Rust
//! twin in [`multiply`] that every other target, the host's tests and Miri run.

#[cfg(all(target_arch = "arm", not(goldcrest_armv7)))]
mod armv6m;
#[cfg(goldcrest_armv7)]
mod armv7m;
pub mod conv;
mod multiply;
#[cfg(target_arch = "riscv32")]
mod rv32;
mod tile;
