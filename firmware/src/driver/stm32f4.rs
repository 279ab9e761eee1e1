//! STM32F4 parts through their HAL: the internal oscillator, USART2 on PA2 and PA3 at 115,200 baud,
//! timer 2 at 1 MHz.
//!
//! The internal oscillator, because QEMU's clock controller never reports another as ready; USART2,
//! because resetting a peripheral of the second bus ends QEMU 10.0.

use stm32f4xx_hal::pac::{Interrupt, Peripherals, TIM2, USART2};
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::{Config, Enable};
use stm32f4xx_hal::serial::{Event, Serial};

use super::Wake;
use super::word::Words;
use crate::clock::Stopwatch;

/// USART2.
pub type Line = Words<Serial<USART2>>;

/// Hz of the internal oscillator, and so of all clocks.
const CLOCK: u32 = 16_000_000;
/// Hz of the stopwatch.
const TICKS: u32 = 1_000_000;

/// Switches clocks, pins, USART and timer on.
///
/// # Panics
/// When called twice.
pub fn take() -> (Line, Watch) {
    let parts = Peripherals::take().expect("taken once, at boot");
    let mut clocks = parts.RCC.freeze(Config::hsi());
    let pins = parts.GPIOA.split(&mut clocks);
    let mut serial: Serial<USART2> = parts
        .USART2
        .serial((pins.pa2, pins.pa3), 115_200.bps(), &mut clocks)
        .expect("115,200 baud can be divided from 16 MHz");
    serial.listen(Event::RxNotEmpty);
    TIM2::enable(&mut clocks);
    let line = Words::new(serial, Wake::nvic(Interrupt::USART2 as u16));
    (line, Watch::new(parts.TIM2))
}

/// Timer 2, which counts 32 bits of microseconds.
pub struct Watch {
    timer: TIM2,
}

impl Watch {
    fn new(timer: TIM2) -> Self {
        timer.psc().write(|w| w.psc().set((CLOCK / TICKS - 1) as u16));
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
