//! An allocator that counts: how much memory is held, the most that was, and the largest single request.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator, counting. To be made the `#[global_allocator]` of a test or a fuzz target.
#[derive(Debug, Default)]
pub struct Counting {
    held: AtomicUsize,
    peak: AtomicUsize,
    largest: AtomicUsize,
}

/// What was allocated while something ran, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// The most that was held at once, beyond what was held before.
    pub peak: usize,
    /// The largest single request.
    pub largest: usize,
}

impl Counting {
    /// Nothing allocated yet.
    pub const fn new() -> Self {
        Self { held: AtomicUsize::new(0), peak: AtomicUsize::new(0), largest: AtomicUsize::new(0) }
    }

    /// Runs something, and says what it allocated. What other threads allocate meanwhile counts too.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> (T, Allocated) {
        let before = self.held.load(Relaxed);
        self.peak.store(before, Relaxed);
        self.largest.store(0, Relaxed);
        let result = work();
        let peak = self.peak.load(Relaxed).saturating_sub(before);
        (result, Allocated { peak, largest: self.largest.load(Relaxed) })
    }

    fn took(&self, bytes: usize) {
        let held = self.held.fetch_add(bytes, Relaxed) + bytes;
        self.peak.fetch_max(held, Relaxed);
        self.largest.fetch_max(bytes, Relaxed);
    }
}

// SAFETY: every call goes on to the system's allocator as it came, so its promises are kept; the default
// `realloc` and `alloc_zeroed` are made of these two, so that what grows counts twice while it is copied.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.took(layout.size());
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.held.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the pointer came from `alloc` above with this layout, as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}
