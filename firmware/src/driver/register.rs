//! Memory-mapped registers.

/// One register of a type's width.
#[derive(Clone, Copy)]
pub struct Register<T = u32>(*mut T);

impl<T: Copy> Register<T> {
    /// The register at an address.
    ///
    /// # Safety
    /// A register of this width, whose reads and writes break nobody's memory, lies there for ever.
    pub const unsafe fn new(address: usize) -> Self {
        Self(core::ptr::with_exposed_provenance_mut(address))
    }

    /// Reads it.
    pub fn read(self) -> T {
        // SAFETY: `new` was promised a register.
        unsafe { self.0.read_volatile() }
    }

    /// Writes it.
    pub fn write(self, value: T) {
        // SAFETY: `new` was promised a register.
        unsafe { self.0.write_volatile(value) }
    }
}
