//! What the tasks of an operator read and write, and the memory that they keep.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Runs a function for each number below a count, in any order, on any threads.
pub type Parallel<'a> = &'a dyn Fn(usize, &(dyn Fn(usize) + Sync));

/// Sums of weight gradients are kept in this many parts, whatever the number of threads, so that the
/// order of additions, and with it every bit, is the same on all machines of one kind.
pub const PARTS: usize = 16;

/// Where the gradients of a convolution go that are wanted.
#[derive(Debug, Default)]
pub struct Gradients<'a> {
    /// Of the input.
    pub dx: Option<&'a mut [f32]>,
    /// Of the weights.
    pub dw: Option<&'a mut [f32]>,
    /// Of the bias.
    pub db: Option<&'a mut [f32]>,
}

/// Adds up the parts of a sum, one after the other in `parts`.
pub fn add_parts(parts: &[f32], sum: &mut [f32]) {
    let (first, rest) = parts.split_at(sum.len());
    sum.copy_from_slice(first);
    for part in rest.chunks_exact(sum.len()) {
        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
}

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct CacheLine([f32; LINE]);

const LINE: usize = 16;

/// Memory of tasks, kept for the next ones.
static SPARE: Mutex<Vec<Vec<CacheLine>>> = Mutex::new(Vec::new());

/// Memory that is given back when dropped: begins with a cache line, so that no vector straddles two, and
/// holds old numbers, which may be no numbers at all: not even a product with 0 may read them.
pub struct Scratch(Vec<CacheLine>);

impl Scratch {
    /// At least `length` floats.
    pub fn new(length: usize) -> Self {
        let mut memory = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        if memory.len() < length.div_ceil(LINE) {
            memory.resize(length.div_ceil(LINE), CacheLine([0.0; LINE]));
        }
        // The worst that a run which diverged can leave behind.
        if cfg!(test) {
            memory.fill(CacheLine([f32::NAN; LINE]));
        }
        Self(memory)
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: lines are arrays of floats without anything between them.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LINE) }
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: lines are arrays of floats without anything between them.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * LINE) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        SPARE.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.0));
    }
}

/// A slice that tasks write to in different places.
pub struct Shared<'a>(*mut f32, usize, std::marker::PhantomData<&'a mut [f32]>);

// SAFETY: tasks write to ranges that do not overlap, see `part`.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    /// Shares a slice.
    pub fn new(slice: &'a mut [f32]) -> Self {
        Self(slice.as_mut_ptr(), slice.len(), std::marker::PhantomData)
    }

    /// A part of the slice.
    ///
    /// # Safety
    /// No two parts that live at the same time may overlap.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn part(&self, start: usize, length: usize) -> &mut [f32] {
        assert!(start + length <= self.1);
        // SAFETY: in bounds; the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), length) }
    }
}
