//! Espressif ESP32-C3 through its HAL: 160 MHz, UART0 at 115,200 baud, the cycle counter, the flash.
//!
//! The boot loader shows the processor only the program in flash. The slots are shown to it here, at the same
//! distance from the first address as in the flash.

mod line;

use core::arch::asm;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use esp_hal::Config;
use esp_hal::clock::CpuClock;
use esp_hal::peripherals::{FLASH, Peripherals};
use esp_storage::{FlashStorage, FlashStorageError};

pub use line::{AHEAD_BYTES, Line};

use super::Register;
use super::nor_slot::NorSlot;
use crate::clock::Stopwatch;
use crate::start::Region;

// What Espressif's boot loader and tools look for in a program.
esp_bootloader_esp_idf::esp_app_desc!();

/// Hz of the core.
const CLOCK: u32 = 160_000_000;

/// First address of the flash as the processor reads it.
const FLASH_START: usize = 0x3c00_0000;
/// The table that says which page of the flash the processor sees in which of its own (technical reference
/// manual, section 3.3.3). Its 128 entries are registers: the page's number; bit 8 were the mark of none.
const PAGE_TABLE: usize = 0x600c_5000;
const PAGE_BYTES: usize = 64 << 10;

unsafe extern "C" {
    static __model_start: u8;
    static __spare_end: u8;
    /// Of the boot ROM: makes the cache forget a range of addresses.
    fn Cache_Invalidate_Addr(start: u32, bytes: u32);
}

/// Switches the clocks on, stops the watchdogs, and shows the processor the slots.
///
/// # Panics
/// When called twice.
pub fn take() -> Peripherals {
    let peripherals = esp_hal::init(Config::default().with_cpu_clock(CpuClock::_160MHz));
    show_slots();
    peripherals
}

fn show_slots() {
    let (first, end) = ((&raw const __model_start).addr(), (&raw const __spare_end).addr());
    for page in (first - FLASH_START) / PAGE_BYTES..(end - FLASH_START) / PAGE_BYTES {
        // SAFETY: the register is an entry that no code or constant is seen through: the linker script puts
        // the slots behind the program.
        unsafe { Register::new(PAGE_TABLE + page * size_of::<u32>()).write(page as u32) };
    }
    forget(first, end - first);
}

/// Makes the cache forget a range of addresses.
fn forget(start: usize, bytes: usize) {
    // SAFETY: a function of the boot ROM; nothing is written through this cache, so nothing can be lost.
    unsafe { Cache_Invalidate_Addr(start as u32, bytes as u32) };
}

/// The flash chip.
pub struct Storage(FlashStorage<'static>);

impl ErrorType for Storage {
    type Error = FlashStorageError;
}

impl ReadNorFlash for Storage {
    const READ_SIZE: usize = <FlashStorage as ReadNorFlash>::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashStorageError> {
        ReadNorFlash::read(&mut self.0, offset, bytes)
    }

    fn capacity(&self) -> usize {
        ReadNorFlash::capacity(&self.0)
    }
}

impl NorFlash for Storage {
    const WRITE_SIZE: usize = <FlashStorage as NorFlash>::WRITE_SIZE;
    const ERASE_SIZE: usize = <FlashStorage as NorFlash>::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashStorageError> {
        let erased = NorFlash::erase(&mut self.0, from, to);
        forget(FLASH_START + from as usize, to.saturating_sub(from) as usize);
        erased
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashStorageError> {
        let written = NorFlash::write(&mut self.0, offset, bytes);
        forget(FLASH_START + offset as usize, bytes.len());
        written
    }
}

/// A slot in the flash chip: sectors of 4 KiB, words of 4 bytes.
pub type FlashSlot = NorSlot<Storage>;

/// The slot in a region of the flash.
///
/// # Safety
/// The region is made of whole sectors, no other slot lives, and nobody else looks at or writes the region
/// while the result lives.
pub unsafe fn spare(slot: Region) -> Option<FlashSlot> {
    // SAFETY: as the caller promises.
    unsafe { Some(NorSlot::new(Storage(FlashStorage::new(FLASH::steal())), FLASH_START, slot)) }
}

/// The core's performance counter, counting cycles (technical reference manual, section 1.5): 32 bits.
pub struct Cycles {
    start: u32,
}

impl Cycles {
    /// The counter, switched on.
    pub fn running() -> Self {
        // SAFETY: the registers of the event (bit 0: cycles) and of the mode (bit 0: count) of the counter,
        // which nothing else uses.
        unsafe { asm!("csrwi 0x7e0, 1", "csrwi 0x7e1, 1", options(nomem, nostack)) };
        Self { start: 0 }
    }

    fn now() -> u32 {
        let cycles;
        // SAFETY: reads the counter's register.
        unsafe { asm!("csrr {0}, 0x7e2", out(reg) cycles, options(nomem, nostack)) };
        cycles
    }
}

impl Stopwatch for Cycles {
    fn frequency(&self) -> u32 {
        CLOCK
    }

    fn start(&mut self) {
        self.start = Self::now();
    }

    fn ticks(&self) -> u64 {
        Self::now().wrapping_sub(self.start).into()
    }
}
