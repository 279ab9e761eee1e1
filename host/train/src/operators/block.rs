//! Loops over some channels of a batch: sums per channel, and values from values.
//!
//! A block's channels of one image lie one after the other, a row of some hundred floats. What belongs to a
//! channel is spread out along such a row once, and sums are taken along the images position by position, so
//! that the loops know nothing of channels and are as fast for a channel of 4 values as for one of 4096. A
//! few images are taken together, so that what belongs to the channels is loaded once for all of them.

use std::marker::PhantomData;
use std::ops::Range;

use super::level::{Level, Work, at_level};
use super::memory::{Scratch, Shared};
use super::normalize::Sizes;
use super::simd::Simd;
use super::transpose::Transpose;

/// Floats of a row that are worth a loop.
const ROW: usize = 256;
/// Images taken together.
const IMAGES: usize = 4;
/// Floats added up before the sum goes on in doubles.
const ADDED: usize = 512;
/// The widest vector.
const LANES: usize = 16;

/// Some channels of every image.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// The first channel.
    pub first: usize,
    pub channels: usize,
    sizes: Sizes,
    /// Floats of a row that are taken at a time: whole channels, or a part of one.
    piece: usize,
}

/// Two terms of sums over two values and `C` numbers of their channel.
pub trait Terms<const C: usize> {
    /// To be marked `inline(always)`.
    ///
    /// # Safety
    /// As for [`Simd`].
    unsafe fn of<S: Simd>(values: [S::Vector; 2], channel: [S::Vector; C]) -> [S::Vector; 2];
}

/// A value from two values and `C` numbers of their channel.
pub trait Map<const C: usize> {
    /// To be marked `inline(always)`.
    ///
    /// # Safety
    /// As for [`Simd`].
    unsafe fn of<S: Simd>(values: [S::Vector; 2], channel: [S::Vector; C]) -> S::Vector;
}

/// Rows of a piece's length rounded up to whole vectors.
struct Rows {
    memory: Scratch,
    width: usize,
}

impl Rows {
    fn row(&mut self, row: usize) -> &mut [f32] {
        &mut self.memory[row * self.width..][..self.width]
    }
}

impl Block {
    /// All channels, in blocks.
    pub fn split(sizes: Sizes) -> Vec<Self> {
        let most = ROW.div_ceil(sizes.area).clamp(1, sizes.channels);
        let block = |first: usize| {
            let channels = most.min(sizes.channels - first);
            let piece = if channels == 1 { sizes.area.min(ROW) } else { channels * sizes.area };
            Self { first, channels, sizes, piece }
        };
        (0..sizes.channels).step_by(most).map(block).collect()
    }

    /// The terms added up over all values of each channel. `of` gives the numbers of a channel, counted from
    /// the block's first.
    pub fn add_up<T: Terms<C>, const C: usize>(
        &self,
        level: Level,
        _: T,
        values: [&[f32]; 2],
        of: impl Fn(usize) -> [f32; C],
    ) -> Vec<[f64; 2]> {
        let mut rows = self.rows(C, of);
        let mut totals = vec![[0.0; 2]; self.channels];
        let pieces = (self.channels * self.sizes.area).div_ceil(self.piece);
        let most = (ADDED / pieces).next_multiple_of(IMAGES).max(IMAGES);
        let images = self.images(values);
        for first in (0..images).step_by(most) {
            (C..C + 2).for_each(|row| rows.row(row).fill(0.0));
            let images = first..images.min(first + most);
            at_level(
                level,
                AddUp::<T, C> { block: self, values, images, rows: &mut rows, terms: PhantomData },
            );
            let area = self.sizes.area.min(self.piece);
            for term in 0..2 {
                let sums = rows.row(C + term)[..self.piece].chunks(area);
                totals.iter_mut().zip(sums).for_each(|(total, sums)| total[term] += sum(sums));
            }
        }
        totals
    }

    /// Each value of `to` from the values at its place.
    pub fn map<M: Map<C>, const C: usize>(
        &self,
        level: Level,
        _: M,
        values: [&[f32]; 2],
        to: &Shared,
        of: impl Fn(usize) -> [f32; C],
    ) {
        let mut rows = self.rows(C, of);
        at_level(level, Mapped::<M, C> { block: self, values, to, rows: &mut rows, map: PhantomData });
    }

    /// The number of images, once it is certain that all are there.
    fn images(&self, values: [&[f32]; 2]) -> usize {
        let image = self.sizes.channels * self.sizes.area;
        assert_eq!([values[0].len() % image, values[0].len()], [0, values[1].len()]);
        values[0].len() / image
    }

