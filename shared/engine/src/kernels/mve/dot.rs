//! Products of patches and weights: four pixels, two output channels at a time.
//!
//! Patches stand as `[vector of 16 values][pixel]`, weights as `[pair of channels][vector][channel]`;
//! the sums as [`finish`](super::finish) reads them.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::VECTOR;

/// Pixels computed at once.
pub const PIXELS: usize = 4;

/// The sums of `pairs` pairs of output channels over patches of `vectors` vectors.
pub fn dot(weights: &[i8], tile: &[Cell<u32>], sums: &[Cell<u32>], vectors: usize, pairs: usize) {
    let fits = weights.len() >= pairs * vectors * 2 * VECTOR
        && tile.len() >= vectors * PIXELS * (VECTOR / 4)
        && sums.len() >= pairs.next_multiple_of(4) * 2 * PIXELS;
    if !fits || vectors == 0 || pairs == 0 {
        return;
    }
    #[cfg(goldcrest_mve)]
    {
        let call = helium::Call { vectors, pairs };
        // SAFETY: the slices hold what the function touches, as just looked at; weights, tile and sums are
        // aligned to words, because the image check and `Arena::words` saw to it.
        unsafe {
            helium::dot(weights.as_ptr(), tile.as_ptr().cast(), sums.as_ptr().cast_mut().cast(), &call);
        }
    }
    #[cfg(not(goldcrest_mve))]
    for (index, weights) in weights.chunks_exact(vectors * 2 * VECTOR).take(pairs).enumerate() {
        for (at, channel) in [(0, 0), (1, VECTOR)] {
            let weights = || weights.chunks_exact(2 * VECTOR).map(|both| &both[channel..][..VECTOR]);
            for pixel in 0..PIXELS {
                let values = tile.chunks_exact(VECTOR / 4).skip(pixel).step_by(PIXELS);
                let sum = weights().zip(values).fold(0, |sum: i32, (w, x)| sum.wrapping_add(product(w, x)));
                let place = (index / 4 * PIXELS + pixel) * 8 + index % 4 * 2 + at;
                sums[place].set(sum as u32);
            }
        }
    }
}

/// Sum of the products of 16 weights and the 16 values in four words (VMLADAV).
#[cfg(not(goldcrest_mve))]
pub fn product(weights: &[i8], values: &[Cell<u32>]) -> i32 {
    let values = values.iter().flat_map(|word| word.get().to_le_bytes());
    weights.iter().zip(values).map(|(&weight, value)| i32::from(weight) * i32::from(value as i8)).sum()
}

#[cfg(goldcrest_mve)]
mod helium {
    use core::arch::naked_asm;

    /// What the loop needs beside its pointers.
    #[repr(C)]
    pub struct Call {
        /// Vectors of a patch.
        pub vectors: usize,
        /// Pairs of output channels.
        pub pairs: usize,
    }

    /// One vector of four pixels and two channels. r1 tile, r3 weights; `$op` is VMLADAV or VMLADAVA.
    macro_rules! vector {
        ($op:literal) => {
            concat!(
                "vldrw.u32 q0, [r3], #32\n",
                "vldrw.u32 q2, [r1], #64\n",
                $op,
                " r0, q0, q2\n",
                "vldrw.u32 q1, [r3, #-16]\n",
                $op,
                " r2, q1, q2\n",
                "vldrw.u32 q3, [r1, #-48]\n",
                $op,
                " r4, q0, q3\n",
                $op,
                " r6, q1, q3\n",
                "vldrw.u32 q2, [r1, #-32]\n",
                $op,
                " r8, q0, q2\n",
                $op,
                " r10, q1, q2\n",
                "vldrw.u32 q3, [r1, #-16]\n",
                $op,
                " r12, q0, q3\n",
                $op,
                " lr, q1, q3\n",
            )
        };
    }

    /// Weights (r0), tile (r1), sums (r2) and [`Call`] (r3). r5 counts vectors, r7 sums, r9 vectors,
    /// r11 pairs of a block; on the stack the tile and the pairs left.
    #[unsafe(naked)]
    pub unsafe extern "C" fn dot(weights: *const i8, tile: *const u32, sums: *mut i32, call: &Call) {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4-r11, lr}}",
            "sub sp, #12",
            "ldrd r9, r4, [r3]",
            "strd r1, r4, [sp]",
            "mov r3, r0",
            "mov r7, r2",
            "2:", // Up to four pairs.
            "ldr r0, [sp, #4]",
            "mov r11, #4",
            "subs r0, #4",
            "itt lt",
            "addlt r11, r0, #4",
            "movlt r0, #0",
            "str r0, [sp, #4]",
            "3:", // One pair.
            "ldr r1, [sp]",
            vector!("vmladav.s8"),
            "lsrs r5, r9, #1",
            "beq 6f",
            "bcc 5f",
            "4:",
            vector!("vmladava.s8"),
            "5:",
            vector!("vmladava.s8"),
            "subs r5, #1",
            "bne 4b",
            "6:",
            "strd r0, r2, [r7], #8",
            "strd r4, r6, [r7, #24]",
            "strd r8, r10, [r7, #56]",
            "strd r12, lr, [r7, #88]",
            "subs r11, #1",
            "bne 3b",
            "ldr r0, [sp, #4]",
            "adds r7, #96",
            "cmp r0, #0",
            "bne 2b",
            "add sp, #12",
            "pop {{r4-r11, pc}}",
        )
    }
}
