//! STM32L475 by its registers (RM0351): 80 MHz from the internal oscillator, USART1 on PB6 and PB7 at 115,200
//! baud, a light on PB14.
//!
//! By registers, because no HAL of the part starts in QEMU as well as on silicon.

mod flash;

use core::convert::Infallible;

use embedded_hal::digital::OutputPin;
use embedded_io::{ErrorType, Read, Write};
use stm32_metapac::gpio::vals::Moder;
use stm32_metapac::rcc::vals::{Pllm, Plln, Pllr, Pllsrc, Sw};
use stm32_metapac::{FLASH, GPIOB, Interrupt, RCC, USART1};

use super::reception::{Queue, Receiver};
use super::systick::SysTick;
use super::{Irq, Register};
pub use flash::FlashSlot;

/// Hz of the processor and of its buses.
const CLOCK: u32 = 80_000_000;
/// Bits per second of the line.
const BAUD: u32 = 115_200;
/// Pins of port B: USART1's sender and receiver, and the light.
const PIN_TX: usize = 6;
const PIN_RX: usize = 7;
const PIN_LED: usize = 14;
/// The alternate function of the pins that is USART1.
const AF_USART1: u8 = 7;
/// Wait states of the flash at 80 MHz (RM0351, section 3.3.3).
const LATENCY: u8 = 4;

/// Switches clocks, pins and USART on, and gives the processor's timer its frequency.
///
/// # Safety
/// Called once, and nobody else uses these peripherals.
pub unsafe fn take(timer: cortex_m::peripheral::SYST) -> (Uart, SysTick, Light) {
    clocks();
    RCC.ahb2enr().modify(|w| w.set_gpioben(true));
    // A peripheral takes two cycles to wake up; reading back takes longer.
    RCC.ahb2enr().read();
    for pin in [PIN_TX, PIN_RX] {
        GPIOB.afr(pin / 8).modify(|w| w.set_afr(pin % 8, AF_USART1));
        GPIOB.moder().modify(|w| w.set_moder(pin, Moder::ALTERNATE));
    }
    GPIOB.bsrr().write(|w| w.set_br(PIN_LED, true));
    GPIOB.moder().modify(|w| w.set_moder(PIN_LED, Moder::OUTPUT));
    (Uart::new(), SysTick::new(timer, CLOCK), Light(()))
}

/// The internal oscillator of 16 MHz, times ten, halved.
fn clocks() {
    RCC.cr().modify(|w| w.set_hsion(true));
    while !RCC.cr().read().hsirdy() {}
    RCC.pllcfgr().write(|w| {
        w.set_pllsrc(Pllsrc::HSI);
        w.set_pllm(Pllm::DIV1);
        w.set_plln(Plln::MUL10);
        w.set_pllr(Pllr::DIV2);
        w.set_pllren(true);
    });
    RCC.cr().modify(|w| w.set_pllon(true));
    while !RCC.cr().read().pllrdy() {}
    FLASH.acr().modify(|w| {
        w.set_latency(LATENCY);
        w.set_prften(true);
        w.set_icen(true);
        w.set_dcen(true);
    });
    RCC.cfgr().modify(|w| w.set_sw(Sw::PLL1_R));
    while RCC.cfgr().read().sws() != Sw::PLL1_R {}
}

/// USART1. Sends byte by byte; what it receives waits in the queue.
pub struct Uart {
    queue: Queue,
}

// Flags of the status register ISR: a byte is there; one was lost. The same bit of ICR clears the latter.
const ISR_RXNE: u32 = 1 << 5;
const ISR_ORE: u32 = 1 << 3;

impl Uart {
    fn new() -> Self {
        RCC.apb2enr().modify(|w| w.set_usart1en(true));
        RCC.apb2enr().read();
        USART1.brr().write(|w| w.set_brr((CLOCK / BAUD) as u16));
        USART1.cr1().write(|w| {
            w.set_re(true);
            w.set_te(true);
            w.set_rxneie(true);
            w.set_ue(true);
        });
        // SAFETY: registers of USART1, which nobody else reads from now on.
        let register = |pointer: *mut u32| unsafe { Register::new(pointer.expose_provenance()) };
        let queue = Queue::start(Receiver {
            interrupt: Irq(Interrupt::USART1 as u16),
            status: register(USART1.isr().as_ptr().cast()),
            ready: ISR_RXNE,
            errors: ISR_ORE,
            data: register(USART1.rdr().as_ptr().cast()),
            acknowledge: Some((register(USART1.icr().as_ptr().cast()), ISR_ORE)),
        });
        Self { queue }
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        Ok(self.queue.read(buffer))
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for &byte in bytes {
            while !USART1.isr().read().txe() {}
            USART1.tdr().write(|w| w.set_dr(byte.into()));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while !USART1.isr().read().tc() {}
        Ok(())
    }
}

/// The light on PB14.
pub struct Light(());

impl embedded_hal::digital::ErrorType for Light {
    type Error = Infallible;
}

impl OutputPin for Light {
    fn set_low(&mut self) -> Result<(), Infallible> {
        GPIOB.bsrr().write(|w| w.set_br(PIN_LED, true));
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Infallible> {
        GPIOB.bsrr().write(|w| w.set_bs(PIN_LED, true));
        Ok(())
    }
}
