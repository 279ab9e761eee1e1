//! Four tiles side by side, transformed: `V = B^T d B` as `[position][four channels][even, odd][tile]`, each
//! a word of two channels. What stands for channels that do not exist meets weights of 0.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::super::product;
use super::super::super::rows::Rows;
#[cfg(not(goldcrest_dsp))]
use super::super::super::simd::{add_halves, even, load, odd, set, subtract_halves};
use super::{POSITIONS, TILES};
#[cfg(goldcrest_dsp)]
use crate::engine::part;

/// The transformed tiles, in scratch memory.
#[derive(Debug)]
pub struct Tiles<'a> {
    memory: &'a [Cell<u32>],
    /// Groups of four channels.
    quads: usize,
    channels: usize,
}

impl<'a> Tiles<'a> {
    /// Scratch bytes for tiles of `quads` groups of four channels.
    pub fn bytes(quads: usize) -> u64 {
        product([POSITIONS, quads, 2, TILES, 4])
    }

    /// Tiles in scratch memory.
    pub fn new(memory: &'a [Cell<u32>], quads: usize, channels: usize) -> Self {
        Self { memory, quads, channels }
    }

    /// The transformed tiles.
    pub fn words(&self) -> &'a [Cell<u32>] {
        self.memory
    }

    /// Transforms the tiles that start at column `x` of the four rows under the current band.
    pub fn fill(&self, rows: &Rows<'_>, x: usize) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|tap| rows.row(tap).get(x * self.channels..).unwrap_or_default());
        self.difference(0, a, c);
        self.sum(1, b, c);
        self.difference(2, c, b);
        self.difference(3, b, d);
    }
}

#[cfg(not(goldcrest_dsp))]
impl Tiles<'_> {
    /// Row `row` of the transformed tiles from the difference of two rows.
    fn difference(&self, row: usize, a: &[Cell<i8>], b: &[Cell<i8>]) {
        self.row(row, a, b, subtract_halves);
    }

    /// Row `row` of the transformed tiles from the sum of two rows.
    fn sum(&self, row: usize, a: &[Cell<i8>], b: &[Cell<i8>]) {
        self.row(row, a, b, add_halves);
    }

    fn row(&self, row: usize, a: &[Cell<i8>], b: &[Cell<i8>], join: impl Fn(u32, u32) -> u32) {
        for quad in 0..self.quads {
            for (half, widen) in [even, odd].into_iter().enumerate() {
                for tile in 0..TILES {
                    let [a, b, c, d] = [0, 1, 2, 3].map(|column| {
                        let at = (2 * tile + column) * self.channels + 4 * quad;
                        join(widen(load(a, at)), widen(load(b, at)))
                    });
                    let across = [
                        subtract_halves(a, c),
                        add_halves(b, c),
                        subtract_halves(c, b),
                        subtract_halves(b, d),
                    ];
                    for (column, value) in across.into_iter().enumerate() {
                        let at = (((4 * row + column) * self.quads + quad) * 2 + half) * TILES + tile;
                        set(self.memory, at, value);
                    }
                }
            }
        }
    }
}

#[cfg(goldcrest_dsp)]
impl Tiles<'_> {
    /// Row `row` of the transformed tiles from the difference of two rows.
    fn difference(&self, row: usize, a: &[Cell<i8>], b: &[Cell<i8>]) {
        self.row(row, a, b, armv7em::difference);
    }

    /// Row `row` of the transformed tiles from the sum of two rows.
    fn sum(&self, row: usize, a: &[Cell<i8>], b: &[Cell<i8>]) {
        self.row(row, a, b, armv7em::sum);
    }

    #[inline]
    fn row(&self, row: usize, a: &[Cell<i8>], b: &[Cell<i8>], run: armv7em::Row) {
        let position = 2 * self.quads * TILES;
        let target = part(self.memory, 4 * row * position, 4 * position);
        // The last group of channels may reach into the slack behind a row.
        let read = (2 * TILES + 1) * self.channels + 4 * self.quads;
        if target.is_empty() || a.len() < read || b.len() < read {
            return;
        }
        // SAFETY: both rows hold a word for each group of channels of ten columns; the target holds four
        // positions.
        unsafe {
            run(
                a.as_ptr().cast(),
                b.as_ptr().cast(),
                target.as_ptr().cast_mut().cast(),
                self.channels,
                4 * position,
            )
        }
    }
}

