//! Batches: shuffled, augmented and normalized images, made ahead of the training step.
//!
//! Background threads make batches while the step before runs. Batch `n` is made by thread
//! `n % threads` and waits in that thread's queue, so batches come in order without sorting. The
//! random numbers of an image depend on seed, epoch and the image's position in the split: the same
//! seed gives the same batches with any number of threads, and after any resume.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{AugmentRecipe, Normalization, Split, augment::Canvas, normalization::normalize, random::Random};

/// Images and labels of one training step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Normalized images: batch x channels x height x width.
    pub images: Vec<f32>,
    /// Classes.
    pub labels: Vec<i64>,
    /// Where images are mixed: the class of the other image in each.
    pub partners: Vec<i64>,
    /// Where images are mixed: what each keeps of itself, in `0..=1`.
    pub share: f32,
}

impl Batch {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True when there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The class that each image is most of.
    pub fn main_labels(&self) -> &[i64] {
        if self.partners.is_empty() || self.share >= 0.5 { &self.labels } else { &self.partners }
    }

    /// The share of each of `classes` classes in each image, row by row.
    pub fn shares(&self, classes: usize, shares: &mut Vec<f32>) {
        shares.clear();
        shares.resize(self.len() * classes, 0.0);
        let own = if self.partners.is_empty() { 1.0 } else { self.share };
        for (row, &label) in shares.chunks_exact_mut(classes.max(1)).zip(&self.labels) {
            row[label as usize] += own;
        }
        for (row, &label) in shares.chunks_exact_mut(classes.max(1)).zip(&self.partners) {
            row[label as usize] += 1.0 - own;
        }
    }
}

/// Which batches to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchOptions {
    /// Images in a batch; not 0.
    pub size: usize,
    /// For order and augmentation.
    pub seed: u64,
    /// Each epoch has its own order and its own augmentation.
    pub epoch: u64,
    /// The first batch to make, to go on within an epoch.
    pub start: usize,
    /// Shuffle the images.
    pub shuffle: bool,
    /// Leave out a last batch with fewer images.
    pub drop_last: bool,
    /// Background threads; 0 chooses.
    pub threads: usize,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { size: 64, seed: 0, epoch: 0, start: 0, shuffle: true, drop_last: false, threads: 0 }
    }
}

/// Batches that wait finished in the queue of each thread.
const AHEAD: usize = 4;

/// The batches of one pass over a split, as an iterator.
///
/// Give batches back with [`recycle`](Self::recycle) when done with them, and no memory is
/// allocated after the first few.
#[derive(Debug)]
pub struct Batches {
    queues: Vec<Receiver<Batch>>,
    threads: Vec<Option<JoinHandle<()>>>,
    spare: Arc<Mutex<Vec<Batch>>>,
    next: usize,
    end: usize,
    waited: Duration,
}

/// What a thread needs to make any batch.
struct Job {
    split: Split,
    order: Option<Vec<u32>>,
    recipe: AugmentRecipe,
    tables: Vec<[f32; 256]>,
    options: BatchOptions,
    end: usize,
}

impl Batches {
    /// Starts making batches.
    ///
    /// # Panics
    ///
    /// When the batch size is 0 or the normalization does not have the channels of the images.
    pub fn new(
        split: &Split,
        recipe: &AugmentRecipe,
        normalization: &Normalization,
        options: &BatchOptions,
    ) -> Self {
        assert!(options.size > 0, "a batch of no images");
        let tables = normalization.tables();
        assert_eq!(tables.len(), split.shape().channels, "channels of the normalization");
        let end = match options.drop_last {
            true => split.len() / options.size,
            false => split.len().div_ceil(options.size),
        };
        let order = options.shuffle.then(|| {
            let mut order: Vec<u32> = (0..split.len() as u32).collect();
            Random::stream(options.seed, &[options.epoch, u64::MAX]).shuffle(&mut order);
            order
        });
        let count = match options.threads {
            // One thread keeps up with small networks on small images; a second one halves the time
            // to the first batch.
            0 => std::thread::available_parallelism().map_or(1, usize::from).min(2),
            threads => threads,
        };
        let spare = Arc::new(Mutex::new(Vec::new()));
        let job = Arc::new(Job {
            split: split.clone(),
            order,
            recipe: recipe.clone(),
            tables,
            options: options.clone(),
            end,
        });
        let (queues, threads) = (0..count)
            .map(|worker| {
                let (to, queue) = sync_channel(AHEAD);
                let (job, spare) = (Arc::clone(&job), Arc::clone(&spare));
                let thread = std::thread::spawn(move || job.make_every(worker, count, &to, &spare));
                (queue, Some(thread))
            })
            .unzip();
        Self { queues, threads, spare, next: options.start, end, waited: Duration::ZERO }
    }

