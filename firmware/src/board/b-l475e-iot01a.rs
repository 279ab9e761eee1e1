//! ST B-L475E-IOT01A: STM32L475VG, Cortex-M4F at 80 MHz (UM2153). USART1: PB6 sends, PB7 receives, both
//! through the ST-LINK to its USB serial port. The green light LD2 is on PB14.

use super::Peripherals;
use crate::driver::stm32l4::{self, FlashSlot, Light, Uart};
use crate::driver::systick::SysTick;
use crate::start::Region;

/// USART1 and the processor's timer.
pub enum Board {}

impl super::Board for Board {
    const NAME: &'static str = "b-l475e-iot01a";
    type Line = Uart;
    type Watch = SysTick;
    type Led = Light;
    type Slot = FlashSlot;

    fn take() -> Peripherals<Self> {
        let core = cortex_m::Peripherals::take().expect("taken once, at boot");
        // SAFETY: `start::run` is the only caller.
        let (line, watch, led) = unsafe { stm32l4::take(core.SYST) };
        Peripherals { line, watch, led }
    }

    unsafe fn spare(slot: Region) -> Option<FlashSlot> {
        // QEMU has no flash controller for the part.
        // SAFETY: the slots are whole pages, and the caller promises the rest.
        (!cfg!(feature = "emulated")).then(|| unsafe { FlashSlot::new(slot) })
    }
}
