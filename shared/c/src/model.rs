//! A device image and the kernels that it needs.
#![allow(unsafe_code)]
#![allow(clippy::missing_safety_doc, reason = "the header says for all functions what pointers must be")]

use core::slice;

use goldcrest_engine::Image;
use goldcrest_engine::kernels::Kernel;

use crate::gc_status::{self, GC_MISALIGNED, GC_NULL};

/// A model: a device image, in flash, and the kernels that it needs. `goldcrest export` writes one as
/// constants. The device image stays where it is, and must stay as it is while an engine has it open.
#[repr(C)]
#[derive(Debug)]
pub struct gc_model {
    /// The device image, at a multiple of 4.
    pub image: *const u8,
    /// Its bytes; what follows the image's own length is ignored.
    pub image_bytes: usize,
    /// The kernels that the program has for it.
    pub kernels: *const *const Kernel,
    /// How many.
    pub kernel_count: usize,
}

// SAFETY: the pointers lead to constants.
unsafe impl Sync for gc_model {}

impl gc_model {
    /// Checks the device image.
    ///
    /// # Safety
    /// The pointers that are not null lead to as many bytes and kernels as the model says, which outlive the
    /// image.
    pub(crate) unsafe fn open(&self) -> Result<Image<'static>, gc_status> {
        if self.image.is_null() || self.kernels.is_null() {
            return Err(GC_NULL);
        }
        if !self.kernels.is_aligned() {
            return Err(GC_MISALIGNED);
        }
        // SAFETY: not null, aligned, as many as the caller says; a null pointer is a pointer.
        let kernels = unsafe { slice::from_raw_parts(self.kernels, self.kernel_count) };
        if kernels.iter().any(|kernel| kernel.is_null()) {
            return Err(GC_NULL);
        }
        // SAFETY: as above, and none is null: pointers to kernels of this library, which are statics.
        let kernels = unsafe { slice::from_raw_parts(self.kernels.cast(), self.kernel_count) };
        // SAFETY: not null, as many bytes as the caller says.
        let image = unsafe { slice::from_raw_parts(self.image, self.image_bytes) };
        Ok(Image::new_checked(image, kernels)?)
    }
}

/// Bytes of arena that a model needs; 0 where it is not a model. It checks the device image each time: prefer
/// the constant that `goldcrest export` writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gc_arena_bytes(model: *const gc_model) -> usize {
    // SAFETY: as the caller promises.
    let image = unsafe { model.as_ref().and_then(|model| model.open().ok()) };
    image.map_or(0, |image| image.arena_bytes())
}
