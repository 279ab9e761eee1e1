//! Memory-mapped registers.

/// One 32-bit register.
#[derive(Clone, Copy)]
pub struct Register(*mut u32);

impl Register {
    /// The register at an address.
    ///
    /// # Safety
    /// A 32-bit register whose reads and writes break nobody's memory lies there for ever.
    pub const unsafe fn new(address: usize) -> Self {
        Self(core::ptr::with_exposed_provenance_mut(address))
    }

    /// Reads it.
    pub fn read(self) -> u32 {
        // SAFETY: `new` was promised a register.
        unsafe { self.0.read_volatile() }
    }

    /// Writes it.
    pub fn write(self, value: u32) {
        // SAFETY: `new` was promised a register.
        unsafe { self.0.write_volatile(value) }
    }
}
