//! Sums of four channels over a window, as average pools need them.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::simd::halfwords;
use super::super::taps::Taps;

/// Maximum number of values whose sum is sure to fit a halfword.
const VALUES: usize = 256;

/// The sums of the values under a window of four channels from `channel` on; `None` when a row of the window
/// is too wide for the sums.
pub fn four_channels(input: &[Cell<i8>], taps: &Taps, channel: usize) -> Option<[i32; 4]> {
    let rows = VALUES.checked_div(taps.columns).unwrap_or(0);
    if rows == 0 {
        return None;
    }
    let mut sums = [0i32; 4];
    let (mut row, mut left) = (taps.first + channel, taps.rows);
    while left > 0 {
        let count = left.min(rows);
        let [even, odd] = halves(input, row, count, taps)?;
        let ([a, c], [b, d]) = (halfwords(even), halfwords(odd));
        sums.iter_mut().zip([a, b, c, d]).for_each(|(sum, part)| *sum += part);
        left -= count;
        row += count * taps.row_step;
    }
    Some(sums)
}

/// The sums of `rows` rows as halfwords: channels 0 and 2, channels 1 and 3.
fn halves(input: &[Cell<i8>], first: usize, rows: usize, taps: &Taps) -> Option<[u32; 2]> {
    let last = first + (rows - 1) * taps.row_step + (taps.columns - 1) * taps.column_step;
    let values = input.get(first..last + 4)?;
    #[cfg(not(goldcrest_dsp))]
    {
        use super::super::simd::{add_even, add_odd, load};
        let places = (0..rows * taps.columns)
            .map(|tap| tap / taps.columns * taps.row_step + tap % taps.columns * taps.column_step);
        let sum = |[even, odd]: [u32; 2], at| {
            let word = load(values, at);
            [add_even(even, word), add_odd(odd, word)]
        };
        Some(places.fold([0; 2], sum))
    }
    #[cfg(goldcrest_dsp)]
    {
        let call = armv7em::Call {
            columns: taps.columns,
            step: taps.column_step,
            gap: taps.row_step.wrapping_sub(taps.columns * taps.column_step),
        };
        // SAFETY: all words under `rows` rows of the window lie in `values`.
        let sums = unsafe { armv7em::sums(values.as_ptr().cast(), rows, &call) };
        Some([sums as u32, (sums >> 32) as u32])
    }
}

#[cfg(goldcrest_dsp)]
mod armv7em {
    use core::arch::naked_asm;

    /// The window; the offsets stand in the code below.
    #[repr(C)]
    pub struct Call {
        pub columns: usize,
        /// Bytes from one column to the next.
        pub step: usize,
        /// Bytes from behind a row to the next.
        pub gap: usize,
    }

    /// Sums of four channels (r0) over some rows (r1) of a window (r2).
    #[unsafe(naked)]
    pub unsafe extern "C" fn sums(values: *const i8, rows: usize, call: &Call) -> u64 {
        naked_asm!(
            super::super::cpu!(),
            "push {{r4-r8, lr}}",
            "ldm r2, {{r2, r3, r4}}",
            "movs r5, #0",
            "movs r6, #0",
            "2:", // A row: columns two by two, an odd one first.
            "lsrs r7, r2, #1",
            "bcc 4f",
            "ldr r8, [r0]",
            "add r0, r3",
            "sxtab16 r5, r5, r8",
            "sxtab16 r6, r6, r8, ror #8",
            "cbz r7, 5f",
            "4:",
            "ldr r8, [r0]",
            "ldr r12, [r0, r3]",
            "add r0, r0, r3, lsl #1",
            "sxtab16 r5, r5, r8",
            "sxtab16 r6, r6, r8, ror #8",
            "sxtab16 r5, r5, r12",
            "sxtab16 r6, r6, r12, ror #8",
            "subs r7, #1",
            "bne 4b",
            "5:",
            "add r0, r4",
            "subs r1, #1",
            "bne 2b",
            "mov r0, r5",
            "mov r1, r6",
            "pop {{r4-r8, pc}}",
        )
    }
}
