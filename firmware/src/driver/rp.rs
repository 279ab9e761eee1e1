//! Raspberry Pi RP2040 and RP2350 through their HAL: the crystal oscillator with its PLLs, UART0 at 115,200
//! baud on GP0 and GP1, the flash.
//!
//! UART0's interrupt takes bytes in while the core classifies. The flash cannot be read while it is written,
//! so interrupts wait then: 32 bytes stay in the UART, which is enough for a write (1 ms) but not for the
//! erasure of a sector (50 ms). What the line brings in that time is lost, and the host asks again.

use cortex_m::singleton;
use embassy_rp::flash::{Blocking, Flash};
use embassy_rp::peripherals::{FLASH, PIN_0, PIN_1, UART0};
use embassy_rp::uart::{BufferedInterruptHandler, BufferedUart, Config};
use embassy_rp::{Peri, bind_interrupts};

use super::nor_slot::NorSlot;
use crate::start::Region;

/// Bytes that UART0 receives while nobody reads.
pub const AHEAD_BYTES: u32 = RECEIVED as u32;
const RECEIVED: usize = 4096;
/// Bytes of the buffer that it sends from.
const SENT: usize = 256;

/// First address of the flash as the processor reads it.
const FLASH_START: usize = 0x1000_0000;
/// Bytes of flash that the processor can address.
const FLASH_LARGEST: usize = 16 << 20;

bind_interrupts!(struct Interrupts {
    UART0_IRQ => BufferedInterruptHandler<UART0>;
});

/// UART0.
pub type Line = BufferedUart;

/// UART0, which sends on GP0 and receives on GP1.
///
/// # Panics
/// When called twice.
pub fn line(uart: Peri<'static, UART0>, send: Peri<'static, PIN_0>, receive: Peri<'static, PIN_1>) -> Line {
    let received: &'static mut [u8; RECEIVED] =
        singleton!(: [u8; RECEIVED] = [0; RECEIVED]).expect("taken once, at boot");
    let sent: &'static mut [u8; SENT] = singleton!(: [u8; SENT] = [0; SENT]).expect("taken once, at boot");
    BufferedUart::new(uart, send, receive, Interrupts, sent, received, Config::default())
}

/// A slot in the board's flash chip: sectors of 4 KiB.
pub type FlashSlot = NorSlot<Flash<'static, FLASH, Blocking, FLASH_LARGEST>>;

/// The slot in a region of the flash.
///
/// # Safety
/// The region is made of whole sectors, no other slot lives, and nobody else looks at or writes the region
/// while the result lives.
pub unsafe fn spare(slot: Region) -> Option<FlashSlot> {
    // SAFETY: as the caller promises.
    unsafe { Some(NorSlot::new(Flash::new_blocking(FLASH::steal()), FLASH_START, slot)) }
}
