//! The memory planner: where every activation stands in the arena.
//!
//! Blocks that live at the same time must not share memory, except an input that dies where an
//! output is born: a kernel that has read enough before it writes may run over its own input, at a
//! distance that the kernel derives from the order in which it works.

mod search;

use alloc::{string::String, vec::Vec};

/// One block of arena memory: an activation or the scratch memory of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it holds.
    pub name: String,
    /// Bytes.
    pub bytes: usize,
    /// First layer at which it must exist.
    pub first: usize,
    /// Last layer at which it must exist.
    pub last: usize,
}

/// An output block that may stand over a dying input block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Index of the input's block.
    pub input: usize,
    /// Index of the output's block.
    pub output: usize,
    /// The smallest `input offset - output offset` at which the kernel never overwrites what it
    /// still reads. Negative when the output may even start behind the input.
    pub distance: i64,
}

/// A plan: the offset of every block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Byte offsets, in the order of the blocks.
    pub offsets: Vec<usize>,
    /// Bytes of arena.
    pub peak: usize,
    /// No plan can need less: the largest sum of what one layer needs. Equal to `peak` when the plan
    /// is proven optimal.
    pub lower_bound: usize,
    /// The layer that needs that much.
    pub critical: usize,
}

/// Alignment of every block.
const ALIGNMENT: usize = goldcrest_engine::packer::ALIGNMENT;

/// Places blocks so that the arena is small; the same blocks always give the same plan.
pub fn plan(blocks: &[Block], overlaps: &[Overlap]) -> Plan {
    let (critical, lower_bound) = lower_bound(blocks, overlaps);
    let offsets = search::search(blocks, overlaps, lower_bound);
    let peak = peak(blocks, &offsets);
    Plan { offsets, peak, lower_bound, critical }
}

fn peak(blocks: &[Block], offsets: &[usize]) -> usize {
    blocks.iter().zip(offsets).map(|(block, offset)| offset + block.bytes).max().unwrap_or(0)
}

/// The first layer at which the blocks alive need most together, and how much.
fn lower_bound(blocks: &[Block], overlaps: &[Overlap]) -> (usize, usize) {
    let layers = blocks.iter().map(|block| block.last + 1).max().unwrap_or(0);
    let need = |layer: usize| {
        let alive = |block: &&Block| (block.first..=block.last).contains(&layer);
        let sum: usize = blocks.iter().filter(alive).map(|block| block.bytes).sum();
        let saved = overlaps.iter().filter(|overlap| blocks[overlap.output].first == layer).map(|overlap| {
            let (input, output) = (blocks[overlap.input].bytes, blocks[overlap.output].bytes);
            let together = output.max(input + overlap.distance.max(0) as usize);
            (input + output).saturating_sub(together)
        });
        // Two inputs under one output can save at most the output.
        sum - saved
            .sum::<usize>()
            .min(blocks.iter().filter(alive).map(|block| block.bytes).max().unwrap_or(0))
    };
    let needs = (0..layers).map(|layer| (layer, need(layer)));
    needs.min_by_key(|&(layer, need)| (core::cmp::Reverse(need), layer)).unwrap_or((0, 0))
}

/// Whether two placed blocks respect each other.
fn compatible(
    blocks: &[Block],
    overlaps: &[Overlap],
    (a, at_a): (usize, usize),
    (b, at_b): (usize, usize),
) -> bool {
    let (block_a, block_b) = (&blocks[a], &blocks[b]);
    let together = block_a.first <= block_b.last && block_b.first <= block_a.last;
    let apart = at_a + block_a.bytes <= at_b || at_b + block_b.bytes <= at_a;
    !together
        || apart
        || overlaps.iter().any(|overlap| {
            let (input, output) = match (overlap.input, overlap.output) {
                pair if pair == (a, b) => (at_a, at_b),
                pair if pair == (b, a) => (at_b, at_a),
                _ => return false,
            };
            input as i64 - output as i64 >= overlap.distance
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(bytes: usize, first: usize, last: usize) -> Block {
        Block { name: String::new(), bytes, first, last }
    }

    #[test]
    fn a_residual_block_needs_two_tensors_and_scratch() {
        // x -> conv -> a -> conv -> b, x + b: the second convolution and the sum run in place.
        let blocks =
            [block(100, 0, 2), block(100, 0, 1), block(100, 1, 2), block(100, 2, 3), block(12, 0, 0)];
        let overlaps = [
            Overlap { input: 1, output: 2, distance: 0 },
            Overlap { input: 0, output: 3, distance: 0 },
            Overlap { input: 2, output: 3, distance: 0 },
        ];
        let plan = plan(&blocks, &overlaps);
        assert_eq!(plan.peak, 212);
        assert_eq!((plan.lower_bound, plan.critical), (212, 0));
    }

    proptest! {
        #[test]
        fn plans_never_share_what_lives_together(
            sizes in proptest::collection::vec((1usize..300, 0usize..8, 0usize..4), 1..14),
            pairs in proptest::collection::vec((0usize..14, 0usize..14, -40i64..40), 0..6),
        ) {
            let block = |&(bytes, first, length): &_| block(bytes, first, first + length);
            let blocks: Vec<_> = sizes.iter().map(block).collect();
            let overlaps: Vec<_> = pairs
                .iter()
                .filter(|&&(a, b, _)| a < blocks.len() && b < blocks.len() && a != b)
                .filter(|&&(a, b, _)| blocks[a].last == blocks[b].first)
                .map(|&(input, output, distance)| Overlap { input, output, distance })
                .collect();
            let plan = plan(&blocks, &overlaps);
            for a in 0..blocks.len() {
                prop_assert_eq!(plan.offsets[a] % ALIGNMENT, 0);
                for b in 0..a {
                    let places = ((a, plan.offsets[a]), (b, plan.offsets[b]));
                    prop_assert!(compatible(&blocks, &overlaps, places.0, places.1));
                }
            }
        }
    }
}
