//! A slot for a device image in the STM32F4's own flash (RM0090 and RM0390, chapter 3): whole sectors of 16,
//! 64 or 128 KiB, written byte by byte at any supply voltage.
//!
//! The part has one bank, so the core stands still while a sector is erased (up to 4 s for 128 KiB), and
//! what the line brings in that time is lost; the host asks again.

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use stm32f4xx_hal::flash::{Error, FlashExt};
use stm32f4xx_hal::pac::FLASH;

use crate::app::update::Slot;
use crate::start::Region;

/// The slot.
pub struct FlashSlot {
    flash: FLASH,
    region: Region,
}

impl FlashSlot {
    /// The slot in a region.
    ///
    /// # Safety
    /// The region is made of whole sectors, no other `FlashSlot` lives, and nobody else looks at or writes
    /// the region while the result lives.
    pub unsafe fn new(region: Region) -> Self {
        // SAFETY: the clock set-up, which needed the flash's registers too, is over, and the caller promises
        // that there is no other slot.
        Self { flash: unsafe { FLASH::steal() }, region }
    }

    /// Where a byte of the slot lies in the flash.
    fn offset(&self, offset: u32) -> u32 {
        let (start, _) = self.region.place();
        (start.addr() - self.flash.address()) as u32 + offset
    }

    /// Errors of the past, which would count as the next operation's; they are cleared by ones.
    fn clear_errors(&self) {
        self.flash.sr().modify(|_, w| w);
    }

    /// Makes the caches forget what they hold of erased sectors. They can only while they are off.
    fn flush_caches(&self) {
        self.flash.acr().modify(|_, w| w.icen().clear_bit().dcen().clear_bit());
        self.flash.acr().modify(|_, w| w.icrst().set_bit().dcrst().set_bit());
        self.flash.acr().modify(|_, w| w.icrst().clear_bit().dcrst().clear_bit());
        self.flash.acr().modify(|_, w| w.icen().set_bit().dcen().set_bit());
    }
}

impl ErrorType for FlashSlot {
    type Error = Error;
}

impl ReadNorFlash for FlashSlot {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Error> {
        let source = self.memory().iter().skip(offset as usize);
        bytes.iter_mut().zip(source).for_each(|(place, &byte)| *place = byte);
        Ok(())
    }

    fn capacity(&self) -> usize {
        let (_, bytes) = self.region.place();
        bytes
    }
}

impl NorFlash for FlashSlot {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = 128 * 1024;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Error> {
        let (from, to) = (self.offset(from), self.offset(to));
        self.clear_errors();
        let erased = NorFlash::erase(&mut self.flash.unlocked(), from, to);
        self.flush_caches();
        erased
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Error> {
        let offset = self.offset(offset);
        self.clear_errors();
        NorFlash::write(&mut self.flash.unlocked(), offset, bytes)
    }
}

impl Slot for FlashSlot {
    fn memory(&self) -> &[u8] {
        // SAFETY: `new` was promised that nobody else writes the region, and writing takes `&mut self`.
        unsafe { self.region.bytes() }
    }
}
