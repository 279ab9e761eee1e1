#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), no_std)]
#![deny(missing_docs)]
#![deny(unsafe_code)]
#![allow(non_camel_case_types, non_upper_case_globals, reason = "names of a C interface")]

mod engine;
pub mod kernels;
mod model;
mod status;

pub use engine::{
    gc_best, gc_classes, gc_engine, gc_input, gc_input_bytes, gc_input_i8, gc_label, gc_load, gc_logits,
    gc_open, gc_probabilities, gc_run, gc_selftest, gc_step,
};
pub use model::{gc_arena_bytes, gc_model};
pub use status::{gc_status, gc_status_text};

/// A static library must have one. The engine cannot panic, so nothing of it is left after linking.
#[cfg(all(feature = "library", not(test)))]
#[panic_handler]
fn never(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
