//! A slot for a device image in RAM that stands for flash: erased bytes are 0xff, writing turns ones into
//! zeros.

use core::convert::Infallible;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use crate::app::update::Slot;
use crate::start::Region;

/// The slot.
pub struct RamSlot(&'static mut [u8]);

impl RamSlot {
    /// The slot in a region.
    ///
    /// # Safety
    /// The region lies in RAM, and nobody else looks at or writes it while the result lives.
    pub unsafe fn new(region: Region) -> Self {
        let (start, bytes) = region.place();
        // SAFETY: as the caller promises.
        Self(unsafe { core::slice::from_raw_parts_mut(start, bytes) })
    }
}

impl ErrorType for RamSlot {
    type Error = Infallible;
}

impl ReadNorFlash for RamSlot {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        let source = self.0.iter().skip(offset as usize);
        bytes.iter_mut().zip(source).for_each(|(place, &byte)| *place = byte);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for RamSlot {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = 1;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Infallible> {
        self.0.get_mut(from as usize..to as usize).unwrap_or_default().fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Infallible> {
        let places = self.0.iter_mut().skip(offset as usize);
        places.zip(bytes).for_each(|(place, &byte)| *place &= byte);
        Ok(())
    }
}

impl Slot for RamSlot {
    fn memory(&self) -> &[u8] {
        self.0
    }
}
