//! Peripherals that several boards share, as [`embedded_io`] and [`Stopwatch`](crate::clock::Stopwatch).

#[cfg(target_arch = "arm")]
pub mod cmsdk;
#[cfg(any(feature = "nrf52", feature = "rp235x"))]
pub mod dwt;
#[cfg(feature = "esp32c3")]
pub mod esp32c3;
#[cfg(target_arch = "riscv32")]
pub mod minstret;
#[cfg(any(feature = "esp32c3", feature = "nrf52", feature = "rp"))]
pub mod nor_slot;
#[cfg(feature = "nrf52")]
pub mod nrf52;
#[cfg(target_arch = "riscv32")]
pub mod ns16550;
#[cfg(target_arch = "arm")]
pub mod pl011;
#[cfg(target_arch = "arm")]
pub mod ram_slot;
#[cfg(target_arch = "arm")]
pub mod reception;
mod register;
#[cfg(feature = "rp")]
pub mod rp;
#[cfg(target_arch = "riscv32")]
pub mod sifive;
#[cfg(target_arch = "arm")]
pub mod sse_counter;
#[cfg(feature = "stm32f4")]
pub mod stm32f4;
#[cfg(feature = "stm32l4")]
pub mod stm32l4;
#[cfg(feature = "stm32l4")]
pub mod systick;
mod wake;
#[cfg(target_arch = "arm")]
pub mod word;

pub use register::Register;
#[cfg(target_arch = "arm")]
pub use wake::Irq;
pub use wake::Wake;
