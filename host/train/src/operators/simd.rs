//! Vectors of floats, as wide as the processor has them.
//!
//! A kernel is written once over [`Simd`] and compiled for each width; [`Level`](super::level::Level) says
//! which one this processor runs. Every level rounds a product and its sum once (fused), so results differ
//! between levels only by the order of sums.

/// Vectors of one width.
///
/// # Safety
/// The functions may run only on a processor that has the level's instructions, and pointers must be
/// valid for [`Simd::LANES`] floats.
pub trait Simd {
    /// A vector.
    type Vector: Copy;
    /// Which lanes of a vector count.
    type Mask: Copy;
    /// Floats in a vector.
    const LANES: usize;

    unsafe fn splat(value: f32) -> Self::Vector;
    unsafe fn load(from: *const f32) -> Self::Vector;
    unsafe fn store(to: *mut f32, vector: Self::Vector);
    /// The mask whose lane `n` counts when bit `n` is set.
    unsafe fn mask(bits: u32) -> Self::Mask;
    /// Only lanes that count are read; the others are 0.
    unsafe fn load_masked(from: *const f32, mask: Self::Mask) -> Self::Vector;
    /// Only lanes that count are written.
    unsafe fn store_masked(to: *mut f32, mask: Self::Mask, vector: Self::Vector);
    /// The first `count` lanes, at most all of them; the others are 0.
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self::Vector {
        // SAFETY: the trait's contract; only lanes that count are touched.
        unsafe {
            match count < Self::LANES {
                true => Self::load_masked(from, Self::mask((1 << count) - 1)),
                false => Self::load(from),
            }
        }
    }

    /// Writes the first `count` lanes, at most all of them.
    #[inline(always)]
    unsafe fn store_first(to: *mut f32, count: usize, vector: Self::Vector) {
        // SAFETY: the trait's contract; only lanes that count are touched.
        unsafe {
            match count < Self::LANES {
                true => Self::store_masked(to, Self::mask((1 << count) - 1), vector),
                false => Self::store(to, vector),
            }
        }
    }

    /// `a * b + c`, rounded once.
    unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn subtract(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `value` where `sign` is above 0, else 0.
    unsafe fn where_positive(sign: Self::Vector, value: Self::Vector) -> Self::Vector;
    /// The larger one of each; `value` where it is not a number.
    unsafe fn at_least(floor: Self::Vector, value: Self::Vector) -> Self::Vector;
    /// The sums over the lanes of 8 vectors that lie one after the other: reads 8 * LANES floats, writes 8.
    unsafe fn sum_8(from: *const f32, to: *mut f32);
}

/// AVX-512 with its extensions of vector length, double words, bytes and words.
#[cfg(target_arch = "x86_64")]
pub struct Avx512;

#[cfg(target_arch = "x86_64")]
impl Simd for Avx512 {
    type Vector = std::arch::x86_64::__m512;
    type Mask = std::arch::x86_64::__mmask16;
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn mask(bits: u32) -> Self::Mask {
        bits as u16
    }

    #[inline(always)]
    unsafe fn load_masked(from: *const f32, mask: Self::Mask) -> Self::Vector {
        // SAFETY: the trait's contract.
        unsafe { std::arch::x86_64::_mm512_maskz_loadu_ps(mask, from) }
    }

