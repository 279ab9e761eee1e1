//! Raspberry Pi RP2040 and RP2350 through their HAL: the crystal oscillator with its PLLs, the line, the
//! flash.
//!
//! The line is UART0 on GP0 and GP1 at 115,200 baud, or the USB port: answers go where the last bytes came
//! from.
//!
//! Interrupts take bytes in while the core classifies. The flash cannot be read while it is written, so
//! interrupts wait then: 32 bytes stay in the UART, which is enough for a write (1 ms) but not for the
//! erasure of a sector (50 ms). What UART0 brings in that time is lost, and the host asks again; on USB the
//! host waits.

#[cfg(feature = "camera")]
pub mod camera;
#[cfg(feature = "rp2040")]
pub mod timer;
mod usb;

use core::fmt;
use core::task::Poll;

use cortex_m::singleton;
use embassy_futures::poll_once;
use embassy_rp::flash::{Blocking, Flash};
use embassy_rp::peripherals::{FLASH, PIN_0, PIN_1, UART0, USB};
use embassy_rp::uart::{BufferedInterruptHandler, BufferedUart, Config, Error};
use embassy_rp::{Peri, bind_interrupts, pac};
use embedded_io::{ErrorKind, ErrorType, Read, Write};

use super::nor_slot::NorSlot;
use crate::start::Region;
use usb::Port;

/// Bytes that UART0, and as many that the USB port receives while nobody reads.
pub const AHEAD_BYTES: u32 = RECEIVED as u32;
const RECEIVED: usize = usb::AHEAD_BYTES;
/// Bytes of the buffer that UART0 sends from.
const SENT: usize = 256;

/// First address of the flash as the processor reads it.
const FLASH_START: usize = 0x1000_0000;
/// Bytes of flash that the processor can address.
const FLASH_LARGEST: usize = 16 << 20;

bind_interrupts!(struct Interrupts {
    UART0_IRQ => BufferedInterruptHandler<UART0>;
});

/// UART0 and the USB port as one line.
pub struct Line {
    uart: BufferedUart,
    port: Port,
    last: Last,
}

/// Where the last bytes came from.
#[derive(Clone, Copy)]
enum Last {
    Uart,
    Port,
}

impl Line {
    /// UART0, which sends on GP0 and receives on GP1, and the USB port.
    ///
    /// # Panics
    /// When called twice.
    pub fn new(
        uart: Peri<'static, UART0>,
        send: Peri<'static, PIN_0>,
        receive: Peri<'static, PIN_1>,
        usb: Peri<'static, USB>,
    ) -> Self {
        let received: &'static mut [u8; RECEIVED] =
            singleton!(: [u8; RECEIVED] = [0; RECEIVED]).expect("taken once, at boot");
        let sent: &'static mut [u8; SENT] =
            singleton!(: [u8; SENT] = [0; SENT]).expect("taken once, at boot");
        let uart = BufferedUart::new(uart, send, receive, Interrupts, sent, received, Config::default());
        // A pin that nothing is connected to would bring noise.
        pac::PADS_BANK0.gpio(1).modify(|pad| pad.set_pue(true));
        Self { uart, port: Port::start(usb), last: Last::Uart }
    }
}

/// What happened to the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// Bytes of UART0 were lost or damaged.
    Uart(Error),
    /// The host takes nothing more of an answer from the USB port.
    HostGone,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uart(_) => "bytes were lost or damaged",
            Self::HostGone => "the host takes nothing",
        })
    }
}

impl core::error::Error for LineError {}

impl embedded_io::Error for LineError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Uart(_) => ErrorKind::Other,
            Self::HostGone => ErrorKind::TimedOut,
        }
    }
}

impl ErrorType for Line {
    type Error = LineError;
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LineError> {
        while !buffer.is_empty() {
            let count = self.port.read(buffer);
            if count > 0 {
                self.last = Last::Port;
                return Ok(count);
            }
            if let Poll::Ready(result) = poll_once(embedded_io_async::Read::read(&mut self.uart, buffer)) {
                self.last = Last::Uart;
                return result.map_err(LineError::Uart);
            }
        }
        Ok(0)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, LineError> {
        match self.last {
            Last::Uart => self.uart.blocking_write(bytes).map_err(LineError::Uart),
            Last::Port => self.port.write(bytes).map_err(|usb::Gone| LineError::HostGone),
        }
    }

    fn flush(&mut self) -> Result<(), LineError> {
        match self.last {
            Last::Uart => self.uart.blocking_flush().map_err(LineError::Uart),
            Last::Port => Ok(()),
        }
    }
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
