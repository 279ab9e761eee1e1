#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), no_std)]
#![deny(missing_docs)]
#![deny(unsafe_code)]

#[cfg(target_arch = "wasm32")]
mod module;

/// The module cannot panic; what the linker keeps has no way here.
#[cfg(all(target_arch = "wasm32", not(test)))]
#[panic_handler]
fn never(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
