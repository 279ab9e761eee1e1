//! A slot for a device image in flash that a HAL writes.

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use crate::app::update::Slot;
use crate::start::Region;

/// The slot, in a flash `F`.
pub struct NorSlot<F> {
    flash: F,
    region: Region,
    offset: u32,
}

impl<F: NorFlash> NorSlot<F> {
    /// The slot in a region of a flash whose first byte the processor sees at `origin`.
    ///
    /// # Safety
    /// The region lies in the flash and is made of whole units of erasure, and nobody else looks at or
    /// writes it while the result lives.
    pub unsafe fn new(flash: F, origin: usize, region: Region) -> Self {
        let (start, _) = region.place();
        Self { flash, region, offset: (start.addr() - origin) as u32 }
    }
}

impl<F: ErrorType> ErrorType for NorSlot<F> {
    type Error = F::Error;
}

impl<F: NorFlash> ReadNorFlash for NorSlot<F> {
    const READ_SIZE: usize = F::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.flash.read(self.offset + offset, bytes)
    }

    fn capacity(&self) -> usize {
        let (_, bytes) = self.region.place();
        bytes
    }
}

impl<F: NorFlash> NorFlash for NorSlot<F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        // Unit by unit, so that what the HAL must hold back meanwhile waits for one only.
        let mut unit = from;
        while unit < to {
            let end = to.min(unit + F::ERASE_SIZE as u32);
            self.flash.erase(self.offset + unit, self.offset + end)?;
            unit = end;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.flash.write(self.offset + offset, bytes)
    }
}

impl<F: NorFlash> Slot for NorSlot<F> {
    fn memory(&self) -> &[u8] {
        // SAFETY: `new` was promised that nobody else writes the region, and writing takes `&mut self`.
        unsafe { self.region.bytes() }
    }
}