#[cfg(goldcrest_dsp)]
mod armv7em {
    use core::arch::naked_asm;

    /// A function of two rows (r0, r1), the first position of the tiles (r2), bytes of a column (r3) and
    /// bytes of a position (on the stack).
    pub type Row = unsafe extern "C" fn(*const i8, *const i8, *mut u32, usize, usize);

    /// A column of two rows, `$x` from r0 and r1 by an offset of `$at`.
    macro_rules! difference {
        ($x:literal, $at:literal, $widen:literal) => {
            concat!(
                "ldr r11, [r0",
                $at,
                "]\n",
                "ldr r12, [r1",
                $at,
                "]\n",
                "sxtb16 r11, r11",
                $widen,
                "\n",
                "sxtb16 r12, r12",
                $widen,
                "\n",
                "ssub16 ",
                $x,
                ", r11, r12\n",
            )
        };
    }
    macro_rules! sum {
        ($x:literal, $at:literal, $widen:literal) => {
            concat!(
                "ldr r11, [r0",
                $at,
                "]\n",
                "ldr r12, [r1",
                $at,
                "]\n",
                "sxtb16 r11, r11",
                $widen,
                "\n",
                "sxtab16 ",
                $x,
                ", r11, r12",
                $widen,
                "\n",
            )
        };
    }

    /// The next two columns.
    macro_rules! columns {
        ($join:ident, $x:literal, $y:literal, $widen:literal) => {
            concat!(
                $join!($x, "", $widen),
                $join!($y, ", r3", $widen),
                "add r0, r0, r3, lsl #1\n",
                "add r1, r1, r3, lsl #1\n",
            )
        };
    }

    /// A tile of four columns: `$a` and `$b` from the tile before, `$c` and `$d` new.
    macro_rules! tile {
        ($join:ident, $a:literal, $b:literal, $c:literal, $d:literal, $widen:literal) => {
            concat!(
                columns!($join, $c, $d, $widen),
                "sadd16 r11, ",
                $b,
                ", ",
                $c,
                "\n",
                "ssub16 r12, ",
                $c,
                ", ",
                $b,
                "\n",
                "ssub16 lr, ",
                $b,
                ", ",
                $d,
                "\n",
                "ssub16 ",
                $a,
                ", ",
                $a,
                ", ",
                $c,
                "\n",
                "str r11, [r2, r5]\n",
                "str r12, [r2, r5, lsl #1]\n",
                "str lr, [r2, r6]\n",
                "str ",
                $a,
                ", [r2], #4\n",
            )
        };
    }

    /// Two of four channels of four tiles.
    macro_rules! tiles {
        ($join:ident, $widen:literal) => {
            concat!(
                columns!($join, "r7", "r8", $widen),
                tile!($join, "r7", "r8", "r9", "r10", $widen),
                tile!($join, "r9", "r10", "r7", "r8", $widen),
                tile!($join, "r7", "r8", "r9", "r10", $widen),
                tile!($join, "r9", "r10", "r7", "r8", $widen),
                "sub r0, r0, r3, lsl #1\n",
                "sub r1, r1, r3, lsl #1\n",
                "sub r0, r0, r3, lsl #3\n",
                "sub r1, r1, r3, lsl #3\n",
            )
        };
    }

    macro_rules! row {
        ($(#[$doc:meta])* $name:ident) => {
            $(#[$doc])*
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name(
                a: *const i8, b: *const i8, tiles: *mut u32, channels: usize, position: usize
            ) {
                naked_asm!(
                    super::super::super::cpu!(),
                    "push {{r4-r11, lr}}",
                    "ldr r5, [sp, #36]",
                    "add r4, r2, r5",
                    "add r6, r5, r5, lsl #1",
                    "2:",
                    tiles!($name, ""),
                    tiles!($name, ", ror #8"),
                    "adds r0, #4",
                    "adds r1, #4",
                    "cmp r2, r4",
                    "bne 2b",
                    "pop {{r4-r11, pc}}",
                )
            }
        };
    }

    row!(
        /// From the difference of the rows.
        difference
    );
    row!(
        /// From the sum of the rows.
        sum
    );
}