    /// All images in their order, as they are: for tests and statistics.
    pub fn plain(split: &Split, normalization: &Normalization, size: usize) -> Self {
        let options = BatchOptions { size, shuffle: false, ..BatchOptions::default() };
        Self::new(split, &AugmentRecipe::default(), normalization, &options)
    }

    /// Gives the memory of a used batch back.
    pub fn recycle(&self, batch: Batch) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < self.queues.len() * (AHEAD + 2) {
            spare.push(batch);
        }
    }

    /// The time [`next`](Iterator::next) had to wait for a batch so far: what the pipeline costs
    /// the training.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl Iterator for Batches {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        if self.next >= self.end {
            return None;
        }
        let worker = self.next % self.queues.len();
        let batch = match self.queues[worker].try_recv() {
            Ok(batch) => batch,
            Err(_) => {
                let start = Instant::now();
                let batch = self.queues[worker].recv();
                self.waited += start.elapsed();
                batch.unwrap_or_else(|_| self.report_panic(worker))
            }
        };
        self.next += 1;
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end.saturating_sub(self.next);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Batches {}

impl Batches {
    /// A queue ends early only when its thread panicked; the panic belongs to the caller.
    fn report_panic(&mut self, worker: usize) -> ! {
        match self.threads[worker].take().map(JoinHandle::join) {
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            _ => unreachable!("a thread makes all its batches"),
        }
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        // Threads that wait for room in their queue end when nobody listens.
        self.queues.clear();
        for thread in self.threads.iter_mut().filter_map(Option::take) {
            let _ = thread.join();
        }
    }
}

impl Job {
    /// Makes this thread's share of the batches until all are made or nobody wants them.
    fn make_every(&self, worker: usize, workers: usize, to: &SyncSender<Batch>, spare: &Mutex<Vec<Batch>>) {
        let (mut canvas, mut spare_images) = (Canvas::new(self.split.shape()), Vec::new());
        for number in (self.options.start..self.end).filter(|number| number % workers == worker) {
            let reused = spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut batch = reused.unwrap_or_default();
            self.fill(number, &mut batch, &mut canvas);
            self.mix(number, &mut batch, &mut spare_images);
            if to.send(batch).is_err() {
                return;
            }
        }
    }

    fn mix(&self, number: usize, batch: &mut Batch, spare: &mut Vec<f32>) {
        batch.partners.clear();
        batch.share = 1.0;
        let mix = self.recipe.mix();
        if !mix.is_none() {
            let path = [self.options.epoch, u64::MAX, number as u64];
            let mut random = Random::stream(self.options.seed, &path);
            let (partners, share) = mix.apply(&mut batch.images, self.split.shape(), &mut random, spare);
            batch.partners.extend(partners.iter().map(|&partner| batch.labels[partner as usize]));
            batch.share = share;
        }
    }

