//! Fully connected layer. Weights `[block of four outputs][vector of 16 input values][output of the block]`,
//! vectors and the last block filled with zeros. Channel constants fill whole blocks of eight.
#![allow(unsafe_code)]

use core::cell::Cell;

#[cfg(feature = "pack")]
use super::super::Family;
use super::super::fully_connected as plain;
#[cfg(feature = "pack")]
use super::super::packing::{Packing, elsewhere};
use super::super::{Kernel, Needs, product};
use super::VECTOR;
use super::finish::{self, Finish};
#[cfg(feature = "pack")]
use super::vectors::interleaved;
use crate::engine::Arena;
use crate::image::{Entry, Record};

/// Outputs computed at once.
const BLOCK: usize = 4;

/// Fully connected on cores with vector instructions.
pub static MVE_FULLY_CONNECTED: Kernel = Kernel {
    id: 65,
    name: "mve-fully-connected",
    needs,
    run,
    #[cfg(feature = "pack")]
    packing: Packing {
        suits: |layer| layer.preferences.family == Family::Mve && layer.is_fully_connected(8),
        order: |layer| interleaved(layer, BLOCK, layer.taps()),
        overlap: elsewhere,
    },
};

fn needs(record: &Record) -> Option<Needs> {
    plain::needs::<8>(record)?;
    let (blocks, vectors) = blocks_and_vectors(record);
    Some(Needs {
        weights: product([blocks, vectors, BLOCK * VECTOR]),
        channels: finish::constants(record),
        scratch: finish::sum_bytes(record, 1),
    })
}

fn blocks_and_vectors(record: &Record) -> (usize, usize) {
    (record.output.shape.channels.div_ceil(BLOCK), record.input.shape.len().div_ceil(VECTOR))
}

fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let input = arena.values(record.input.offset, record.input.shape.len());
    let target = arena.values(record.output.offset, record.output.shape.len());
    let sums = arena.words(record.scratch.0, record.scratch.1);
    let (blocks, vectors) = blocks_and_vectors(record);
    if layer.weights.len() >= blocks * vectors * BLOCK * VECTOR && sums.len() >= blocks * BLOCK {
        dot(layer.weights, input, sums, blocks);
    }
    Finish::new(layer, 1, 1).run(sums, target);
}

/// The sums of `blocks` blocks of outputs.
#[cfg(not(goldcrest_mve))]
fn dot(weights: &[i8], input: &[Cell<i8>], sums: &[Cell<u32>], blocks: usize) {
    let block_bytes = input.len().div_ceil(VECTOR) * BLOCK * VECTOR;
    for (index, place) in sums.iter().enumerate().take(blocks * BLOCK) {
        let weights = &weights[index / BLOCK * block_bytes..][..block_bytes];
        let weights = weights.chunks_exact(VECTOR).skip(index % BLOCK).step_by(BLOCK).flatten();
        let products = weights.zip(input).map(|(&weight, value)| i32::from(weight) * i32::from(value.get()));
        place.set(products.sum::<i32>() as u32);
    }
}

/// The sums of `blocks` blocks of outputs.
#[cfg(goldcrest_mve)]
fn dot(weights: &[i8], input: &[Cell<i8>], sums: &[Cell<u32>], blocks: usize) {
    if input.is_empty() || blocks == 0 {
        return;
    }
    let call = helium::Call { bytes: input.len(), blocks };
    // SAFETY: `run` looked at the lengths of weights and sums; of the input no byte beyond its length is
    // read; the sums are aligned to words.
    unsafe {
        helium::dot(weights.as_ptr(), input.as_ptr().cast(), sums.as_ptr().cast_mut().cast(), &call);
    }
}

#[cfg(goldcrest_mve)]
mod helium {
    use core::arch::naked_asm;

    /// What the loop needs beside its pointers.
    #[repr(C)]
    pub struct Call {
        /// Input values.
        pub bytes: usize,
        /// Blocks of outputs.
        pub blocks: usize,
    }

    /// Weights (r0), input (r1), sums (r2) and [`Call`] (r3).
    #[unsafe(naked)]
    pub unsafe extern "C" fn dot(weights: *const i8, input: *const i8, sums: *mut i32, call: &Call) {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4-r10, lr}}",
            "ldrd r3, r7, [r3]",
            "2:",
            "mov r5, r1",
            "movs r4, #0",
            "movs r6, #0",
            "mov r8, #0",
            "mov r10, #0",
            "dlstp.8 lr, r3",
            "3:",
            "vldrb.u8 q0, [r5], #16",
            "vldrb.u8 q1, [r0], #64",
            "vmladava.s8 r4, q0, q1",
            "vldrb.u8 q2, [r0, #-48]",
            "vmladava.s8 r6, q0, q2",
            "vldrb.u8 q1, [r0, #-32]",
            "vmladava.s8 r8, q0, q1",
            "vldrb.u8 q2, [r0, #-16]",
            "vmladava.s8 r10, q0, q2",
            "letp lr, 3b",
            "strd r4, r6, [r2], #16",
            "strd r8, r10, [r2, #-8]",
            "subs r7, #1",
            "bne 2b",
            "pop {{r4-r10, pc}}",
        )
    }
}
