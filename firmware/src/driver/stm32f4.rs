//! STM32F4 parts through their HAL: USART2 on PA2 and PA3 at 115,200 baud, timer 2 at 1 MHz.
//!
//! Everything runs from the internal oscillator (1 % at room temperature, which a UART forgives), so a board
//! with no crystal, or another one, is no different: through the PLL at 168 MHz, and in an emulator at the
//! oscillator's own 16 MHz, because QEMU's clock controller never reports the PLL as ready. USART2,
//! because resetting a peripheral of the second bus ends QEMU 10.0.

mod flash;

use stm32f4xx_hal::gpio::{PA5, PA10};
use stm32f4xx_hal::pac::{GPIOC, Interrupt, Peripherals, TIM2, USART2};
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::{Config, Enable, Rcc};
use stm32f4xx_hal::serial::{Event, Rx, Serial, Tx};

use super::reception::{Queue, Receiver};
use super::word::Words;
use super::{Irq, Register};
use crate::clock::Stopwatch;
use crate::start::Region;
pub use flash::FlashSlot;

/// USART2.
pub type Line = Words<Tx<USART2>>;

/// Hz of the stopwatch.
const TICKS: u32 = 1_000_000;

/// What a board may light its light with.
pub struct Pins {
    /// Port A, pin 5.
    pub pa5: PA5,
    /// Port A, pin 10.
    pub pa10: PA10,
    /// Port C, still off.
    pub gpioc: GPIOC,
    /// The clock controller, to switch it on.
    pub rcc: Rcc,
}

/// Switches clocks, USART and timer on.
///
/// # Panics
/// When called twice.
pub fn take() -> (Line, Watch, Pins) {
    let parts = Peripherals::take().expect("taken once, at boot");
    let clocks = if cfg!(feature = "emulated") { Config::hsi() } else { Config::hsi().sysclk(168.MHz()) };
    let mut rcc = parts.RCC.freeze(clocks);
    let pins = parts.GPIOA.split(&mut rcc);
    let mut serial: Serial<USART2> = parts
        .USART2
        .serial((pins.pa2, pins.pa3), 115_200.bps(), &mut rcc)
        .expect("115,200 baud can be divided from 16 MHz and up");
    serial.listen(Event::RxNotEmpty);
    TIM2::enable(&mut rcc);
    let watch = Watch::new(parts.TIM2, rcc.clocks.timclk1().raw());
    let (sender, receiver) = serial.split();
    let line = Words::new(sender, receive(receiver));
    (line, watch, Pins { pa5: pins.pa5, pa10: pins.pa10, gpioc: parts.GPIOC, rcc })
}

/// Flags of the status register SR (RM0090, section 30.6.1): a byte is there; one was lost. Both end by
/// reading SR, then the data register DR.
const SR_RXNE: u32 = 1 << 5;
const SR_ORE: u32 = 1 << 3;
const SR: usize = 0x00;
const DR: usize = 0x04;

/// Receives by interrupt from now on.
fn receive(_: Rx<USART2>) -> Queue {
    // SAFETY: the registers of the receiver, which this function has taken.
    let register = |offset| unsafe { Register::new(USART2::PTR.addr() + offset) };
    Queue::start(Receiver {
        interrupt: Irq(Interrupt::USART2 as u16),
        status: register(SR),
        ready: SR_RXNE,
        errors: SR_ORE,
        data: register(DR),
        acknowledge: None,
    })
}

/// The slot in a region, on real parts: QEMU has no flash controller.
///
/// # Safety
/// As for [`FlashSlot::new`].
pub unsafe fn spare(region: Region) -> Option<FlashSlot> {
    // SAFETY: as the caller promises.
    (!cfg!(feature = "emulated")).then(|| unsafe { FlashSlot::new(region) })
}

/// Timer 2, which counts 32 bits of microseconds.
pub struct Watch {
    timer: TIM2,
}

impl Watch {
    fn new(timer: TIM2, clock: u32) -> Self {
        timer.psc().write(|w| w.psc().set((clock / TICKS - 1) as u16));
        timer.arr().write(|w| w.arr().set(u32::MAX));
        // The divider is taken over with the next update.
        timer.egr().write(|w| w.ug().update());
        timer.cr1().write(|w| w.cen().enabled());
        Self { timer }
    }
}

impl Stopwatch for Watch {
    fn frequency(&self) -> u32 {
        TICKS
    }

    fn start(&mut self) {
        // An update event also starts the divider's count anew.
        self.timer.egr().write(|w| w.ug().update());
    }

    fn ticks(&self) -> u64 {
        self.timer.cnt().read().cnt().bits().into()
    }
}
