//! The inner loops of a depthwise convolution, over vectors that hold as many channels at one position.

use super::simd::Simd;
use super::turned::Pass;

/// Taps whose sums are kept in registers together.
const TAPS: usize = 9;

impl Pass {
    /// Makes all rows and columns.
    ///
    /// # Safety
    /// As for [`Simd`]; the planes must have the sizes the pass was made for.
    #[inline(always)]
    pub unsafe fn run<S: Simd>(&self, start: S::Vector, weights: *const f32, from: *const f32, to: *mut f32) {
        for row in 0..self.rows {
            // SAFETY: the caller's promise.
            unsafe {
                let from = from.add(self.from[0] + row * self.from[1]);
                let to = to.add(self.to[0] + row * self.to[1]);
                let mut column = 0;
                macro_rules! tiles {
                    ($($width:literal),+) => {
                        $(while self.columns - column >= $width {
                            let (from, to) = (from.add(column * self.from[2]), to.add(column * self.to[2]));
                            match self.from[2] / S::LANES {
                                1 => self.tile::<S, $width, 1>(start, weights, from, to),
                                2 => self.tile::<S, $width, 2>(start, weights, from, to),
                                _ => self.tile::<S, $width, 0>(start, weights, from, to),
                            }
                            column += $width;
                        })+
                    };
                }
                tiles!(8, 4, 2, 1);
            }
        }
    }

    /// `N` columns of a row; `STRIDE` vectors from one to the next, 0 if that is not a usual number.
    #[inline(always)]
    unsafe fn tile<S: Simd, const N: usize, const STRIDE: usize>(
        &self,
        start: S::Vector,
        weights: *const f32,
        from: *const f32,
        to: *mut f32,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let step = if STRIDE > 0 { STRIDE * S::LANES } else { self.from[2] };
            let mut sums = [start; N];
            for &(at, weight) in &self.taps {
                let (weight, from) = (S::load(weights.add(weight * S::LANES)), from.add(at));
                for (column, sum) in sums.iter_mut().enumerate() {
                    *sum = S::multiply_add(S::load(from.add(column * step)), weight, *sum);
                }
            }
            for (column, sum) in sums.iter().enumerate() {
                S::store(to.add(column * self.to[2]), *sum);
            }
        }
    }

    /// Adds the sums over all rows and columns of `dy * from[..]`, for each tap: the gradient of the weights.
    ///
    /// # Safety
    /// As for [`Pass::run`]; `dy_row` leads from row to row of `dy`, columns lie one after the other.
    #[inline(always)]
    pub unsafe fn sums<S: Simd>(&self, dy: *const f32, dy_row: usize, from: *const f32, sums: *mut f32) {
        let mut tap = 0;
        macro_rules! groups {
            ($($count:expr),+) => {
                $(while self.taps.len() - tap >= $count {
                    // SAFETY: the caller's promise.
                    unsafe { self.sums_of::<S, { $count }>(tap, dy, dy_row, from, sums) };
                    tap += $count;
                })+
            };
        }
        groups!(TAPS, 3, 1);
    }

    #[inline(always)]
    unsafe fn sums_of<S: Simd, const T: usize>(
        &self,
        first: usize,
        dy: *const f32,
        dy_row: usize,
        from: *const f32,
        sums: *mut f32,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut totals = [S::splat(0.0); T];
            let at: [usize; T] = std::array::from_fn(|tap| self.taps[first + tap].0);
            for row in 0..self.rows {
                let (dy, from) = (dy.add(row * dy_row), from.add(row * self.from[1]));
                for column in 0..self.columns {
                    let (dy, from) = (S::load(dy.add(column * S::LANES)), from.add(column * self.from[2]));
                    for (total, at) in totals.iter_mut().zip(at) {
                        *total = S::multiply_add(dy, S::load(from.add(at)), *total);
                    }
                }
            }
            for (tap, total) in totals.into_iter().enumerate() {
                let to = sums.add((first + tap) * S::LANES);
                S::store(to, S::multiply_add(total, S::splat(1.0), S::load(to)));
            }
        }
    }
}