    #[inline(always)]
    unsafe fn store_masked(to: *mut f32, mask: Self::Mask, vector: Self::Vector) {
        // SAFETY: the trait's contract.
        unsafe { std::arch::x86_64::_mm512_mask_storeu_ps(to, mask, vector) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::Vector {
        // SAFETY: the trait's contract.
        unsafe { std::arch::x86_64::_mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Vector {
        // SAFETY: the trait's contract.
        unsafe { std::arch::x86_64::_mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, vector: Self::Vector) {
        // SAFETY: the trait's contract.
        unsafe { std::arch::x86_64::_mm512_storeu_ps(to, vector) }
    }

    #[inline(always)]
    unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: the trait's contract.
        unsafe { std::arch::x86_64::_mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the trait's contract.
        unsafe { std::arch::x86_64::_mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn subtract(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the trait's contract.
        unsafe { std::arch::x86_64::_mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn where_positive(sign: Self::Vector, value: Self::Vector) -> Self::Vector {
        use std::arch::x86_64::{_CMP_GT_OQ, _mm512_cmp_ps_mask, _mm512_maskz_mov_ps};
        // SAFETY: the trait's contract.
        unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(sign, Self::splat(0.0)), value) }
    }

    #[inline(always)]
    unsafe fn at_least(floor: Self::Vector, value: Self::Vector) -> Self::Vector {
        // SAFETY: the trait's contract. The second operand is taken where one is not a number.
        unsafe { std::arch::x86_64::_mm512_max_ps(floor, value) }
    }

    #[inline(always)]
    unsafe fn sum_8(from: *const f32, to: *mut f32) {
        use std::arch::x86_64::{
            _mm256_add_ps, _mm256_castpd_ps, _mm512_castps_pd, _mm512_castps512_ps256, _mm512_extractf64x4_pd,
        };
        // SAFETY: the trait's contract.
        unsafe {
            let mut halves = [_mm512_castps512_ps256(Self::load(from)); 8];
            for (row, half) in halves.iter_mut().enumerate() {
                let vector = Self::load(from.add(row * Self::LANES));
                let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(vector)));
                *half = _mm256_add_ps(_mm512_castps512_ps256(vector), high);
            }
            Avx2::store(to, sums_of_8(halves));
        }
    }
}

/// AVX2 with FMA.
#[cfg(target_arch = "x86_64")]
pub struct Avx2;

#[cfg(target_arch = "x86_64")]
impl Simd for Avx2 {
    type Vector = std::arch::x86_64::__m256;
    type Mask = std::arch::x86_64::__m256i;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn mask(bits: u32) -> Self::Mask {
        use std::arch::x86_64::{_mm256_and_si256, _mm256_cmpeq_epi32, _mm256_set1_epi32, _mm256_setr_epi32};
        // SAFETY: the trait's contract.
        unsafe {
            let lanes = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(bits as i32), lanes), lanes)
        }
    }

    #[inline(always)]
    unsafe fn load_masked(from: *const f32, mask: Self::Mask) -> Self::Vector {
        // SAFETY: the trait's contract.
        unsafe { std::arch::x86_64::_mm256_maskload_ps(from, mask) }
    }

    #[inline(always)]
    unsafe fn store_masked(to: *mut f32, mask: Self::Mask, vector: Self::Vector) {
        // SAFETY: the trait's contract.
        unsafe { std::arch::x86_64::_mm256_maskstore_ps(to, mask, vector) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::Vector {
        // SAFETY: the trait's contract.
        unsafe { std::arch::x86_64::_mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Vector {
        // SAFETY: the trait's contract.
        unsafe { std::arch::x86_64::_mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, vector: Self::Vector) {
        // SAFETY: the trait's contract.
        unsafe { std::arch::x86_64::_mm256_storeu_ps(to, vector) }
    }

    #[inline(always)]
    unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: the trait's contract.
        unsafe { std::arch::x86_64::_mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the trait's contract.
        unsafe { std::arch::x86_64::_mm256_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn subtract(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the trait's contract.
        unsafe { std::arch::x86_64::_mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn where_positive(sign: Self::Vector, value: Self::Vector) -> Self::Vector {
        use std::arch::x86_64::{_CMP_GT_OQ, _mm256_and_ps, _mm256_cmp_ps};
        // SAFETY: the trait's contract.
        unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(sign, Self::splat(0.0)), value) }
    }

    #[inline(always)]
    unsafe fn at_least(floor: Self::Vector, value: Self::Vector) -> Self::Vector {
        // SAFETY: the trait's contract. The second operand is taken where one is not a number.
        unsafe { std::arch::x86_64::_mm256_max_ps(floor, value) }
    }

    #[inline(always)]
    unsafe fn sum_8(from: *const f32, to: *mut f32) {
        // SAFETY: the trait's contract.
        unsafe {
            let mut rows = [Self::load(from); 8];
            for (row, vector) in rows.iter_mut().enumerate() {
                *vector = Self::load(from.add(row * Self::LANES));
            }
            Self::store(to, sums_of_8(rows));
        }
    }
}

/// The sum of each of 8 vectors, in 8 lanes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn sums_of_8(rows: [std::arch::x86_64::__m256; 8]) -> std::arch::x86_64::__m256 {
    use std::arch::x86_64::{_mm256_add_ps, _mm256_hadd_ps, _mm256_permute2f128_ps};
    // SAFETY: the trait's contract.
    unsafe {
        let [a, b, c, d, e, f, g, h] = rows;
        let low = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
        let high = _mm256_hadd_ps(_mm256_hadd_ps(e, f), _mm256_hadd_ps(g, h));
        _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high))
    }
}

/// Plain Rust, for the compiler to vectorize.
pub struct Portable;

impl Simd for Portable {
    type Vector = [f32; 4];
    type Mask = [bool; 4];
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn mask(bits: u32) -> Self::Mask {
        std::array::from_fn(|lane| bits >> lane & 1 == 1)
    }

    #[inline(always)]
    unsafe fn load_masked(from: *const f32, mask: Self::Mask) -> Self::Vector {
        // SAFETY: the trait's contract; only lanes that count are touched.
        std::array::from_fn(|lane| if mask[lane] { unsafe { from.wrapping_add(lane).read() } } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn store_masked(to: *mut f32, mask: Self::Mask, vector: Self::Vector) {
        for lane in (0..4).filter(|&lane| mask[lane]) {
            // SAFETY: the trait's contract; only lanes that count are touched.
            unsafe { to.add(lane).write(vector[lane]) };
        }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::Vector {
        [value; 4]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Vector {
        // SAFETY: the trait's contract; an array of floats has the alignment of a float.
        unsafe { from.cast::<[f32; 4]>().read() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, vector: Self::Vector) {
        // SAFETY: the trait's contract; an array of floats has the alignment of a float.
        unsafe { to.cast::<[f32; 4]>().write(vector) }
    }

    #[inline(always)]
    unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }

    #[inline(always)]
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    unsafe fn subtract(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|lane| a[lane] - b[lane])
    }

    #[inline(always)]
    unsafe fn where_positive(sign: Self::Vector, value: Self::Vector) -> Self::Vector {
        std::array::from_fn(|lane| if sign[lane] > 0.0 { value[lane] } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn at_least(floor: Self::Vector, value: Self::Vector) -> Self::Vector {
        std::array::from_fn(|lane| if value[lane] < floor[lane] { floor[lane] } else { value[lane] })
    }

    #[inline(always)]
    unsafe fn sum_8(from: *const f32, to: *mut f32) {
        for row in 0..8 {
            // SAFETY: the trait's contract.
            unsafe { to.add(row).write(Self::load(from.add(row * Self::LANES)).iter().sum()) };
        }
    }
}
