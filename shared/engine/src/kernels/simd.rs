//! Four values at a time: loads and stores of words, the DSP instructions, and the same in plain Rust
//! for other cores.
#![allow(unsafe_code)]

use core::cell::Cell;

#[cfg(not(goldcrest_dsp))]
use crate::engine::part;

/// Four values from `at` on as a word, at any alignment; 0 beyond the end.
#[inline(always)]
pub fn load(values: &[Cell<i8>], at: usize) -> u32 {
    match values.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        Some([a, b, c, d]) => {
            u32::from_le_bytes([a.get() as u8, b.get() as u8, c.get() as u8, d.get() as u8])
        }
        None => 0,
    }
}

/// Writes four values from `at` on, at any alignment; nothing beyond the end.
#[inline(always)]
pub fn store(values: &[Cell<i8>], at: usize, word: u32) {
    if let Some(target) = values.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        target.iter().zip(word.to_le_bytes()).for_each(|(to, byte)| to.set(byte as i8));
    }
}

/// `values[at]`, or zero when that is out of range: see [`part`].
#[cfg(not(goldcrest_dsp))]
#[inline]
pub fn get<T: Copy + Default>(values: &[Cell<T>], at: usize) -> T {
    part(values, at, 1).first().map(Cell::get).unwrap_or_default()
}

/// `values[at] = value`, or nothing when that is out of range: see [`part`].
#[cfg(not(goldcrest_dsp))]
#[inline]
pub fn set<T>(values: &[Cell<T>], at: usize, value: T) {
    if let Some(place) = part(values, at, 1).first() {
        place.set(value);
    }
}

/// The greater of each pair of signed bytes (SSUB8, SEL).
#[inline(always)]
pub fn max(a: u32, b: u32) -> u32 {
    #[cfg(goldcrest_dsp)]
    {
        let result;
        // SAFETY: reads and writes registers and the GE flags only.
        unsafe {
            core::arch::asm!(
                "ssub8 {0}, {1}, {2}", "sel {0}, {1}, {2}", out(reg) result, in(reg) a, in(reg) b,
                options(pure, nomem, nostack)
            );
        }
        result
    }
    #[cfg(not(goldcrest_dsp))]
    {
        let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
        u32::from_le_bytes([0, 1, 2, 3].map(|byte: usize| (a[byte] as i8).max(b[byte] as i8) as u8))
    }
}

/// The smaller of each pair of signed bytes (SSUB8, SEL).
#[inline(always)]
pub fn min(a: u32, b: u32) -> u32 {
    // Of two values, the sum without the greater one is the smaller one.
    a ^ b ^ max(a, b)
}

/// Adds bytes 0 and 2, sign-extended, to two halfwords, as SXTAB16 does.
#[cfg(not(goldcrest_dsp))]
pub fn add_even(sums: u32, word: u32) -> u32 {
    add_halves(sums, even(word))
}

/// Adds bytes 1 and 3, sign-extended, to two halfwords, as SXTAB16 with rotation does.
#[cfg(not(goldcrest_dsp))]
pub fn add_odd(sums: u32, word: u32) -> u32 {
    add_halves(sums, odd(word))
}

/// The sums of two halfwords, as SADD16 gives them.
#[cfg(not(goldcrest_dsp))]
pub fn add_halves(a: u32, b: u32) -> u32 {
    let high = (a >> 16).wrapping_add(b >> 16) << 16;
    high | (a.wrapping_add(b) & 0xffff)
}

/// The differences of two halfwords, as SSUB16 gives them.
#[cfg(not(goldcrest_dsp))]
pub fn subtract_halves(a: u32, b: u32) -> u32 {
    let high = (a >> 16).wrapping_sub(b >> 16) << 16;
    high | (a.wrapping_sub(b) & 0xffff)
}

/// The low and the high signed halfword.
#[inline(always)]
pub fn halfwords(word: u32) -> [i32; 2] {
    [i32::from(word as i16), (word as i32) >> 16]
}

/// Four values from their words, lowest byte first.
#[inline(always)]
pub fn pack(values: [i8; 4]) -> u32 {
    u32::from_le_bytes(values.map(|value| value as u8))
}

/// The four signed values of a word.
#[inline(always)]
pub fn unpack(word: u32) -> [i32; 4] {
    word.to_le_bytes().map(|byte| i32::from(byte as i8))
}

/// SXTB16: bytes 0 and 2 as signed halfwords.
#[inline(always)]
pub fn even(word: u32) -> u32 {
    #[cfg(goldcrest_dsp)]
    {
        let result;
        // SAFETY: reads and writes registers only.
        unsafe {
            core::arch::asm!(
                "sxtb16 {0}, {1}", out(reg) result, in(reg) word,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        result
    }
    #[cfg(not(goldcrest_dsp))]
    {
        let [low, _, high, _] = word.to_le_bytes();
        halves(low as i8, high as i8)
    }
}

/// SXTB16 with rotation: bytes 1 and 3 as signed halfwords.
#[inline(always)]
pub fn odd(word: u32) -> u32 {
    #[cfg(goldcrest_dsp)]
    {
        let result;
        // SAFETY: reads and writes registers only.
        unsafe {
            core::arch::asm!(
                "sxtb16 {0}, {1}, ror #8", out(reg) result, in(reg) word,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        result
    }
    #[cfg(not(goldcrest_dsp))]
    {
        even(word >> 8)
    }
}

/// `acc + a.low * b.low + a.high * b.high` on signed halfwords, as SMLAD does.
#[cfg(not(goldcrest_dsp))]
#[inline(always)]
pub fn multiply_add(acc: i32, a: u32, b: u32) -> i32 {
    let product = |shift: u32| i32::from((a >> shift) as i16).wrapping_mul(i32::from((b >> shift) as i16));
    acc.wrapping_add(product(0)).wrapping_add(product(16))
}

#[cfg(not(goldcrest_dsp))]
fn halves(low: i8, high: i8) -> u32 {
    u32::from(i16::from(low) as u16) | (u32::from(i16::from(high) as u16) << 16)
}
