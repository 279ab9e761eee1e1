//! Netduino Plus 2: STM32F405RG, Cortex-M4F at 16 MHz from its internal oscillator. USART2: PA2 sends
//! (header D3), PA3 receives (header D2).

use crate::app::update::NoSlot;
use crate::driver::stm32f4::{self, Line, Watch};
use crate::start::Region;

/// USART2 and timer 2.
pub enum Board {}

impl super::Board for Board {
    const NAME: &'static str = "netduinoplus2";
    const FRAME_BYTES: usize = 4096;
    const AHEAD_BYTES: u32 = 0;
    type Line = Line;
    type Watch = Watch;
    type Slot = NoSlot;

    fn take() -> (Line, Watch) {
        stm32f4::take()
    }

    unsafe fn spare(_: Region) -> Option<NoSlot> {
        None
    }
}
