//! The inner loops of a depthwise convolution, over vectors that hold as many channels at one position.

use super::transpose::Transpose;

/// Taps whose sums are kept in registers together.
const TAPS: usize = 9;

/// `to[r][c] = start + sum of weights[w] * from[r][c + at]` over `(at, w)` in `taps`; distances in floats.
#[derive(Clone, Debug)]
pub struct Pass {
    pub rows: usize,
    pub columns: usize,
    /// First position, from row to row, from column to column.
    pub from: [usize; 3],
    pub to: [usize; 3],
    pub taps: Vec<(usize, usize)>,
}

impl Pass {
    /// Makes all rows and columns.
    ///
    /// # Safety
    /// As for [`Transpose`]; the planes must have the sizes the pass was made for.
    #[inline(always)]
    pub unsafe fn run<S: Transpose>(
        &self,
        start: S::Vector,
        weights: *const f32,
        from: *const f32,
        to: *mut f32,
    ) {
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
                            self.tile::<S, $width>(start, weights, from, to);
                            column += $width;
                        })+
                    };
                }
                tiles!(8, 4, 2, 1);
            }
        }
    }

    /// `N` columns of a row.
    #[inline(always)]
    unsafe fn tile<S: Transpose, const N: usize>(
        &self,
        start: S::Vector,
        weights: *const f32,
        from: *const f32,
        to: *mut f32,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [start; N];
            for &(at, weight) in &self.taps {
                let (weight, from) = (S::load(weights.add(weight * S::LANES)), from.add(at));
                for (column, sum) in sums.iter_mut().enumerate() {
                    *sum = S::multiply_add(S::load(from.add(column * self.from[2])), weight, *sum);
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
    pub unsafe fn sums<S: Transpose>(&self, dy: *const f32, dy_row: usize, from: *const f32, sums: *mut f32) {
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
    unsafe fn sums_of<S: Transpose, const T: usize>(
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
