//! The two inner loops of a convolution over flat planes (see [`super::plane`]).
//!
//! [`Correlate`] makes output planes from input planes: each output position is a sum over channels and
//! taps, a tap being a fixed distance along the plane. [`Products`] makes the gradient of the weights: for
//! each pair of planes and each tap, the sum over all positions. Both keep a block of results in
//! registers, 24 vectors where there are 32 registers.
#![expect(clippy::needless_range_loop, reason = "blocks of registers are indexed by their constant sizes")]

use super::level::Level;
#[cfg(target_arch = "x86_64")]
use super::simd::{Avx2, Avx512};
use super::simd::{Portable, Simd};

/// Positions by which planes are padded, so that the last vector may reach beyond their end.
pub const SLACK: usize = 16;

/// `outputs[o][p] = sum over channel c, tap t of weights[c][t][o] * inputs[c * stride + taps[t] + p]`.
#[derive(Clone, Copy)]
pub struct Correlate<'a> {
    /// Distance from one input plane to the next.
    pub stride: usize,
    pub channels: usize,
    /// Where each tap reads, relative to the output's position.
    pub taps: &'a [isize],
    /// Distance from one output plane to the next.
    pub output_stride: usize,
    /// Positions to make; up to the next multiple of [`SLACK`] may be written.
    pub positions: usize,
}

/// The sizes of blocks of output channels, largest first; weights are packed in such blocks.
pub fn blocks(level: Level) -> &'static [usize] {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => &[8, 6, 4, 2, 1],
        _ => &[4, 2, 1],
    }
}

/// Splits `count` output channels into blocks: first channel and size.
pub fn split(level: Level, count: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let size = blocks(level).iter().copied().find(|&size| size <= count - first)?;
        first += size;
        Some((first - size, size))
    })
}

