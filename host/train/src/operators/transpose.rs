//! Squares of floats, turned so that rows become columns.
//!
//! Channels of an image lie one after the other. Turned in squares of a vector's size, the values of as many
//! channels at one position lie in one vector, and back.

#[cfg(target_arch = "x86_64")]
use super::simd::{Avx2, Avx512};
use super::simd::{Portable, Simd};

/// Vectors that can be turned.
pub trait Transpose: Simd {
    /// Reads a vector at each distance `from_at` from `from`, at most [`Simd::LANES`] of them and only their
    /// first `read` lanes; the rest is 0. Writes lane `n` of all of them as one vector at `to_at[n]` from
    /// `to`, only the first `write` lanes.
    ///
    /// # Safety
    /// As for [`Simd`]; all places whose lanes count must be valid.
    unsafe fn transpose(
        from: *const f32,
        from_at: &[usize],
        read: usize,
        to: *mut f32,
        to_at: &[usize],
        write: usize,
    );
}

/// The first `read` lanes of the vectors at distances `at` from `from`. A whole square stays in registers.
///
/// # Safety
/// As for [`Transpose::transpose`].
#[inline(always)]
unsafe fn load_rows<S: Simd, const N: usize>(from: *const f32, at: &[usize], read: usize) -> [S::Vector; N] {
    // SAFETY: the trait's contract.
    unsafe {
        let mut rows = [S::splat(0.0); N];
        match at.first_chunk::<N>() {
            Some(at) if read >= N => {
                for (row, at) in rows.iter_mut().zip(at) {
                    *row = S::load(from.wrapping_add(*at));
                }
            }
            _ => {
                for (row, at) in rows.iter_mut().zip(at) {
                    *row = S::load_first(from.wrapping_add(*at), read);
                }
            }
        }
        rows
    }
}

/// Writes the first `write` lanes of each vector at its distance from `to`.
///
/// # Safety
/// As for [`Transpose::transpose`].
#[inline(always)]
unsafe fn store_columns<S: Simd, const N: usize>(
    columns: [S::Vector; N],
    to: *mut f32,
    at: &[usize],
    write: usize,
) {
    // SAFETY: the trait's contract.
    unsafe {
        match at.first_chunk::<N>() {
            Some(at) if write >= N => {
                for (column, at) in columns.iter().zip(at) {
                    S::store(to.wrapping_add(*at), *column);
                }
            }
            _ => {
                for (column, at) in columns.iter().zip(at) {
                    S::store_first(to.wrapping_add(*at), write, *column);
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Transpose for Avx512 {
    #[inline(always)]
    unsafe fn transpose(
        from: *const f32,
        from_at: &[usize],
        read: usize,
        to: *mut f32,
        to_at: &[usize],
        write: usize,
    ) {
        use std::arch::x86_64::{
            _mm512_castpd_ps, _mm512_castps_pd, _mm512_shuffle_f32x4, _mm512_unpackhi_pd, _mm512_unpackhi_ps,
            _mm512_unpacklo_pd, _mm512_unpacklo_ps,
        };
        // SAFETY: the trait's contract.
        unsafe {
            let rows = load_rows::<Self, 16>(from, from_at, read);
            // Columns 4 * n + c of rows 4 * g.. are quarter n of fours[c][g].
            let mut fours = [[Self::splat(0.0); 4]; 4];
            for g in 0..4 {
                let [a, b, c, d] = [rows[4 * g], rows[4 * g + 1], rows[4 * g + 2], rows[4 * g + 3]];
                let (low, high) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
                let (low, high) = (_mm512_castps_pd(low), _mm512_castps_pd(high));
                fours[0][g] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
                fours[1][g] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
                let (low, high) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
                let (low, high) = (_mm512_castps_pd(low), _mm512_castps_pd(high));
                fours[2][g] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
                fours[3][g] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
            }
            let mut columns = [Self::splat(0.0); 16];
            for (c, [a, b, d, e]) in fours.into_iter().enumerate() {
                let even = [_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0x88>(d, e)];
                let odd = [_mm512_shuffle_f32x4::<0xdd>(a, b), _mm512_shuffle_f32x4::<0xdd>(d, e)];
                columns[c] = _mm512_shuffle_f32x4::<0x88>(even[0], even[1]);
                columns[4 + c] = _mm512_shuffle_f32x4::<0x88>(odd[0], odd[1]);
                columns[8 + c] = _mm512_shuffle_f32x4::<0xdd>(even[0], even[1]);
                columns[12 + c] = _mm512_shuffle_f32x4::<0xdd>(odd[0], odd[1]);
            }
            store_columns::<Self, 16>(columns, to, to_at, write);
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Transpose for Avx2 {
    #[inline(always)]
    unsafe fn transpose(
        from: *const f32,
        from_at: &[usize],
        read: usize,
        to: *mut f32,
        to_at: &[usize],
        write: usize,
    ) {
        use std::arch::x86_64::{
            _mm256_castpd_ps, _mm256_castps_pd, _mm256_permute2f128_ps, _mm256_unpackhi_pd,
            _mm256_unpackhi_ps, _mm256_unpacklo_pd, _mm256_unpacklo_ps,
        };
        // SAFETY: the trait's contract.
        unsafe {
            let rows = load_rows::<Self, 8>(from, from_at, read);
            // Columns 4 * n + c of rows 4 * g.. are half n of fours[c][g].
            let mut fours = [[Self::splat(0.0); 2]; 4];
            for g in 0..2 {
                let [a, b, c, d] = [rows[4 * g], rows[4 * g + 1], rows[4 * g + 2], rows[4 * g + 3]];
                let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
                let (low, high) = (_mm256_castps_pd(low), _mm256_castps_pd(high));
                fours[0][g] = _mm256_castpd_ps(_mm256_unpacklo_pd(low, high));
                fours[1][g] = _mm256_castpd_ps(_mm256_unpackhi_pd(low, high));
                let (low, high) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
                let (low, high) = (_mm256_castps_pd(low), _mm256_castps_pd(high));
                fours[2][g] = _mm256_castpd_ps(_mm256_unpacklo_pd(low, high));
                fours[3][g] = _mm256_castpd_ps(_mm256_unpackhi_pd(low, high));
            }
            let mut columns = [Self::splat(0.0); 8];
            for (c, [a, b]) in fours.into_iter().enumerate() {
                columns[c] = _mm256_permute2f128_ps::<0x20>(a, b);
                columns[4 + c] = _mm256_permute2f128_ps::<0x31>(a, b);
            }
            store_columns::<Self, 8>(columns, to, to_at, write);
        }
    }
}

impl Transpose for Portable {
    #[inline(always)]
    unsafe fn transpose(
        from: *const f32,
        from_at: &[usize],
        read: usize,
        to: *mut f32,
        to_at: &[usize],
        write: usize,
    ) {
        // SAFETY: the trait's contract.
        unsafe {
            let rows = load_rows::<Self, 4>(from, from_at, read);
            let columns = std::array::from_fn(|column| rows.map(|row| row[column]));
            store_columns::<Self, 4>(columns, to, to_at, write);
        }
    }
}
