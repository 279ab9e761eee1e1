//! A slot for a device image in the STM32L4's own flash (RM0351, chapter 3): pages of 2 KiB in two banks,
//! written once per 8 bytes, which carry an error correcting code.

use core::ptr;

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_write,
};
use stm32_metapac::FLASH;
use stm32_metapac::flash::regs::Sr;

use crate::app::update::Slot;
use crate::start::Region;

const START: usize = 0x0800_0000;
const PAGE: usize = 2048;
const PAGES_PER_BANK: usize = 256;
const KEYS: [u32; 2] = [0x4567_0123, 0xcdef_89ab];
/// Errors of the status register: operation, programming, write protection, alignment, size, sequence, fast
/// programming. Written as ones, they are cleared.
const SR_ERRORS: u32 = 0x3fa;

/// The slot.
pub struct FlashSlot(Region);

/// Why the flash did not do as told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// The addresses are not those of whole pages or words, or outside the slot.
    Place(NorFlashErrorKind),
    /// The controller's error flags.
    Flags(u32),
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match *self {
            FlashError::Place(kind) => kind,
            FlashError::Flags(_) => NorFlashErrorKind::Other,
        }
    }
}

impl FlashSlot {
    /// The slot in a region.
    ///
    /// # Safety
    /// The region is made of whole pages, no other `FlashSlot` lives, and nobody else looks at or writes the
    /// region while the result lives.
    pub unsafe fn new(region: Region) -> Self {
        Self(region)
    }

    /// Does something with the controller unlocked and the data cache off: it may be wrong while one bank is
    /// read and the other written (the part's errata, ES0250), and it does not notice what is erased.
    fn unlocked(&mut self, work: impl FnOnce() -> Result<(), FlashError>) -> Result<(), FlashError> {
        for key in KEYS {
            FLASH.keyr().write_value(key);
        }
        FLASH.sr().write_value(Sr(SR_ERRORS));
        FLASH.acr().modify(|w| w.set_dcen(false));
        let done = work();
        FLASH.acr().modify(|w| w.set_dcrst(true));
        FLASH.acr().modify(|w| w.set_dcrst(false));
        FLASH.acr().modify(|w| w.set_dcen(true));
        FLASH.cr().modify(|w| w.set_lock(true));
        done
    }
}

/// Waits for the end of an operation.
fn finish() -> Result<(), FlashError> {
    while FLASH.sr().read().bsy() {}
    match FLASH.sr().read().0 & SR_ERRORS {
        0 => Ok(()),
        flags => Err(FlashError::Flags(flags)),
    }
}

impl ErrorType for FlashSlot {
    type Error = FlashError;
}

impl ReadNorFlash for FlashSlot {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let source = self.memory().iter().skip(offset as usize);
        bytes.iter_mut().zip(source).for_each(|(place, &byte)| *place = byte);
        Ok(())
    }

    fn capacity(&self) -> usize {
        let (_, bytes) = self.0.place();
        bytes
    }
}

impl NorFlash for FlashSlot {
    const WRITE_SIZE: usize = 8;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        check_erase(self, from, to).map_err(FlashError::Place)?;
        let (start, _) = self.0.place();
        let first = start.addr() - START;
        self.unlocked(|| {
            for page in (first + from as usize) / PAGE..(first + to as usize) / PAGE {
                FLASH.cr().modify(|w| {
                    w.set_per(true);
                    w.set_bker(page >= PAGES_PER_BANK);
                    w.set_pnb((page % PAGES_PER_BANK) as u8);
                });
                FLASH.cr().modify(|w| w.set_start(true));
                let erased = finish();
                FLASH.cr().modify(|w| w.set_per(false));
                erased?;
            }
            Ok(())
        })
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check_write(self, offset, bytes.len()).map_err(FlashError::Place)?;
        let (start, _) = self.0.place();
        let (words, _) = bytes.as_chunks::<4>();
        let (pairs, _) = words.as_chunks::<2>();
        self.unlocked(|| {
            FLASH.cr().modify(|w| w.set_pg(true));
            let mut written = Ok(());
            for (index, pair) in pairs.iter().enumerate() {
                let place = start.wrapping_add(offset as usize + 8 * index).cast::<u32>();
                for (half, word) in pair.iter().enumerate() {
                    // SAFETY: by the check above the place lies in the slot, which is this object's alone; it
                    // is aligned, since slots are whole pages.
                    unsafe { ptr::write_volatile(place.add(half), u32::from_le_bytes(*word)) };
                }
                written = finish();
                if written.is_err() {
                    break;
                }
            }
            FLASH.cr().modify(|w| w.set_pg(false));
            written
        })
    }
}

impl Slot for FlashSlot {
    fn memory(&self) -> &[u8] {
        // SAFETY: `new` was promised that nobody else writes the region, and writing takes `&mut self`.
        unsafe { self.0.bytes() }
    }
}
