//! What a call found.

use core::ffi::{CStr, c_char};

use goldcrest_engine::{ImageError, LayerError, OpenError, SelfTestError};

/// What a call found: GC_OK, or the first thing wrong. `gc_status_text` says it in words.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum gc_status {
    /// Done.
    GC_OK = 0,
    /// A pointer is null.
    GC_NULL = 1,
    /// The address of the engine, the device image or the arena is not a multiple of what it must be.
    GC_MISALIGNED = 2,
    /// The device image is shorter than it says.
    GC_TRUNCATED = 3,
    /// The bytes are not a device image.
    GC_NO_IMAGE = 4,
    /// The device image has another format version than this library reads.
    GC_VERSION = 5,
    /// The checksum of the device image is wrong: it is damaged.
    GC_CHECKSUM = 6,
    /// The device image is for instructions that this library's core does not have.
    GC_FAMILY = 7,
    /// The device image needs a kernel that the model does not name.
    GC_KERNEL = 8,
    /// The device image contradicts itself.
    GC_INCONSISTENT = 9,
    /// The arena is smaller than the model needs.
    GC_ARENA = 10,
    /// The input has another length than the model takes.
    GC_INPUT = 11,
    /// The engine is not open.
    GC_CLOSED = 12,
    /// The device image holds no golden vectors.
    GC_NO_VECTORS = 13,
    /// A golden vector gave other logits.
    GC_DIFFERENT = 14,
}

use gc_status::*;

impl From<OpenError> for gc_status {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Image(error) => error.into(),
            _ => GC_ARENA,
        }
    }
}

impl From<ImageError> for gc_status {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Truncated { .. } => GC_TRUNCATED,
            ImageError::Magic(_) => GC_NO_IMAGE,
            ImageError::Version(_) => GC_VERSION,
            ImageError::Checksum { .. } => GC_CHECKSUM,
            ImageError::Misaligned => GC_MISALIGNED,
            ImageError::Family { .. } | ImageError::UnknownFamily(_) => GC_FAMILY,
            ImageError::Layer { problem: LayerError::Kernel(_), .. } => GC_KERNEL,
            _ => GC_INCONSISTENT,
        }
    }
}

impl From<SelfTestError> for gc_status {
    fn from(error: SelfTestError) -> Self {
        match error {
            SelfTestError::NoVectors => GC_NO_VECTORS,
            _ => GC_DIFFERENT,
        }
    }
}

/// The texts, by number.
const TEXTS: [&CStr; 15] = [
    c"done",
    c"a pointer is null",
    c"engine, device image or arena: its address is not aligned; use what goldcrest export writes, and \
      uint32_t for the arena",
    c"the device image is truncated; is all of it in flash?",
    c"not a device image; make one with goldcrest export or goldcrest pack",
    c"the device image has another format version than this library; export the model and the library \
      together",
    c"the checksum of the device image is wrong: it is damaged",
    c"the device image is for another core; link the library of its core, or export the model for this one",
    c"the device image needs a kernel that the model's list does not name; use the list that goldcrest \
      export writes",
    c"the device image contradicts itself; export the model again",
    c"the arena is smaller than the model needs; see the constant ARENA_BYTES of the model, or \
      gc_arena_bytes",
    c"the input has another length than the model takes; see gc_input_bytes",
    c"the engine is not open; call gc_open and look at what it returns",
    c"the device image holds no golden vectors; export it with --golden",
    c"a golden vector gave other logits; does somebody else write to the arena, or is the library damaged?",
];

/// A status in words, English, for logs; of any other number "unknown status".
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C" fn gc_status_text(status: i32) -> *const c_char {
    let text = usize::try_from(status).ok().and_then(|status| TEXTS.get(status));
    text.copied().unwrap_or(c"unknown status").as_ptr()
}
