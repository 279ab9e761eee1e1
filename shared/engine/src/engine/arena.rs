//! The arena: one block of words that holds every activation of a run.
//!
//! Kernels that write over their own input see it as [`Cell`]s, so overlapping inputs and outputs
//! are ordinary safe code.
#![allow(unsafe_code)]

use core::cell::Cell;

/// A shared view of the arena during one layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arena<'a> {
    words: &'a [Cell<u32>],
}

impl<'a> Arena<'a> {
    /// The view of an arena.
    #[inline]
    pub fn new(words: &'a mut [u32]) -> Self {
        Self { words: Cell::from_mut(words).as_slice_of_cells() }
    }

    /// The values of a tensor or of scratch memory.
    #[inline]
    pub fn values(self, offset: usize, length: usize) -> &'a [Cell<i8>] {
        // SAFETY: the bytes of a u32 are valid i8 values of smaller alignment, and any i8 leaves valid
        // u32s behind; cells of either type may be written through shared references.
        let values =
            unsafe { core::slice::from_raw_parts(self.words.as_ptr().cast(), size_of_val(self.words)) };
        part(values, offset, length)
    }

    /// Scratch memory as words; offset and length in bytes, both multiples of 4.
    #[inline]
    pub fn words(self, offset: usize, length: usize) -> &'a [Cell<u32>] {
        part(self.words, offset / 4, length / 4)
    }
}

/// `slice[start..start + length]`, or nothing when that is out of range.
///
/// A checked image never asks for what is out of range; this form keeps the panic, and its code,
/// out of the firmware. The host, tests and fuzzing do check it.
#[inline]
pub(crate) fn part<T>(slice: &[T], start: usize, length: usize) -> &[T] {
    let found = slice.get(start..).and_then(|rest| rest.get(..length));
    #[cfg(any(test, debug_assertions, feature = "pack"))]
    assert!(found.is_some(), "{start}+{length} of {}", slice.len());
    found.unwrap_or_default()
}

/// Words as the int8 values they hold.
#[inline]
pub fn values(words: &[u32]) -> &[i8] {
    // SAFETY: the bytes of a u32 are valid i8 values of smaller alignment; the length covers the
    // same memory for the same lifetime.
    unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

/// Words as the int8 values they hold, to be written.
#[inline]
pub fn values_mut(words: &mut [u32]) -> &mut [i8] {
    // SAFETY: as in `values`; the exclusive borrow passes on, and any i8 leaves valid u32s behind.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}

/// Words as the bytes they hold, to be written.
#[inline]
pub fn bytes_mut(words: &mut [u32]) -> &mut [u8] {
    // SAFETY: as in `values`; the exclusive borrow passes on, and any u8 leaves valid u32s behind.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}

/// Words as the bytes they hold.
#[cfg(feature = "alloc")]
pub fn bytes(words: &[u32]) -> &[u8] {
    // SAFETY: as in `values`.
    unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}
