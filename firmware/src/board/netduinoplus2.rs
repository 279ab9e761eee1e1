//! Netduino Plus 2: STM32F405RG, Cortex-M4F. USART2: PA2 sends (header D3), PA3 receives (header D2). The
//! blue light is on PA10.

use super::Peripherals;
use stm32f4xx_hal::gpio::{Output, PA10};

use crate::driver::stm32f4::{self, FlashSlot, Line, Watch};
use crate::start::Region;

/// USART2 and timer 2.
pub enum Board {}

impl super::Board for Board {
    const NAME: &'static str = "netduinoplus2";
    type Line = Line;
    type Watch = Watch;
    type Led = PA10<Output>;
    type Slot = FlashSlot;

    fn take() -> Peripherals<Self> {
        let (line, watch, pins) = stm32f4::take();
        Peripherals { line, watch, led: pins.pa10.into_push_pull_output() }
    }

    unsafe fn spare(slot: Region) -> Option<FlashSlot> {
        // SAFETY: the slots are whole sectors, and the caller promises the rest.
        unsafe { stm32f4::spare(slot) }
    }
}