impl Correlate<'_> {
    /// Makes `outputs` planes.
    ///
    /// # Safety
    /// `inputs` must be valid to read wherever a tap leads from any position below `positions` rounded
    /// up to a multiple of [`SLACK`]; `to` valid to write that many floats in each plane; `weights` are
    /// packed by [`pack`] for `outputs` channels.
    pub unsafe fn run(
        &self,
        level: Level,
        inputs: *const f32,
        weights: &[f32],
        outputs: usize,
        to: *mut f32,
    ) {
        let mut at = 0;
        for (first, size) in split(level, outputs) {
            let length = size * self.channels * self.taps.len();
            let block = weights[at..at + length].as_ptr();
            at += length;
            // SAFETY: the caller's promise; `detect` gave the level.
            unsafe {
                let to = to.add(first * self.output_stride);
                match level {
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512 => self.avx512(size, inputs, block, to),
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => self.avx2(size, inputs, block, to),
                    Level::Portable => self.few::<Portable>(size, inputs, block, to),
                }
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
    unsafe fn avx512(&self, size: usize, inputs: *const f32, weights: *const f32, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe {
            match size {
                8 => self.block::<Avx512, 8, 3>(inputs, weights, to),
                6 => self.block::<Avx512, 6, 4>(inputs, weights, to),
                4 => self.block::<Avx512, 4, 6>(inputs, weights, to),
                2 => self.block::<Avx512, 2, 6>(inputs, weights, to),
                _ => self.block::<Avx512, 1, 8>(inputs, weights, to),
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2(&self, size: usize, inputs: *const f32, weights: *const f32, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { self.few::<Avx2>(size, inputs, weights, to) }
    }

    /// Blocks for 16 registers.
    #[inline(always)]
    unsafe fn few<S: Simd>(&self, size: usize, inputs: *const f32, weights: *const f32, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe {
            match size {
                4 => self.block::<S, 4, 3>(inputs, weights, to),
                2 => self.block::<S, 2, 4>(inputs, weights, to),
                _ => self.block::<S, 1, 6>(inputs, weights, to),
            }
        }
    }

    /// `O` output channels, `V` vectors of positions at a time.
    #[inline(always)]
    unsafe fn block<S: Simd, const O: usize, const V: usize>(
        &self,
        inputs: *const f32,
        weights: *const f32,
        to: *mut f32,
    ) {
        let vectors = self.positions.div_ceil(S::LANES);
        let mut done = 0;
        // SAFETY: the caller's promise.
        unsafe {
            while done + V <= vectors {
                self.tile::<S, O, V>(inputs.add(done * S::LANES), weights, to.add(done * S::LANES));
                done += V;
            }
            if done + 2 <= vectors && V > 2 {
                self.tile::<S, O, 2>(inputs.add(done * S::LANES), weights, to.add(done * S::LANES));
                done += 2;
            }
            while done < vectors {
                self.tile::<S, O, 1>(inputs.add(done * S::LANES), weights, to.add(done * S::LANES));
                done += 1;
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<S: Simd, const O: usize, const V: usize>(
        &self,
        inputs: *const f32,
        mut weights: *const f32,
        to: *mut f32,
    ) {
        // SAFETY: the caller's promise; `weights` has O floats for each channel and tap.
        unsafe {
            let mut sums = [[S::splat(0.0); V]; O];
            let mut plane = inputs;
            for _ in 0..self.channels {
                for &tap in self.taps {
                    let from = plane.offset(tap);
                    let mut input = [S::splat(0.0); V];
                    for v in 0..V {
                        input[v] = S::load(from.add(v * S::LANES));
                    }
                    for o in 0..O {
                        let weight = S::splat(*weights.add(o));
                        for v in 0..V {
                            sums[o][v] = S::multiply_add(input[v], weight, sums[o][v]);
                        }
                    }
                    weights = weights.add(O);
                }
                plane = plane.add(self.stride);
            }
            for o in 0..O {
                for v in 0..V {
                    S::store(to.add(o * self.output_stride + v * S::LANES), sums[o][v]);
                }
            }
        }
    }
}

/// Vectors on their way to their sums; aligned, so that a load never straddles two stores.
#[repr(align(64))]
struct Lanes([f32; 24 * 16]);

/// Packs weights for [`Correlate`]: `weight(output, channel, tap)`.
pub fn pack(
    level: Level,
    outputs: usize,
    channels: usize,
    taps: usize,
    to: &mut Vec<f32>,
    weight: impl Fn(usize, usize, usize) -> f32,
) {
    for (first, size) in split(level, outputs) {
        for channel in 0..channels {
            for tap in 0..taps {
                to.extend((first..first + size).map(|output| weight(output, channel, tap)));
            }
        }
    }
}

/// `to[r * columns.len() + c] += sum over p of rows[r * row_stride + p] * inputs[columns[c] + p]`.
#[derive(Clone, Copy)]
pub struct Products<'a> {
    pub rows: usize,
    pub row_stride: usize,
    /// Where each column begins.
    pub columns: &'a [usize],
    /// Rows must be 0 from here on to the next multiple of [`SLACK`].
    pub positions: usize,
}

impl Products<'_> {
    /// Adds to `rows * columns.len()` sums.
    ///
    /// # Safety
    /// Rows and columns must be valid to read for `positions` floats rounded up to a multiple of
    /// [`SLACK`], `to` to write.
    pub unsafe fn run(&self, level: Level, rows: *const f32, inputs: *const f32, to: &mut [f32]) {
        assert_eq!(to.len(), self.rows * self.columns.len());
        // SAFETY: the caller's promise; `detect` gave the level.
        unsafe {
            match level {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => self.avx512(rows, inputs, to.as_mut_ptr()),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => self.avx2(rows, inputs, to.as_mut_ptr()),
                Level::Portable => self.all::<Portable, 2, 4>(rows, inputs, to.as_mut_ptr()),
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
    unsafe fn avx512(&self, rows: *const f32, inputs: *const f32, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { self.all::<Avx512, 4, 6>(rows, inputs, to) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2(&self, rows: *const f32, inputs: *const f32, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { self.all::<Avx2, 2, 4>(rows, inputs, to) }
    }

    #[inline(always)]
    unsafe fn all<S: Simd, const R: usize, const C: usize>(
        &self,
        rows: *const f32,
        inputs: *const f32,
        to: *mut f32,
    ) {
        let mut row = 0;
        // SAFETY: the caller's promise.
        unsafe {
            while row + R <= self.rows {
                self.row::<S, R, C>(row, rows, inputs, to);
                row += R;
            }
            while row + 2 <= self.rows {
                self.row::<S, 2, C>(row, rows, inputs, to);
                row += 2;
            }
            while row < self.rows {
                self.row::<S, 1, C>(row, rows, inputs, to);
                row += 1;
            }
        }
    }

    #[inline(always)]
    unsafe fn row<S: Simd, const R: usize, const C: usize>(
        &self,
        row: usize,
        rows: *const f32,
        inputs: *const f32,
        to: *mut f32,
    ) {
        let mut column = 0;
        // SAFETY: the caller's promise.
        unsafe {
            while column + C <= self.columns.len() {
                self.tile::<S, R, C>(row, column, rows, inputs, to);
                column += C;
            }
            while column + 3 <= self.columns.len() {
                self.tile::<S, R, 3>(row, column, rows, inputs, to);
                column += 3;
            }
            while column < self.columns.len() {
                self.tile::<S, R, 1>(row, column, rows, inputs, to);
                column += 1;
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const C: usize>(
        &self,
        row: usize,
        column: usize,
        rows: *const f32,
        inputs: *const f32,
        to: *mut f32,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[S::splat(0.0); C]; R];
            let mut from = [inputs; C];
            for c in 0..C {
                from[c] = inputs.add(self.columns[column + c]);
            }
            let rows = rows.add(row * self.row_stride);
            let mut position = 0;
            while position < self.positions {
                let mut left = [S::splat(0.0); R];
                for r in 0..R {
                    left[r] = S::load(rows.add(r * self.row_stride + position));
                }
                for c in 0..C {
                    let right = S::load(from[c].add(position));
                    for r in 0..R {
                        sums[r][c] = S::multiply_add(left[r], right, sums[r][c]);
                    }
                }
                position += S::LANES;
            }
            let mut lanes = Lanes([0.0; 24 * 16]);
            for r in 0..R {
                for c in 0..C {
                    S::store(lanes.0.as_mut_ptr().add((r * C + c) * S::LANES), sums[r][c]);
                }
            }
            let mut totals = [0.0; 24];
            for first in (0..R * C).step_by(8) {
                S::sum_8(lanes.0.as_ptr().add(first * S::LANES), totals.as_mut_ptr().add(first));
            }
            for r in 0..R {
                for c in 0..C {
                    *to.add((row + r) * self.columns.len() + column + c) += totals[r * C + c];
                }
            }
        }
    }
}
