//! What stands for a board here: a camera, a clock, and a console, without `core::fmt` and its code.
#![no_std]

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use semihosting::sys::arm_compat::sys_writec;

/// The picture of a camera with a number: noise, which reaches every value (SplitMix64).
pub fn capture(mut number: u64, pixels: &mut [u8]) {
    for pixel in pixels {
        number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = number;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        *pixel = (bits ^ (bits >> 31)) as u8;
    }
}

/// Starts a clock of 25 MHz that counts down from 2^24.
pub fn start_clock(clock: &mut SYST) {
    clock.set_clock_source(SystClkSource::Core);
    clock.set_reload((1 << 24) - 1);
    clock.clear_current();
    clock.enable_counter();
}

/// Instructions that `work` takes, at 256 ns each: exact in the emulator, up to 2.6 million.
pub fn instructions(work: impl FnOnce()) -> u32 {
    let before = SYST::get_current();
    work();
    let ticks = before.wrapping_sub(SYST::get_current()) & 0xff_ffff;
    ticks * 40 / 256
}

/// Writes text.
pub fn say(text: &str) {
    text.bytes().for_each(sys_writec);
}

/// Writes a number.
pub fn say_number(number: i32) {
    if number < 0 {
        sys_writec(b'-');
    }
    let mut rest = number.unsigned_abs();
    let mut digits = [b'0'; 10];
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
        length += 1;
        if rest == 0 {
            break;
        }
    }
    digits.iter().skip(10 - length).copied().for_each(sys_writec);
}

/// Writes what a model says: `NAME class LABEL logits 1 2 3`.
pub fn say_answer(name: &str, label: &str, logits: &[i8]) {
    for text in [name, " ", label, " logits"] {
        say(text);
    }
    for &logit in logits {
        say(" ");
        say_number(logit.into());
    }
    say("\n");
}

/// Ends the emulator.
pub fn exit(code: i32) -> ! {
    semihosting::process::exit(code)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(101)
}
