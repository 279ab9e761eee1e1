//! The DSP instructions, and the same in plain Rust for other cores.
#![allow(unsafe_code)]

/// SXTB16: bytes 0 and 2 as signed halfwords.
#[inline(always)]
pub fn even(word: u32) -> u32 {
    #[cfg(goldcrest_dsp)]
    {
        let result;
        // SAFETY: reads and writes registers only.
        unsafe {
            core::arch::asm!("sxtb16 {0}, {1}", out(reg) result, in(reg) word, options(pure, nomem, nostack, preserves_flags));
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
            core::arch::asm!("sxtb16 {0}, {1}, ror #8", out(reg) result, in(reg) word, options(pure, nomem, nostack, preserves_flags));
        }
        result
    }
    #[cfg(not(goldcrest_dsp))]
    {
        even(word >> 8)
    }
}

/// SMLAD: `acc + a.low * b.low + a.high * b.high` on signed halfwords.
#[inline(always)]
pub fn multiply_add(acc: i32, a: u32, b: u32) -> i32 {
    #[cfg(goldcrest_dsp)]
    {
        let result;
        // SAFETY: reads and writes registers only; the Q flag it may set is never read.
        unsafe {
            core::arch::asm!(
                "smlad {0}, {1}, {2}, {3}", out(reg) result, in(reg) a, in(reg) b, in(reg) acc,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        result
    }
    #[cfg(not(goldcrest_dsp))]
    {
        let product =
            |shift: u32| i32::from((a >> shift) as i16).wrapping_mul(i32::from((b >> shift) as i16));
        acc.wrapping_add(product(0)).wrapping_add(product(16))
    }
}

#[cfg(not(goldcrest_dsp))]
fn halves(low: i8, high: i8) -> u32 {
    u32::from(i16::from(low) as u16) | (u32::from(i16::from(high) as u16) << 16)
}