    fn fill(&self, number: usize, batch: &mut Batch, canvas: &mut Canvas) {
        let size = self.split.shape().len();
        let first = number * self.options.size;
        let places = first..(first + self.options.size).min(self.split.len());
        batch.labels.clear();
        batch.images.resize(places.len() * size, 0.0);
        for (place, planes) in places.zip(batch.images.chunks_exact_mut(size)) {
            let index = self.order.as_ref().map_or(place, |order| order[place] as usize);
            batch.labels.push(self.split.label(index) as i64);
            if self.recipe.steps().is_empty() {
                normalize(self.split.image(index), &self.tables, planes);
            } else {
                canvas.load(self.split.image(index));
                let path = [self.options.epoch, index as u64];
                self.recipe.apply(canvas, &mut Random::stream(self.options.seed, &path));
                normalize(canvas.pixels(), &self.tables, planes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use goldcrest_engine::shape::Shape;

    use super::*;
    use crate::{glyphs, normalization::half};

    fn recipe() -> AugmentRecipe {
        "flip,rotate=15,crop=4,cutout=8,jitter=0.2,mixup=0.4,cutmix=1".parse().unwrap()
    }

    fn all(split: &Split, options: &BatchOptions) -> Vec<Batch> {
        Batches::new(split, &recipe(), &half(3), options).collect()
    }

    #[test]
    fn plain_batches_are_the_images_in_order() {
        let split = Split::new(Shape::new(1, 2, 3), (0..42).collect(), vec![3, 1, 4, 1, 5, 9, 2]);
        let normalization = Normalization { mean: vec![0.0; 3], std: vec![1.0 / 255.0; 3] };
        let batches: Vec<Batch> = Batches::plain(&split, &normalization, 3).collect();
        assert_eq!(batches.iter().map(Batch::len).collect::<Vec<_>>(), [3, 3, 1]);
        let labels: Vec<i64> = batches.iter().flat_map(|batch| batch.labels.clone()).collect();
        assert_eq!(labels, [3, 1, 4, 1, 5, 9, 2]);
        let rounded: Vec<i32> = batches[0].images.iter().map(|value| value.round() as i32).collect();
        assert_eq!(rounded[..12], [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
        assert_eq!(batches[2].images.len(), 6);
    }

    #[test]
    fn every_image_comes_once_in_an_order_of_the_epoch() {
        let pixels = (0..100u8).flat_map(|n| [n; 3]).collect();
        let split = Split::new(Shape::new(1, 1, 3), pixels, (0..100).collect());
        let order = |epoch, seed| -> Vec<i64> {
            let options = BatchOptions { size: 7, epoch, seed, ..BatchOptions::default() };
            Batches::new(&split, &AugmentRecipe::default(), &half(3), &options)
                .flat_map(|batch| {
                    let matches = |(at, &label): (usize, &i64)| {
                        (batch.images[3 * at] * 127.5 + 127.5).round() as i64 == label
                    };
                    assert!(batch.labels.iter().enumerate().all(matches));
                    batch.labels
                })
                .collect()
        };
        let first = order(0, 1);
        assert_eq!(first, order(0, 1));
        assert_ne!(first, order(1, 1));
        assert_ne!(first, order(0, 2));
        let mut sorted = first;
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(0..100));
    }

    #[test]
    fn the_number_of_threads_and_a_resume_change_nothing() {
        let split = glyphs::draw(200, 10, 1).train;
        let options = BatchOptions { size: 16, seed: 5, epoch: 3, threads: 1, ..BatchOptions::default() };
        let whole = all(&split, &options);
        assert_eq!(whole.len(), 13);
        assert_eq!(all(&split, &BatchOptions { threads: 3, ..options.clone() }), whole);
        assert_eq!(all(&split, &BatchOptions { start: 5, threads: 2, ..options.clone() }), whole[5..]);
        assert_ne!(all(&split, &BatchOptions { epoch: 4, ..options.clone() }), whole);
        let dropped = all(&split, &BatchOptions { drop_last: true, ..options.clone() });
        assert_eq!(dropped, whole[..12]);
        assert!(all(&split, &BatchOptions { start: 13, ..options.clone() }).is_empty());
        assert!(all(&split, &BatchOptions { start: 99, ..options }).is_empty());
    }

    #[test]
    fn recycled_memory_is_used_again_and_leaves_no_trace() {
        let split = glyphs::draw(320, 10, 1).train;
        let options = BatchOptions { size: 16, threads: 1, ..BatchOptions::default() };
        let fresh = all(&split, &options);
        let mut batches = Batches::new(&split, &recipe(), &half(3), &options);
        let mut addresses = std::collections::BTreeSet::new();
        for expected in &fresh {
            let batch = batches.next().unwrap();
            assert_eq!(batch, *expected);
            addresses.insert(batch.images.as_ptr() as usize);
            batches.recycle(Batch { labels: vec![77; 99], ..batch });
        }
        assert!(addresses.len() <= AHEAD + 3, "{} buffers", addresses.len());
        assert!(batches.next().is_none());
    }

    #[test]
    fn can_be_dropped_half_way_and_counts_what_is_left() {
        let split = glyphs::draw(200, 10, 1).train;
        let mut batches = Batches::plain(&split, &half(3), 10);
        assert_eq!(batches.len(), 20);
        batches.next();
        assert_eq!(batches.len(), 19);
        assert!(batches.waited() < Duration::from_secs(5));
        drop(batches);
        assert_eq!(Batches::plain(&split.head(0), &half(3), 10).count(), 0);
    }

    #[test]
    fn mixed_images_are_of_two_classes() {
        let split = glyphs::draw(64, 10, 1).train;
        let options = BatchOptions { size: 16, ..BatchOptions::default() };
        let mut shares = Vec::new();
        for batch in all(&split, &options) {
            assert_eq!(batch.partners.len(), batch.len());
            batch.shares(10, &mut shares);
            for (at, row) in shares.chunks(10).enumerate() {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
                let largest = row[batch.main_labels()[at] as usize];
                assert!(row.iter().all(|&share| share <= largest), "{row:?}");
            }
            assert!(shares.iter().any(|share| (0.01..0.99).contains(share)), "share {}", batch.share);
        }
        let plain = Batches::plain(&split, &half(3), 16).next().unwrap();
        plain.shares(10, &mut shares);
        assert!(shares.iter().all(|&share| share == 0.0 || share == 1.0));
        assert_eq!(plain.main_labels(), plain.labels);
    }

    #[derive(Debug)]
    struct Failing;

    impl std::fmt::Display for Failing {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("failing")
        }
    }

    impl crate::augment::Augment for Failing {
        fn apply(&self, _: &mut Canvas, _: &mut Random) {
            panic!("augmentation failed");
        }
    }

    #[test]
    #[should_panic(expected = "augmentation failed")]
    fn a_panic_in_a_thread_reaches_the_caller() {
        let split = glyphs::draw(20, 10, 1).train;
        let recipe = AugmentRecipe::default().with(Failing);
        Batches::new(&split, &recipe, &half(3), &BatchOptions::default()).next();
    }
}
