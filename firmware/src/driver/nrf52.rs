//! Nordic nRF52833 and nRF52840 through their HAL: the crystal oscillator, UARTE0 at 115,200 baud, the
//! core's cycle counter, the flash.
//!
//! UARTE0 receives into memory by itself, byte after byte, while the core classifies, writes flash or stands
//! still because a page is being erased.

use core::pin::pin;
use core::task::{Context, Poll, Waker};

use cortex_m::singleton;
use embassy_nrf::buffered_uarte::{BufferedUarte, Error, InterruptHandler};
use embassy_nrf::config::{Config, HfclkSource};
use embassy_nrf::gpio::Pin;
use embassy_nrf::nvmc::Nvmc;
use embassy_nrf::peripherals::{NVMC, PPI_CH0, PPI_CH1, PPI_GROUP0, TIMER1, UARTE0};
use embassy_nrf::{Peri, Peripherals, bind_interrupts, uarte};
use embedded_io::{ErrorType, Read, Write};

use super::dwt::Cycles;
use super::nor_slot::NorSlot;
use crate::start::Region;

/// Hz of the core.
const CLOCK: u32 = 64_000_000;
/// Bytes of the buffer that UARTE0 receives into, half by half.
const RECEIVED: usize = 8192;
/// Bytes that UARTE0 receives while nobody reads: a half is free unless both wait to be read.
pub const AHEAD_BYTES: u32 = RECEIVED as u32 / 2;
/// Bytes of the buffer that it sends from.
const SENT: usize = 256;

bind_interrupts!(struct Interrupts {
    UARTE0 => InterruptHandler<UARTE0>;
});

/// Switches the clocks on: the parts of the chip, and the stopwatch.
///
/// # Panics
/// When called twice.
pub fn take() -> (Peripherals, Cycles) {
    let core = cortex_m::Peripherals::take().expect("taken once, at boot");
    let mut config = Config::default();
    // The internal oscillator may be further off than a UART can take.
    config.hfclk_source = HfclkSource::ExternalXtal;
    (embassy_nrf::init(config), Cycles::new(core.DCB, core.DWT, CLOCK))
}

/// UARTE0; the core sleeps while it waits.
pub struct Line(BufferedUarte<'static>);

impl Line {
    /// UARTE0 on the pins `receive` and `send`. The timer counts the bytes received; the channels tell it of
    /// each, and start the next half of the buffer at the end of one.
    ///
    /// # Panics
    /// When called twice.
    pub fn new(
        uart: Peri<'static, UARTE0>,
        timer: Peri<'static, TIMER1>,
        channels: (Peri<'static, PPI_CH0>, Peri<'static, PPI_CH1>),
        group: Peri<'static, PPI_GROUP0>,
        receive: Peri<'static, impl Pin>,
        send: Peri<'static, impl Pin>,
    ) -> Self {
        let received: &'static mut [u8; RECEIVED] =
            singleton!(: [u8; RECEIVED] = [0; RECEIVED]).expect("taken once, at boot");
        let sent: &'static mut [u8; SENT] =
            singleton!(: [u8; SENT] = [0; SENT]).expect("taken once, at boot");
        let config = uarte::Config::default();
        let (first, second) = channels;
        Self(BufferedUarte::new(
            uart, timer, first, second, group, receive, send, Interrupts, config, received, sent,
        ))
    }
}

/// Runs a future of the HAL to its end. Every interrupt that could bring it on ends the sleep, also one that
/// came between the look and the sleep.
fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        cortex_m::asm::wfe();
    }
}

impl ErrorType for Line {
    type Error = Error;
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        if buffer.is_empty() { Ok(0) } else { wait(self.0.read(buffer)) }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        if bytes.is_empty() { Ok(0) } else { wait(self.0.write(bytes)) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        wait(self.0.flush())
    }
}

/// A slot in the part's own flash: pages of 4 KiB, words of 4 bytes.
pub type FlashSlot = NorSlot<Nvmc<'static>>;

/// The slot in a region of the flash.
///
/// # Safety
/// The region is made of whole pages, no other slot lives, and nobody else looks at or writes the region
/// while the result lives.
pub unsafe fn spare(slot: Region) -> Option<FlashSlot> {
    // SAFETY: as the caller promises. The part's flash begins at 0.
    unsafe { Some(NorSlot::new(Nvmc::new(NVMC::steal()), 0, slot)) }
}
