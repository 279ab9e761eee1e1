//! The search for a small plan: blocks are placed one after the other, each as low as it fits, and
//! the order is improved until the lower bound is met or the effort is spent.

use alloc::{vec, vec::Vec};

use super::{ALIGNMENT, Block, Overlap, compatible, peak};

/// Orders tried: enough that networks of a few dozen layers settle, in well under a second.
const ATTEMPTS: usize = 4000;

/// Offsets with the smallest peak found.
pub fn search(blocks: &[Block], overlaps: &[Overlap], lower_bound: usize) -> Vec<usize> {
    let mut by_size: Vec<usize> = (0..blocks.len()).collect();
    by_size.sort_by_key(|&block| (core::cmp::Reverse(blocks[block].bytes), blocks[block].first));
    if cfg!(miri) {
        // Miri looks at kernels and not at plans, which take it minutes.
        return place(blocks, overlaps, &by_size);
    }
    let mut by_time: Vec<usize> = (0..blocks.len()).collect();
    by_time.sort_by_key(|&block| (blocks[block].first, core::cmp::Reverse(blocks[block].bytes)));
    let mut by_time_backwards = by_time.clone();
    by_time_backwards.reverse();

    let mut best: Option<(usize, Vec<usize>, Vec<usize>)> = None;
    for order in [by_size, by_time, by_time_backwards] {
        let offsets = place(blocks, overlaps, &order);
        let peak = peak(blocks, &offsets);
        if best.as_ref().is_none_or(|(least, ..)| peak < *least) {
            best = Some((peak, order, offsets));
        }
    }
    let Some((mut least, mut order, mut offsets)) = best else { return Vec::new() };
    let mut random = Random(0x9e37_79b9);
    for _ in 0..ATTEMPTS {
        if least <= lower_bound || blocks.len() < 2 {
            break;
        }
        let mut next = order.clone();
        for _ in 0..1 + random.below(3) {
            let moved = next.remove(random.below(blocks.len()));
            next.insert(random.below(blocks.len()), moved);
        }
        let found = place(blocks, overlaps, &next);
        let peak = peak(blocks, &found);
        // Equal peaks are taken too: they lead across plateaus.
        if peak <= least {
            (least, order, offsets) = (peak, next, found);
        }
    }
    offsets
}

/// Places blocks in an order, each at the lowest offset that respects all placed before.
fn place(blocks: &[Block], overlaps: &[Overlap], order: &[usize]) -> Vec<usize> {
    let mut offsets = vec![0; blocks.len()];
    for (index, &block) in order.iter().enumerate() {
        let placed = &order[..index];
        let mut candidates = vec![0];
        candidates.extend(placed.iter().map(|&other| offsets[other] + blocks[other].bytes));
        for overlap in overlaps {
            if overlap.output == block && placed.contains(&overlap.input) {
                // Rounded up, so it may miss; the end of the input always remains.
                candidates.extend(usize::try_from(offsets[overlap.input] as i64 - overlap.distance).ok());
            } else if overlap.input == block && placed.contains(&overlap.output) {
                candidates.extend(usize::try_from(offsets[overlap.output] as i64 + overlap.distance).ok());
            }
        }
        candidates.iter_mut().for_each(|offset| *offset = offset.next_multiple_of(ALIGNMENT));
        candidates.sort_unstable();
        let fits = |&offset: &usize| {
            placed.iter().all(|&other| compatible(blocks, overlaps, (block, offset), (other, offsets[other])))
        };
        let beyond = placed.iter().map(|&other| offsets[other] + blocks[other].bytes).max().unwrap_or(0);
        let found = candidates.into_iter().find(fits);
        offsets[block] = found.unwrap_or(beyond.next_multiple_of(ALIGNMENT));
    }
    offsets
}

/// A small deterministic generator (xorshift), so that the same model always packs the same.
struct Random(u32);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % limit
    }
}
