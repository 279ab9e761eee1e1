//! Depthwise 3x3 convolutions with stride 1, on images where they lie: rows are short, and so few products
//! belong to each value that laying planes out would take longer than the convolution.
//!
//! A row is a few vectors; masks keep loads inside of it, so that padding is zeros that are never stored.

#[cfg(target_arch = "x86_64")]
use super::simd::{Avx2, Avx512};
use super::simd::{Level, Portable, Simd};

/// Rows and columns of a kernel.
const SIDE: usize = 3;
/// Values of a kernel.
pub const TAPS: usize = SIDE * SIDE;

/// One channel's sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Rows and columns that are read.
    pub from: [usize; 2],
    /// Rows and columns that are written.
    pub to: [usize; 2],
    /// Zeros before the first row and column.
    pub padding: [usize; 2],
}

impl Plane {
    /// The plane that takes gradients back: with the kernel turned around, it is a convolution too.
    pub fn reversed(&self) -> Option<Self> {
        let padding = [(SIDE - 1).checked_sub(self.padding[0])?, (SIDE - 1).checked_sub(self.padding[1])?];
        Some(Self { from: self.to, to: self.from, padding })
    }

    /// `to[r][c] = bias + sum of kernel[i][j] * from[r + i - padding][c + j - padding]`
    pub fn convolve(&self, level: Level, from: &[f32], kernel: &[f32; TAPS], bias: f32, to: &mut [f32]) {
        assert_eq!([from.len(), to.len()], [self.from, self.to].map(|[rows, columns]| rows * columns));
        // SAFETY: `detect` found the level's instructions; the slices have the plane's sizes.
        unsafe {
            match level {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => self.convolve_avx512(from.as_ptr(), kernel, bias, to.as_mut_ptr()),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => self.convolve_avx2(from.as_ptr(), kernel, bias, to.as_mut_ptr()),
                Level::Portable => {
                    self.convolve_with::<Portable>(from.as_ptr(), kernel, bias, to.as_mut_ptr())
                }
            }
        }
    }

