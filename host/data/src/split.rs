//! A set of labelled pictures in memory.

use std::sync::Arc;

use goldcrest_engine::shape::Shape;

use super::layout::content;
use super::random::Random;

/// Labelled pictures of one size: training or test images. Cloning shares the pixels.
///
/// Pixels are `u8`, height x width x channels (channels innermost), RGB or gray. Sources that are
/// grouped by class are stored with the classes taking turns, so that the first images of a split
/// are a balanced sample.
#[derive(Clone, Debug)]
pub struct Split {
    shape: Shape,
    pixels: Arc<Vec<u8>>,
    labels: Arc<Vec<u16>>,
    len: usize,
}

impl Split {
    /// A split from the pixels of all images, one after the other, and one label each.
    ///
    /// # Panics
    ///
    /// When the shape is empty or `pixels` is not `labels.len() * shape.len()` bytes long.
    pub fn new(shape: Shape, pixels: Vec<u8>, labels: Vec<u16>) -> Self {
        assert!(!shape.is_empty(), "images of {shape} hold no pixel");
        assert_eq!(pixels.len(), labels.len() * shape.len(), "{} images of {shape}", labels.len());
        Self { shape, len: labels.len(), pixels: Arc::new(pixels), labels: Arc::new(labels) }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is no image.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Height, width and channels of every image.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The pixels of image `index`, height x width x channels.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`len`](Self::len).
    pub fn image(&self, index: usize) -> &[u8] {
        assert!(index < self.len, "image {index} of {}", self.len);
        &self.pixels[index * self.shape.len()..][..self.shape.len()]
    }

    /// The class of image `index`.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`len`](Self::len).
    pub fn label(&self, index: usize) -> usize {
        usize::from(self.labels()[index])
    }

    /// The classes of all images.
    pub fn labels(&self) -> &[u16] {
        &self.labels[..self.len]
    }

