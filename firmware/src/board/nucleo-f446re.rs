//! ST NUCLEO-F446RE: STM32F446RE, Cortex-M4F (UM1724). USART2: PA2 sends, PA3 receives, both through the
//! ST-LINK to its USB serial port. The green light LD2 is on PA5.

use super::Peripherals;
use stm32f4xx_hal::gpio::{Output, PA5};

use crate::driver::stm32f4::{self, FlashSlot, Line, Watch};
use crate::start::Region;

/// USART2 and timer 2.
pub enum Board {}

impl super::Board for Board {
    const NAME: &'static str = "nucleo-f446re";
    type Line = Line;
    type Watch = Watch;
    type Led = PA5<Output>;
    type Slot = FlashSlot;

    fn take() -> Peripherals<Self> {
        let (line, watch, pins) = stm32f4::take();
        Peripherals { line, watch, led: pins.pa5.into_push_pull_output() }
    }

    unsafe fn spare(slot: Region) -> Option<FlashSlot> {
        // SAFETY: the slots are whole sectors, and the caller promises the rest.
        unsafe { stm32f4::spare(slot) }
    }
}