    /// Adds the gradients of the kernel over many images of one channel: `sums[i][j] += sum of dy[r][c] *
    /// x[r + i - padding][c + j - padding]`. The channel of an image begins every `strides` values, of `dy` and
    /// of `x`.
    pub fn correlate(
        &self,
        level: Level,
        [dy, x]: [&[f32]; 2],
        strides: [usize; 2],
        images: usize,
        sums: &mut [f32; TAPS],
    ) {
        let length = |stride: usize, [rows, columns]: [usize; 2]| (images - 1) * stride + rows * columns;
        assert!(dy.len() >= length(strides[0], self.to) && x.len() >= length(strides[1], self.from));
        let pointers = [dy.as_ptr(), x.as_ptr()];
        // SAFETY: `detect` found the level's instructions; the slices hold all images.
        unsafe {
            match level {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => self.correlate_avx512(pointers, strides, images, sums),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => self.correlate_avx2(pointers, strides, images, sums),
                Level::Portable => self.correlate_with::<Portable>(pointers, strides, images, sums),
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
    unsafe fn convolve_avx512(&self, from: *const f32, kernel: &[f32; TAPS], bias: f32, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { self.convolve_with::<Avx512>(from, kernel, bias, to) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn convolve_avx2(&self, from: *const f32, kernel: &[f32; TAPS], bias: f32, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { self.convolve_with::<Avx2>(from, kernel, bias, to) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
    unsafe fn correlate_avx512(
        &self,
        pointers: [*const f32; 2],
        strides: [usize; 2],
        images: usize,
        sums: &mut [f32; TAPS],
    ) {
        // SAFETY: the caller's promise.
        unsafe { self.correlate_with::<Avx512>(pointers, strides, images, sums) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn correlate_avx2(
        &self,
        pointers: [*const f32; 2],
        strides: [usize; 2],
        images: usize,
        sums: &mut [f32; TAPS],
    ) {
        // SAFETY: the caller's promise.
        unsafe { self.correlate_with::<Avx2>(pointers, strides, images, sums) }
    }

    /// Of the lanes that write columns `first..`: those inside the output, and for each kernel column those
    /// that read inside the input.
    #[inline(always)]
    unsafe fn masks<S: Simd>(&self, first: usize) -> (S::Mask, [S::Mask; SIDE]) {
        let lanes = |count: usize| if count >= 32 { u32::MAX } else { (1 << count) - 1 };
        let inside = lanes(self.to[1] - first);
        let reads = |j: usize| {
            let before = self.padding[1].saturating_sub(first + j);
            let until = (self.from[1] + self.padding[1]).saturating_sub(first + j);
            inside & lanes(until) & !lanes(before)
        };
        // SAFETY: the caller's promise.
        unsafe { (S::mask(inside), [S::mask(reads(0)), S::mask(reads(1)), S::mask(reads(2))]) }
    }

    /// The input row that output row `row` reads with kernel row `i`.
    #[inline(always)]
    fn row(&self, row: usize, i: usize) -> Option<usize> {
        (row + i).checked_sub(self.padding[0]).filter(|&row| row < self.from[0])
    }

    #[inline(always)]
    unsafe fn convolve_with<S: Simd>(&self, from: *const f32, kernel: &[f32; TAPS], bias: f32, to: *mut f32) {
        // SAFETY: the caller's promise; masks keep all accesses inside the rows.
        unsafe {
            let kernel = kernel.map(|value| S::splat(value));
            for first in (0..self.to[1]).step_by(S::LANES) {
                let (inside, reads) = self.masks::<S>(first);
                for row in 0..self.to[0] {
                    let mut sums = [S::splat(bias), S::splat(0.0), S::splat(0.0)];
                    for i in 0..SIDE {
                        let Some(source) = self.row(row, i) else { continue };
                        let from = from.wrapping_add(source * self.from[1] + first);
                        for j in 0..SIDE {
                            let from = from.wrapping_add(j).wrapping_sub(self.padding[1]);
                            let value = S::load_masked(from, reads[j]);
                            sums[j] = S::multiply_add(value, kernel[i * SIDE + j], sums[j]);
                        }
                    }
                    let one = S::splat(1.0);
                    let sum = S::multiply_add(sums[0], one, S::multiply_add(sums[1], one, sums[2]));
                    S::store_masked(to.add(row * self.to[1] + first), inside, sum);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn correlate_with<S: Simd>(
        &self,
        [dy, x]: [*const f32; 2],
        strides: [usize; 2],
        images: usize,
        totals: &mut [f32; TAPS],
    ) {
        // SAFETY: the caller's promise; masks keep all accesses inside the rows.
        unsafe {
            let mut sums = [S::splat(0.0); TAPS];
            for first in (0..self.to[1]).step_by(S::LANES) {
                let (inside, reads) = self.masks::<S>(first);
                for image in 0..images {
                    let (dy, x) = (dy.add(image * strides[0]), x.add(image * strides[1]));
                    for row in 0..self.to[0] {
                        let dy = S::load_masked(dy.add(row * self.to[1] + first), inside);
                        for i in 0..SIDE {
                            let Some(source) = self.row(row, i) else { continue };
                            let from = x.wrapping_add(source * self.from[1] + first);
                            for j in 0..SIDE {
                                let from = from.wrapping_add(j).wrapping_sub(self.padding[1]);
                                let value = S::load_masked(from, reads[j]);
                                sums[i * SIDE + j] = S::multiply_add(dy, value, sums[i * SIDE + j]);
                            }
                        }
                    }
                }
            }
            let mut lanes = [0.0; 16 * 16];
            for (tap, sum) in sums.iter().enumerate() {
                S::store(lanes.as_mut_ptr().add(tap * S::LANES), *sum);
            }
            for (total, lanes) in totals.iter_mut().zip(lanes.chunks_exact(S::LANES)) {
                *total += lanes.iter().sum::<f32>();
            }
        }
    }
}
