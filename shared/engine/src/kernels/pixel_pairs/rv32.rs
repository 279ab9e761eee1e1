//! The loop of RV32IM: four output channels of four pixels, 68 instructions for 32 multiply-accumulates.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::multiply::CHANNELS;
use super::tile::PIXELS;

/// Two taps of two pixels: `$total` and `$high` of the words `$x0` and `$x1`. t3 and t4 weights, ra 32768.
macro_rules! pixels {
    ($x0:literal, $x1:literal, $total:literal, $high:literal) => {
        concat!(
            "mul t5, ",
            $x0,
            ", t3\n",
            "mul t6, ",
            $x1,
            ", t4\n",
            "add t5, t5, ra\n",
            "add t5, t5, t6\n",
            "add ",
            $total,
            ", ",
            $total,
            ", t5\n",
            "srai t5, t5, 16\n",
            "add ",
            $high,
            ", ",
            $high,
            ", t5\n",
        )
    };
}

/// Two taps of four pixels of a channel, whose weights stand at `$first` and `$second`.
macro_rules! channel {
    ($first:literal, $second:literal, $total0:literal, $high0:literal, $total1:literal, $high1:literal) => {
        concat!(
            "lb t3, ",
            $first,
            "(a1)\n",
            "lb t4, ",
            $second,
            "(a1)\n",
            pixels!("s8", "s10", $total0, $high0),
            pixels!("s9", "s11", $total1, $high1),
        )
    };
}

/// From totals to sums, at offset `$sums` of a2.
macro_rules! finish {
    ($at:literal, $total:literal, $high:literal, $next:literal) => {
        concat!(
            "slli t5, ",
            $high,
            ", 16\n",
            "sub ",
            $total,
            ", ",
            $total,
            ", t5\n",
            "sw ",
            $total,
            ", ",
            $at,
            "(t3)\n",
            "sw ",
            $high,
            ", ",
            $next,
            "(t3)\n",
        )
    };
}

/// Sums of four channels over `rounds` > 0 times four taps.
#[unsafe(naked)]
pub unsafe extern "C" fn block(
    tile: *const u32,
    weights: *const i8,
    sums: &mut [[i32; PIXELS]; CHANNELS],
    rounds: usize,
    _count: usize,
) {
    naked_asm!(
        // Naked functions are assembled for the base architecture.
        ".option push",
        ".option arch, +m",
        "addi sp, sp, -64",
        "sw ra, 60(sp)",
        "sw s0, 56(sp)",
        "sw s1, 52(sp)",
        "sw s2, 48(sp)",
        "sw s3, 44(sp)",
        "sw s4, 40(sp)",
        "sw s5, 36(sp)",
        "sw s6, 32(sp)",
        "sw s7, 28(sp)",
        "sw s8, 24(sp)",
        "sw s9, 20(sp)",
        "sw s10, 16(sp)",
        "sw s11, 12(sp)",
        "sw a2, 8(sp)",
        // What rounding will have added to the totals: t0-t2, s0, s1, a2, a4, a5.
        "slli t0, a3, 16",
        "neg t0, t0",
        "mv t1, t0",
        "mv t2, t0",
        "mv s0, t0",
        "mv s1, t0",
        "mv a2, t0",
        "mv a4, t0",
        "mv a5, t0",
        // Upper halves: a6, a7, s2-s7.
        "li a6, 0",
        "li a7, 0",
        "li s2, 0",
        "li s3, 0",
        "li s4, 0",
        "li s5, 0",
        "li s6, 0",
        "li s7, 0",
        "li ra, 32768",
        "slli a3, a3, 5",
        "add a3, a3, a0",
        "2:", // Four taps.
        "lw s8, 0(a0)",
        "lw s9, 4(a0)",
        "lw s10, 8(a0)",
        "lw s11, 12(a0)",
        channel!(0, 1, "t0", "a6", "t1", "a7"),
        channel!(2, 3, "t2", "s2", "s0", "s3"),
        channel!(4, 5, "s1", "s4", "a2", "s5"),
        channel!(6, 7, "a4", "s6", "a5", "s7"),
        "lw s8, 16(a0)",
        "lw s9, 20(a0)",
        "lw s10, 24(a0)",
        "lw s11, 28(a0)",
        "addi a0, a0, 32",
        channel!(8, 9, "t0", "a6", "t1", "a7"),
        channel!(10, 11, "t2", "s2", "s0", "s3"),
        channel!(12, 13, "s1", "s4", "a2", "s5"),
        channel!(14, 15, "a4", "s6", "a5", "s7"),
        "addi a1, a1, 16",
        "bne a0, a3, 2b",
        "lw t3, 8(sp)",
        finish!(0, "t0", "a6", 4),
        finish!(8, "t1", "a7", 12),
        finish!(16, "t2", "s2", 20),
        finish!(24, "s0", "s3", 28),
        finish!(32, "s1", "s4", 36),
        finish!(40, "a2", "s5", 44),
        finish!(48, "a4", "s6", 52),
        finish!(56, "a5", "s7", 60),
        "lw ra, 60(sp)",
        "lw s0, 56(sp)",
        "lw s1, 52(sp)",
        "lw s2, 48(sp)",
        "lw s3, 44(sp)",
        "lw s4, 40(sp)",
        "lw s5, 36(sp)",
        "lw s6, 32(sp)",
        "lw s7, 28(sp)",
        "lw s8, 24(sp)",
        "lw s9, 20(sp)",
        "lw s10, 16(sp)",
        "lw s11, 12(sp)",
        "addi sp, sp, 64",
        "ret",
        ".option pop",
    )
}
