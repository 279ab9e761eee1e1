//! Kernels for cores with the vector extension of Armv8.1-M (Cortex-M52, M55, M85; "MVE", "Helium").
//!
//! VMLADAVA multiplies two vectors of 16 bytes and adds all products to one register: 16
//! multiply-accumulates per instruction, with nothing to widen. A convolution lays the patches under
//! four neighbouring pixels side by side ([`patch`]), multiplies them by two output channels at a
//! time ([`dot`]: eight sums, the most that fit the registers VMLADAVA can add to), and turns the sums
//! into outputs eight channels at a time ([`finish`]).
//!
//! Kernels with an order of weights of their own have plain Rust twins of their few instructions, so
//! that the host runs the same images. The others are the portable kernels with other instructions,
//! and only a core that has them compiles them.
//!
//! Naked functions are assembled without the features of `-C target-cpu`, hence their `.cpu`. Loops end
//! in LE or LETP, which count `lr` down.

#[cfg(goldcrest_mve)]
pub mod add;
#[cfg(goldcrest_mve)]
pub mod average_pool;
pub mod conv;
#[cfg(goldcrest_mve)]
pub mod copy;
#[cfg(goldcrest_mve)]
pub mod depthwise;
mod dot;
#[cfg(goldcrest_mve)]
mod elementwise;
mod finish;
pub mod fully_connected;
#[cfg(goldcrest_mve)]
pub mod lookup;
#[cfg(goldcrest_mve)]
pub mod max_pool;
#[cfg(goldcrest_mve)]
pub mod mul;
mod patch;
#[cfg(feature = "pack")]
mod vectors;

/// Bytes of a vector register.
const VECTOR: usize = 16;
