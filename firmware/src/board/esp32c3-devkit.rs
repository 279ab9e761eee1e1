//! Espressif ESP32-C3-DevKitM-1 and -DevKitC-02: ESP32-C3, RV32IMC at 160 MHz, 4 MiB of flash. UART0 through
//! the USB bridge on the board: GPIO21 sends, GPIO20 receives. The kits' own light speaks a protocol; GPIO8
//! is the plain light, on while low, of many smaller boards with this part.

use esp_hal::gpio::{Level, Output, OutputConfig};

use super::Peripherals;
use crate::driver::esp32c3::{self, Cycles, FlashSlot, Line};
use crate::led::ActiveLow;
use crate::start::Region;

/// UART0 and the cycle counter.
pub enum Board {}

impl super::Board for Board {
    const NAME: &'static str = "esp32c3-devkit";
    const AHEAD_BYTES: u32 = esp32c3::AHEAD_BYTES;
    type Line = Line;
    type Watch = Cycles;
    type Led = ActiveLow<Output<'static>>;
    type Slot = FlashSlot;

    fn take() -> Peripherals<Self> {
        let parts = esp32c3::take();
        let line = Line::new(parts.UART0, parts.GPIO21, parts.GPIO20);
        let led = ActiveLow(Output::new(parts.GPIO8, Level::High, OutputConfig::default()));
        Peripherals { line, watch: Cycles::running(), led }
    }

    unsafe fn spare(slot: Region) -> Option<FlashSlot> {
        // SAFETY: the slots are whole sectors, and the caller promises the rest.
        unsafe { esp32c3::spare(slot) }
    }
}
