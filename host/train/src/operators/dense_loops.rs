//! The inner loops of a convolution of channels in lanes with channels in lanes.

#![expect(clippy::needless_range_loop, reason = "blocks of registers are indexed by their constant sizes")]

use super::simd::Simd;
use super::turned::Pass;

/// Vectors of channels that are made together, at most.
pub const GROUPS: usize = 4;

impl Pass {
    /// Splits vectors of channels into groups to be made together: the first and the count of each. Long rows
    /// make sums enough for two.
    pub fn groups(&self, vectors: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let most = if self.columns < 8 { GROUPS } else { 2 };
        let mut first = 0;
        std::iter::from_fn(move || {
            let count = [most, 2, 1].into_iter().find(|&count| count <= vectors - first)?;
            first += count;
            Some((first - count, count))
        })
    }

    /// Makes `count` vectors of channels (4, 2 or 1) at all positions of the pass, from all numbers of the
    /// input.
    ///
    /// `from` is the first plane, the distance between planes, and the number of channels in them; `to` the
    /// first plane and the distance. `weights` holds `count` vectors for each block of channels, tap and
    /// channel in this order; `start` one each.
    ///
    /// # Safety
    /// As for [`Simd`]; the planes must have the sizes the pass was made for.
    #[inline(always)]
    pub unsafe fn multiply<S: Simd>(
        &self,
        count: usize,
        start: *const f32,
        weights: *const f32,
        from: (*const f32, usize, usize),
        to: (*mut f32, usize),
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            match count {
                4 => self.at_stride::<S, 4>(start, weights, from, to),
                2 => self.at_stride::<S, 2>(start, weights, from, to),
                _ => self.at_stride::<S, 1>(start, weights, from, to),
            }
        }
    }

    /// With a constant distance from column to column, where it is a usual one.
    #[inline(always)]
    unsafe fn at_stride<S: Simd, const M: usize>(
        &self,
        start: *const f32,
        weights: *const f32,
        from: (*const f32, usize, usize),
        to: (*mut f32, usize),
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.from[2] / S::LANES {
                1 => self.rows::<S, M, 1>(start, weights, from, to),
                2 => self.rows::<S, M, 2>(start, weights, from, to),
                _ => self.rows::<S, M, 0>(start, weights, from, to),
            }
        }
    }

    #[inline(always)]
    unsafe fn rows<S: Simd, const M: usize, const STRIDE: usize>(
        &self,
        start: *const f32,
        weights: *const f32,
        from: (*const f32, usize, usize),
        to: (*mut f32, usize),
    ) {
        for row in 0..self.rows {
            let mut column = 0;
            macro_rules! tiles {
                ($($width:literal if $fits:expr),+) => {
                    $(while $fits && self.columns - column >= $width {
                        // SAFETY: the caller's promise.
                        unsafe {
                            let at = self.from[0] + row * self.from[1] + column * self.from[2];
                            let to_at = self.to[0] + row * self.to[1] + column * self.to[2];
                            let (from, to) = ((from.0.add(at), from.1, from.2), (to.0.add(to_at), to.1));
                            self.square::<S, M, $width, STRIDE>(start, weights, from, to);
                        }
                        column += $width;
                    })+
                };
            }
            // As many sums as there are registers for, twice as many with 32 of them.
            let wide = S::LANES == 16;
            tiles!(
                16 if wide && M == 1,
                8 if (wide && M <= 2) || M == 1,
                6 if wide && M <= 4,
                4 if wide || M <= 2,
                2 if true,
                1 if true
            );
        }
    }

    /// `M` vectors of channels at `N` columns of a row.
    #[inline(always)]
    unsafe fn square<S: Simd, const M: usize, const N: usize, const STRIDE: usize>(
        &self,
        start: *const f32,
        mut weights: *const f32,
        (from, plane, channels): (*const f32, usize, usize),
        (to, to_plane): (*mut f32, usize),
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let step = if STRIDE > 0 { STRIDE * S::LANES } else { self.from[2] };
            let mut sums = [[S::splat(0.0); N]; M];
            for (m, sums) in sums.iter_mut().enumerate() {
                *sums = [S::load(start.add(m * S::LANES)); N];
            }
            for block in 0..channels.div_ceil(S::LANES) {
                let count = S::LANES.min(channels - block * S::LANES);
                for &(at, _) in &self.taps {
                    let from = from.add(block * plane + at);
                    for channel in 0..count {
                        let from = from.add(channel);
                        let mut vectors = [S::splat(0.0); M];
                        for (m, vector) in vectors.iter_mut().enumerate() {
                            *vector = S::load(weights.add(m * S::LANES));
                        }
                        for n in 0..N {
                            let number = S::splat(*from.add(n * step));
                            for m in 0..M {
                                sums[m][n] = S::multiply_add(number, vectors[m], sums[m][n]);
                            }
                        }
                        weights = weights.add(M * S::LANES);
                    }
                }
            }
            for (m, sums) in sums.iter().enumerate() {
                for (n, sum) in sums.iter().enumerate() {
                    S::store(to.add(m * to_plane + n * self.to[2]), *sum);
                }
            }
        }
    }

    /// Adds to `sums[tap][input][output]` the products of each number of `from` with `dy` at the positions
    /// that the tap leads to: the gradient of the weights.
    ///
    /// `dy` is the first position of the first plane, the distance between planes, and from row to row;
    /// `from` as for [`Pass::multiply`].
    ///
    /// # Safety
    /// As for [`Pass::multiply`].
    #[inline(always)]
    pub unsafe fn products<S: Simd>(
        &self,
        outputs: usize,
        (dy, dy_plane, dy_row): (*const f32, usize, usize),
        (from, plane, inputs): (*const f32, usize, usize),
        sums: *mut f32,
    ) {
        let mut output = 0;
        while output < outputs {
            let pair = outputs - output >= 2 * S::LANES;
            for (tap, &(at, _)) in self.taps.iter().enumerate() {
                let mut input = 0;
                while input < inputs {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let (block, lane) = (input / S::LANES, input % S::LANES);
                        let left = S::LANES.min(inputs - block * S::LANES) - lane;
                        let from = from.add(block * plane + at + lane);
                        let dy = (dy.add(output / S::LANES * dy_plane), dy_plane, dy_row);
                        let sums = sums.add((tap * inputs + input) * outputs + output);
                        macro_rules! widths {
                            ($($m:literal, $k:literal if $fits:expr);+) => {
                                $(if $fits && left >= $k {
                                    self.sums_with::<S, $m, $k>(outputs, dy, from, sums);
                                    input += $k;
                                    continue;
                                })+
                            };
                        }
                        let wide = S::LANES == 16;
                        widths!(
                            2, 8 if pair && wide;
                            2, 4 if pair;
                            2, 1 if pair;
                            1, 16 if wide;
                            1, 8 if true;
                            1, 3 if true;
                            1, 1 if true
                        );
                    }
                }
            }
            output += if pair { 2 * S::LANES } else { S::LANES };
        }
    }

    /// `M` vectors of outputs, `K` inputs.
    #[inline(always)]
    unsafe fn sums_with<S: Simd, const M: usize, const K: usize>(
        &self,
        outputs: usize,
        (dy, dy_plane, dy_row): (*const f32, usize, usize),
        from: *const f32,
        to: *mut f32,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[S::splat(0.0); M]; K];
            for row in 0..self.rows {
                let (dy, from) = (dy.add(row * dy_row), from.add(row * self.from[1]));
                for column in 0..self.columns {
                    let (dy, from) = (dy.add(column * S::LANES), from.add(column * self.from[2]));
                    let mut vectors = [S::splat(0.0); M];
                    for (m, vector) in vectors.iter_mut().enumerate() {
                        *vector = S::load(dy.add(m * dy_plane));
                    }
                    for k in 0..K {
                        let number = S::splat(*from.add(k));
                        for m in 0..M {
                            sums[k][m] = S::multiply_add(number, vectors[m], sums[k][m]);
                        }
                    }
                }
            }
            for (k, sums) in sums.iter().enumerate() {
                for (m, sum) in sums.iter().enumerate() {
                    let to = to.add(k * outputs + m * S::LANES);
                    S::store(to, S::add(S::load(to), *sum));
                }
            }
        }
    }
}