    /// `C` rows with the numbers of the channels, and two more.
    fn rows<const C: usize>(&self, count: usize, of: impl Fn(usize) -> [f32; C]) -> Rows {
        let width = self.piece.next_multiple_of(LANES);
        let mut rows = Rows { memory: Scratch::new((count + 2) * width), width };
        let area = self.sizes.area.min(self.piece);
        for channel in 0..self.piece / area {
            for (row, number) in of(channel).into_iter().enumerate() {
                rows.row(row)[channel * area..][..area].fill(number);
            }
        }
        rows
    }

    /// Where the pieces of an image's row begin, and their lengths.
    fn pieces(&self, image: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Self { first, channels, sizes, piece } = *self;
        let length = channels * sizes.area;
        let start = (image * sizes.channels + first) * sizes.area;
        (0..length).step_by(piece).map(move |at| (start + at, piece.min(length - at)))
    }
}

/// The sum of a slice in doubles, in an order that vectorizes.
fn sum(values: &[f32]) -> f64 {
    let (chunks, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    sums.into_iter().chain(rest.iter().map(|&value| f64::from(value))).sum()
}

struct AddUp<'a, T, const C: usize> {
    block: &'a Block,
    values: [&'a [f32]; 2],
    images: Range<usize>,
    rows: &'a mut Rows,
    terms: PhantomData<T>,
}

impl<T: Terms<C>, const C: usize> Work for AddUp<'_, T, C> {
    #[inline(always)]
    unsafe fn run<S: Transpose>(self) {
        let Range { mut start, end } = self.images;
        // SAFETY: `Block::images` found that all values are there.
        unsafe {
            while start + IMAGES <= end {
                Self::take::<S, IMAGES>(self.block, self.values, start, self.rows);
                start += IMAGES;
            }
            while start < end {
                Self::take::<S, 1>(self.block, self.values, start, self.rows);
                start += 1;
            }
        }
    }
}

impl<T: Terms<C>, const C: usize> AddUp<'_, T, C> {
    /// `I` images.
    #[inline(always)]
    unsafe fn take<S: Simd, const I: usize>(
        block: &Block,
        values: [&[f32]; 2],
        image: usize,
        rows: &mut Rows,
    ) {
        let stride = block.sizes.channels * block.sizes.area;
        let (numbers, width) = (rows.memory.as_mut_ptr(), rows.width);
        for (start, length) in block.pieces(image) {
            // SAFETY: the caller's promise; rows are whole vectors long.
            unsafe {
                let from = values.map(|values| values.as_ptr().add(start));
                let mut at = 0;
                while at < length {
                    let mut channel = [S::splat(0.0); C];
                    for (row, channel) in channel.iter_mut().enumerate() {
                        *channel = S::load(numbers.add(row * width + at));
                    }
                    let to = [numbers.add(C * width + at), numbers.add((C + 1) * width + at)];
                    let mut sums = [S::load(to[0]), S::load(to[1])];
                    for image in 0..I {
                        let values = [
                            S::load_first(from[0].add(image * stride + at), length - at),
                            S::load_first(from[1].add(image * stride + at), length - at),
                        ];
                        let [first, second] = T::of::<S>(values, channel);
                        sums = [S::add(sums[0], first), S::add(sums[1], second)];
                    }
                    S::store_first(to[0], length - at, sums[0]);
                    S::store_first(to[1], length - at, sums[1]);
                    at += S::LANES;
                }
            }
        }
    }
}

struct Mapped<'a, M, const C: usize> {
    block: &'a Block,
    values: [&'a [f32]; 2],
    to: &'a Shared<'a>,
    rows: &'a mut Rows,
    map: PhantomData<M>,
}

impl<M: Map<C>, const C: usize> Work for Mapped<'_, M, C> {
    #[inline(always)]
    unsafe fn run<S: Transpose>(self) {
        let numbers = self.rows.memory.as_ptr();
        for image in 0..self.block.images(self.values) {
            for (start, length) in self.block.pieces(image) {
                // SAFETY: `Block::images` found that all values are there, every block has its own channels,
                // and rows are whole vectors long.
                unsafe {
                    let to = self.to.part(start, length).as_mut_ptr();
                    let from = self.values.map(|values| values.as_ptr().add(start));
                    let mut at = 0;
                    while at < length {
                        let mut channel = [S::splat(0.0); C];
                        for (row, channel) in channel.iter_mut().enumerate() {
                            *channel = S::load(numbers.add(row * self.rows.width + at));
                        }
                        let values = from.map(|from| S::load_first(from.add(at), length - at));
                        S::store_first(to.add(at), length - at, M::of::<S>(values, channel));
                        at += S::LANES;
                    }
                }
            }
        }
    }
}
