//! Work of a known number of instructions, to hold the stopwatch against.

use core::arch::asm;

/// A loop of two instructions per round.
#[inline(never)]
pub fn rounds(rounds: u32) {
    #[cfg(target_arch = "arm")]
    // SAFETY: counts a register down; touches nothing else but the flags.
    unsafe {
        asm!("2:", "subs {0}, {0}, #1", "bne 2b", inout(reg) rounds => _, options(nomem, nostack));
    }
    #[cfg(target_arch = "riscv32")]
    // SAFETY: counts a register down; touches nothing else.
    unsafe {
        asm!("2:", "addi {0}, {0}, -1", "bnez {0}, 2b", inout(reg) rounds => _, options(nomem, nostack));
    }
}
