//! The program without an application: what inference alone takes of a board.
//!
//! It checks the model in its slot, runs the model's golden vectors, tells over semihosting how many bytes
//! deep the stack went (8 hexadecimal digits) and exits with 0 when every logit was right. It holds the
//! startup code, the image reader, the engine and its kernels, and nothing else, so its size is theirs.

use goldcrest_engine::{Engine, Image};
use semihosting::sys::arm_compat::sys_writec;

use super::memory::Memory;
use crate::app::Stack;
use crate::kernels::KERNELS;

/// Runs the golden vectors and ends the emulator.
pub fn run() -> ! {
    // SAFETY: called once, by the entry point, before anything else looks at free memory.
    let Memory { slots: [slot, _], arena, stack, .. } = unsafe { Memory::take(0) };
    // SAFETY: this program writes no slot.
    let slot = unsafe { slot.bytes() };
    let good = check(slot, arena) && !stack.overflowed();
    let used = stack.used();
    for digit in (0..8).rev().map(|digit| (used >> (4 * digit)) as u8 & 15) {
        sys_writec(if digit < 10 { b'0' + digit } else { b'a' - 10 + digit });
    }
    semihosting::process::exit(i32::from(!good))
}

/// Whether the slot holds a model that gives the right logits for every golden vector, of which it has
/// at least one.
#[inline(never)]
fn check(slot: &[u8], arena: &mut [u32]) -> bool {
    let Ok(image) = Image::new_checked(slot, KERNELS) else {
        return false;
    };
    let Ok(mut engine) = Engine::new(&image, arena) else {
        return false;
    };
    let mut vectors = image.golden().peekable();
    vectors.peek().is_some()
        && vectors.all(|(pixels, logits)| {
            let loaded = engine.load_pixels(pixels).is_ok();
            section(FIRST_LAYER);
            let found = engine.run_traced(&mut |layer, _| section(FIRST_LAYER + 1 + layer));
            let same = found == logits;
            section(OTHER);
            loaded && same
        })
}

/// Everything but inference.
const OTHER: usize = 0;
/// The first layer; the others follow.
const FIRST_LAYER: usize = 1;

#[cfg(not(feature = "sections"))]
fn section(_: usize) {}

/// Tells an emulator's plugin that section `id`, at most 63, begins. Hints that cores take for a NOP.
#[cfg(all(feature = "sections", target_arch = "arm"))]
fn section(id: usize) {
    #[unsafe(naked)]
    unsafe extern "C" fn mark(id: usize) {
        core::arch::naked_asm!(
            "adr r1, 2f",
            "add r1, r1, r0, lsl #3",
            "adds r1, #1",
            "bx r1",
            ".balign 4",
            "2:",
            ".set id, 0",
            ".rept 64",
            ".inst.w 0xf3af8040 + id",
            "bx lr",
            "nop",
            ".set id, id + 1",
            ".endr",
        )
    }
    // SAFETY: 64 entries of 8 bytes stand behind the jump, each one hint and a return.
    unsafe { mark(id.min(63)) }
}