    /// The pixels of all images, one after the other.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels[..self.len * self.shape.len()]
    }

    /// The first `count` images (all of them when there are fewer), without copying.
    #[must_use]
    pub fn head(&self, count: usize) -> Self {
        Self { len: self.len.min(count), ..self.clone() }
    }

    /// `count` images (at most all) drawn without repetition, in the order of the split; the same
    /// seed draws the same images.
    #[must_use]
    pub fn sample(&self, count: usize, seed: u64) -> Self {
        let [drawn, _] = self.sample_apart([count, 0], seed);
        drawn
    }

    /// Two samples without a common image, each in the order of the split: the first the same as
    /// [`sample`](Self::sample) draws, the second of those that it left.
    #[must_use]
    pub fn sample_apart(&self, counts: [usize; 2], seed: u64) -> [Self; 2] {
        let mut drawn: Vec<usize> = (0..self.len).collect();
        Random::new(seed).shuffle(&mut drawn);
        let (first, rest) = drawn.split_at_mut(counts[0].min(self.len));
        let second = &mut rest[..counts[1].min(self.len - first.len())];
        first.sort_unstable();
        second.sort_unstable();
        [self.select(first), self.select(second)]
    }

    /// Sets a share of each class's images aside: the split without them, and they; both in the order of the
    /// split. Which ones depends on `seed` and on the images themselves, not on their order or on the other
    /// images, so that training again on the same data, or on more, meets the same ones; equal images stay on
    /// one side. A class's part is its share to the nearest image, unless equal images would be torn apart.
    #[must_use]
    pub fn set_aside(&self, share: f64, seed: u64) -> (Self, Self) {
        let classes = self.labels().iter().max().map_or(0, |&label| usize::from(label) + 1);
        let mut members: Vec<Vec<(u64, usize)>> = vec![Vec::new(); classes];
        for (index, &label) in self.labels().iter().enumerate() {
            let place = Random::stream(seed, &[content(self.image(index))]).bits();
            members[usize::from(label)].push((place, index));
        }
        let mut aside = vec![false; self.len];
        for class in &mut members {
            class.sort_unstable();
            let wanted = (class.len() as f64 * share).round() as usize;
            let is_cut = |at: &usize| *at == 0 || *at == class.len() || class[at - 1].0 != class[*at].0;
            let below = (0..=wanted.min(class.len())).rev().find(is_cut).unwrap_or(0);
            let above = (wanted..=class.len()).find(is_cut).unwrap_or(class.len());
            let count = if above - wanted < wanted.saturating_sub(below) { above } else { below };
            class[..count].iter().for_each(|&(_, index)| aside[index] = true);
        }
        let (second, first): (Vec<usize>, Vec<usize>) = (0..self.len).partition(|&index| aside[index]);
        if second.is_empty() {
            return (self.clone(), self.head(0));
        }
        (self.select(&first), self.select(&second))
    }

    /// The images at these positions, in their order.
    ///
    /// # Panics
    ///
    /// When a position is not below [`len`](Self::len).
    #[must_use]
    pub fn select(&self, positions: &[usize]) -> Self {
        let pixels = positions.iter().flat_map(|&index| self.image(index)).copied().collect();
        let labels = positions.iter().map(|&index| self.labels[index]).collect();
        Self::new(self.shape, pixels, labels)
    }

    /// The same images, each of the class that `classes` has at the place of its own.
    ///
    /// # Panics
    ///
    /// When a label has no place in `classes`.
    #[must_use]
    pub fn relabelled(&self, classes: &[u16]) -> Self {
        let labels = self.labels().iter().map(|&label| classes[usize::from(label)]).collect();
        Self { labels: Arc::new(labels), ..self.clone() }
    }

    /// Number of images of each of `classes` classes; labels beyond are not counted.
    pub fn counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for &label in self.labels() {
            if let Some(count) = counts.get_mut(usize::from(label)) {
                *count += 1;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(count: u16) -> Split {
        let pixels = (0..count).flat_map(|n| [n as u8; 6]).collect();
        Split::new(Shape::new(1, 2, 3), pixels, (0..count).map(|n| n % 3).collect())
    }

    #[test]
    fn head_keeps_the_first() {
        let split = numbered(9);
        let head = split.head(4);
        assert_eq!((head.len(), head.labels(), head.pixels().len()), (4, &[0, 1, 2, 0][..], 24));
        assert_eq!((head.image(3), head.label(3)), (&[3; 6][..], 0));
        assert_eq!(split.head(100).len(), 9);
        assert_eq!(head.counts(3), [2, 1, 1]);
    }

    #[test]
    #[should_panic(expected = "image 4 of 4")]
    fn head_hides_the_rest() {
        numbered(9).head(4).image(4);
    }

    #[test]
    fn samples_are_seeded_and_distinct() {
        let split = numbered(90);
        let firsts = |seed| -> Vec<u8> {
            let sample = split.sample(20, seed);
            (0..20).map(|index| sample.image(index)[0]).collect()
        };
        let drawn = firsts(1);
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(drawn, firsts(1));
        assert_ne!(drawn, firsts(2));
        assert_eq!(split.sample(1000, 1).pixels(), split.pixels());
    }

    /// Two classes of 60 and 30 images of 4 values each.
    fn unequal(copies: usize) -> Split {
        let labels: Vec<u16> = (0..90).map(|index| u16::from(index / 3 % 3 == 0)).collect();
        let pixels = (0..90).flat_map(|index| [(index / copies) as u8, 7, 8, 9]).collect();
        Split::new(Shape::new(2, 2, 1), pixels, labels)
    }

    fn firsts(part: &Split) -> Vec<u8> {
        (0..part.len()).map(|at| part.image(at)[0]).collect()
    }

    #[test]
    fn parts_set_aside_share_no_image_and_lose_none() {
        let split = unequal(1);
        let (first, second) = split.set_aside(0.2, 1);
        assert_eq!(second.counts(2), [12, 6]);
        let mut all = [firsts(&first), firsts(&second)].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..90));
        assert_eq!(firsts(&split.set_aside(0.2, 1).1), firsts(&second));
        assert_ne!(firsts(&split.set_aside(0.2, 2).1), firsts(&second));
        assert_eq!((split.set_aside(0.001, 1).0.len(), split.set_aside(0.001, 1).1.len()), (90, 0));
        // Each class's share to the nearest image.
        assert_eq!(split.set_aside(0.05, 1).1.counts(2), [3, 2]);
    }

    #[test]
    fn the_same_images_are_set_aside_in_any_order() {
        let split = unequal(1);
        let turned: Vec<usize> = (0..90).rev().collect();
        let (mut one, mut other) =
            (firsts(&split.set_aside(0.3, 5).1), firsts(&split.select(&turned).set_aside(0.3, 5).1));
        one.sort_unstable();
        other.sort_unstable();
        assert_eq!(one, other);
    }

    #[test]
    fn equal_images_stay_on_one_side() {
        // Three of each.
        let (first, second) = unequal(3).set_aside(0.25, 0);
        assert!(!second.is_empty() && first.len() + second.len() == 90);
        assert!(firsts(&first).iter().all(|image| !firsts(&second).contains(image)));
    }
}
