//! Depthwise convolutions: each channel is convolved on its own, with a kernel of its own.
//!
//! Only as many products belong to each value as a kernel has taps, so nothing may be done for single values.
//! As many channels as a vector has lanes are turned ([`super::transpose`]) so that one vector holds their
//! values at one position; then a tap is one multiplication for all of them, whatever the kernel, stride,
//! dilation and padding, and however small the image. The images of a part are taken one after the other
//! through planes that stay in the cache of a core; the zeros around an image are written once.

use super::level::{Level, Work, at_level};
use super::memory::{Gradients, PARTS, Parallel, Scratch, Shared, add_parts};
use super::plane::Geometry;
use super::transpose::Transpose;
use super::turned::{Turned, gather, scatter};

/// A depthwise convolution, prepared for its shapes.
#[derive(Clone, Debug)]
pub struct Depthwise {
    channels: usize,
    taps: usize,
    level: Level,
    turned: Turned,
}

impl Depthwise {
    /// For a geometry with one input and one output channel in each group, and what vectors there are.
    pub fn new(geometry: &Geometry, level: Level) -> Self {
        let Geometry { groups, kernel, .. } = *geometry;
        let level = match level {
            // Half of the lanes would be empty.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 if groups <= 8 => Level::Avx2,
            level => level,
        };
        Self {
            channels: groups,
            taps: kernel[0] * kernel[1],
            level,
            turned: Turned::new(geometry, level.lanes()),
        }
    }

    /// Floats of an image of the input and of the output.
    fn sizes(&self) -> [usize; 2] {
        [&self.turned.input, &self.turned.output].map(|plane| self.channels * plane.places.len())
    }

