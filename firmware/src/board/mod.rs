//! Boards: one file each, plus a memory map in `memory/`, a feature and a binary in `Cargo.toml`.

use embedded_hal::digital::OutputPin;
use embedded_io::{Read, Write};

use crate::app::update::Slot;
use crate::clock::Stopwatch;
use crate::start::Region;

#[cfg(feature = "b-l475e-iot01a")]
pub mod b_l475e_iot01a;
#[cfg(feature = "esp32c3-devkit")]
pub mod esp32c3_devkit;
#[cfg(feature = "lm3s6965evb")]
pub mod lm3s6965evb;
#[cfg(feature = "microbit-v2")]
pub mod microbit_v2;
#[cfg(feature = "mps2-an385")]
pub mod mps2_an385;
#[cfg(feature = "mps2-an385-v6m")]
pub mod mps2_an385_v6m;
#[cfg(feature = "mps2-an386")]
pub mod mps2_an386;
#[cfg(feature = "mps2-an500")]
pub mod mps2_an500;
#[cfg(feature = "mps2-an505")]
pub mod mps2_an505;
#[cfg(feature = "mps3-an547")]
pub mod mps3_an547;
#[cfg(feature = "netduinoplus2")]
pub mod netduinoplus2;
#[cfg(feature = "nrf52840-dk")]
pub mod nrf52840_dk;
#[cfg(feature = "nucleo-f446re")]
pub mod nucleo_f446re;
#[cfg(feature = "olimex-stm32-h405")]
pub mod olimex_stm32_h405;
#[cfg(feature = "pico")]
pub mod pico;
#[cfg(feature = "pico2")]
pub mod pico2;
#[cfg(feature = "riscv-virt")]
pub mod riscv_virt;
#[cfg(feature = "sifive-e")]
pub mod sifive_e;

/// What the application uses of a board.
pub struct Peripherals<B: Board + ?Sized> {
    /// The serial line to the host.
    pub line: B::Line,
    /// What measures an inference.
    pub watch: B::Watch,
    /// Lit while the board works on a request.
    pub led: B::Led,
}

/// A board: its name and its peripherals.
pub trait Board {
    /// Name in the host's table of boards.
    const NAME: &'static str;
    /// The serial line to the host.
    type Line: Read + Write;
    /// What measures an inference.
    type Watch: Stopwatch;
    /// A light: on while high. [`NoLed`](crate::led::NoLed) where there is none.
    type Led: OutputPin;

    /// Bytes that the line holds while nobody reads it: in a queue that an interrupt fills, or because QEMU's
    /// lines hold back what a UART cannot take.
    const AHEAD_BYTES: u32 = 4096;
    /// What writes a slot of the device image.
    type Slot: Slot;

    /// Switches the board's peripherals on.
    fn take() -> Peripherals<Self>;

    /// The slot that is not in use, for a new device image; none where the firmware cannot write it.
    ///
    /// # Safety
    /// Nobody else looks at or writes the slot while the result lives.
    unsafe fn spare(slot: Region) -> Option<Self::Slot>;
}
