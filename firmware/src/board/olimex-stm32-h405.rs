//! Olimex STM32-H405: STM32F405RG, Cortex-M4F. USART2: PA2 sends, PA3 receives (header EXT1). The green light
//! hangs between the supply and PC12.

use super::Peripherals;
use crate::led::ActiveLow;
use stm32f4xx_hal::gpio::{GpioExt, Output, PC12, PinState};

use crate::driver::stm32f4::{self, FlashSlot, Line, Watch};
use crate::start::Region;

/// USART2 and timer 2.
pub enum Board {}

impl super::Board for Board {
    const NAME: &'static str = "olimex-stm32-h405";
    type Line = Line;
    type Watch = Watch;
    type Led = ActiveLow<PC12<Output>>;
    type Slot = FlashSlot;

    fn take() -> Peripherals<Self> {
        let (line, watch, mut pins) = stm32f4::take();
        let pc12 = pins.gpioc.split(&mut pins.rcc).pc12;
        let led = ActiveLow(pc12.into_push_pull_output_in_state(PinState::High));
        Peripherals { line, watch, led }
    }

    unsafe fn spare(slot: Region) -> Option<FlashSlot> {
        // SAFETY: the slots are whole sectors, and the caller promises the rest.
        unsafe { stm32f4::spare(slot) }
    }
}