    /// `y = x * w + bias`, all images.
    pub fn forward(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32], parallel: Parallel) {
        let [x_size, y_size] = self.sizes();
        let images = x.len() / x_size;
        assert_eq!(
            (x.len(), y.len(), w.len()),
            (images * x_size, images * y_size, self.channels * self.taps)
        );
        let parts = images.clamp(1, PARTS);
        let y = Shared::new(y);
        parallel(parts, &|part| {
            let (first, last) = (part * images / parts, (part + 1) * images / parts);
            let x = &x[first * x_size..last * x_size];
            // SAFETY: every part has its own images.
            let y = unsafe { y.part(first * y_size, (last - first) * y_size) };
            at_level(self.level, Forward { depthwise: self, x, w, bias, y });
        });
    }

    /// Gradients of the input and of the weights, each where it is wanted.
    pub fn backward(&self, dy: &[f32], x: &[f32], w: &[f32], wanted: Gradients, parallel: Parallel) {
        let Gradients { dx, dw, .. } = wanted;
        let ([x_size, y_size], w_size) = (self.sizes(), w.len());
        let images = x.len() / x_size;
        assert_eq!(
            (x.len(), dy.len(), w_size),
            (images * x_size, images * y_size, self.channels * self.taps)
        );
        let parts = images.clamp(1, PARTS);
        let wants_dw = dw.is_some();
        let mut sums = vec![0.0; if wants_dw { parts * w_size } else { 0 }];
        let (dx, shared) = (dx.map(Shared::new), Shared::new(&mut sums));
        parallel(parts, &|part| {
            let (first, last) = (part * images / parts, (part + 1) * images / parts);
            let (dy, x) = (&dy[first * y_size..last * y_size], &x[first * x_size..last * x_size]);
            // SAFETY: every part has its own images and its own sums.
            let wanted = unsafe {
                let dx = dx.as_ref().map(|dx| dx.part(first * x_size, (last - first) * x_size));
                [dx, wants_dw.then(|| shared.part(part * w_size, w_size))]
            };
            at_level(self.level, Backward { depthwise: self, read: [dy, x, w], wanted });
        });
        if let Some(dw) = dw {
            add_parts(&sums, dw);
        }
    }

    /// First channel and number of channels of each vector.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.channels)
            .step_by(self.level.lanes())
            .map(|first| (first, self.level.lanes().min(self.channels - first)))
    }

    /// A value per channel and tap, as vectors over channels from `first` on; the lanes left over are 0.
    fn turned(&self, values: &[f32], first: usize, count: usize) -> Vec<f32> {
        let taps = values.len() / self.channels;
        let mut turned = vec![0.0; taps * self.level.lanes()];
        for (lane, values) in values.chunks_exact(taps).skip(first).take(count).enumerate() {
            values
                .iter()
                .enumerate()
                .for_each(|(tap, value)| turned[tap * self.level.lanes() + lane] = *value);
        }
        turned
    }

    #[inline(always)]
    unsafe fn forward_with<S: Transpose>(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        let [x_size, y_size] = self.sizes();
        let (x_area, y_area) = (self.turned.input.places.len(), self.turned.output.places.len());
        let mut plane = Scratch::new(self.turned.input.floats);
        plane[..self.turned.input.floats].fill(0.0);
        let mut result = Scratch::new(y_area * S::LANES);
        for (first, count) in self.blocks() {
            let weights = self.turned(w, first, count);
            let bias = bias.map_or_else(|| vec![0.0; S::LANES], |bias| self.turned(bias, first, count));
            for (x, y) in x.chunks_exact(x_size).zip(y.chunks_exact_mut(y_size)) {
                // SAFETY: the planes have the sizes that the places and passes were made for.
                unsafe {
                    gather::<S>(&x[first * x_area..], count, &self.turned.input.places, &mut plane);
                    let start = S::load(bias.as_ptr());
                    self.turned.forth.run::<S>(start, weights.as_ptr(), plane.as_ptr(), result.as_mut_ptr());
                    scatter::<S>(&result, &mut y[first * y_area..][..count * y_area], count);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn backward_with<S: Transpose>(
        &self,
        [dy, x, w]: [&[f32]; 3],
        [mut dx, mut dw]: [Option<&mut [f32]>; 2],
    ) {
        let [x_size, y_size] = self.sizes();
        let (x_area, y_area) = (self.turned.input.places.len(), self.turned.output.places.len());
        let mut dy_plane = Scratch::new(self.turned.output.floats);
        dy_plane[..self.turned.output.floats].fill(0.0);
        let mut plane = Scratch::new(self.turned.input.floats);
        plane[..self.turned.input.floats].fill(0.0);
        let mut result = Scratch::new(x_area * S::LANES);
        for (first, count) in self.blocks() {
            let weights = self.turned(w, first, count);
            let mut sums = vec![0.0; self.taps * S::LANES];
            for (image, dy) in dy.chunks_exact(y_size).enumerate() {
                // SAFETY: the planes have the sizes that the places and passes were made for.
                unsafe {
                    gather::<S>(&dy[first * y_area..], count, &self.turned.output.places, &mut dy_plane);
                    if let Some(dx) = &mut dx {
                        for pass in &self.turned.back {
                            let (from, to) = (dy_plane.as_ptr(), result.as_mut_ptr());
                            pass.run::<S>(S::splat(0.0), weights.as_ptr(), from, to);
                        }
                        let dx = &mut dx[image * x_size + first * x_area..][..count * x_area];
                        scatter::<S>(&result, dx, count);
                    }
                    if dw.is_some() {
                        let x = &x[image * x_size + first * x_area..];
                        gather::<S>(x, count, &self.turned.input.places, &mut plane);
                        let dy = dy_plane.as_ptr().add(self.turned.output.places[0]);
                        self.turned.forth.sums::<S>(
                            dy,
                            self.turned.output.row,
                            plane.as_ptr(),
                            sums.as_mut_ptr(),
                        );
                    }
                }
            }
            if let Some(dw) = &mut dw {
                for (lane, dw) in dw.chunks_exact_mut(self.taps).skip(first).take(count).enumerate() {
                    dw.iter_mut().enumerate().for_each(|(tap, dw)| *dw = sums[tap * S::LANES + lane]);
                }
            }
        }
    }
}

struct Forward<'a> {
    depthwise: &'a Depthwise,
    x: &'a [f32],
    w: &'a [f32],
    bias: Option<&'a [f32]>,
    y: &'a mut [f32],
}

impl Work for Forward<'_> {
    #[inline(always)]
    unsafe fn run<S: Transpose>(self) {
        // SAFETY: the caller's promise.
        unsafe { self.depthwise.forward_with::<S>(self.x, self.w, self.bias, self.y) }
    }
}

struct Backward<'a> {
    depthwise: &'a Depthwise,
    /// `dy`, `x` and `w`.
    read: [&'a [f32]; 3],
    /// `dx` and `dw`.
    wanted: [Option<&'a mut [f32]>; 2],
}

impl Work for Backward<'_> {
    #[inline(always)]
    unsafe fn run<S: Transpose>(self) {
        // SAFETY: the caller's promise.
        unsafe { self.depthwise.backward_with::<S>(self.read, self.wanted) }
    }
}
