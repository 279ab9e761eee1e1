//! Convolutions of many channels with many channels, all of them in lanes.
//!
//! A vector holds as many output channels at one position; each number of the input is multiplied with the
//! weights that lead from it to them. Compared with planes ([`super::plane`]) no column between the rows is
//! computed for nothing, a stride costs nothing, and the gradient of the weights needs no sums over lanes,
//! but output channels must fill the lanes.

use super::dense_loops::GROUPS;
use super::level::{Level, Work, at_level};
use super::memory::{Gradients, PARTS, Parallel, Scratch, Shared, add_parts};
use super::plane::Geometry;
use super::transpose::Transpose;
use super::turned::{Pass, Plane, Turned, gather, scatter};

/// A convolution without groups, prepared for its shapes.
#[derive(Clone, Debug)]
pub struct Dense {
    inputs: usize,
    outputs: usize,
    taps: usize,
    level: Level,
    turned: Turned,
}

impl Dense {
    /// For a geometry with one group whose output channels fill vectors of the level, and where turning pays:
    /// not for a few inputs, and not where nothing but products is wanted of each position.
    pub fn new(geometry: &Geometry, level: Level) -> Option<Self> {
        let Geometry { groups, inputs, outputs, kernel, stride, .. } = *geometry;
        let fits = groups == 1 && outputs % level.lanes() == 0;
        let pays = 2 * inputs >= level.lanes() && (kernel, stride) != ([1, 1], [1, 1]);
        let turned = || Turned::new(geometry, level.lanes());
        (fits && pays).then(|| Self { inputs, outputs, taps: kernel[0] * kernel[1], level, turned: turned() })
    }

    /// Floats of an image of the input and of the output.
    fn sizes(&self) -> [usize; 2] {
        let Turned { input, output, .. } = &self.turned;
        [self.inputs * input.places.len(), self.outputs * output.places.len()]
    }

    /// The number of images, once it is certain that all sizes fit.
    fn images(&self, x: &[f32], y: &[f32], w: &[f32]) -> usize {
        let [x_size, y_size] = self.sizes();
        let images = x.len() / x_size;
        let w_size = self.inputs * self.outputs * self.taps;
        assert_eq!((x.len(), y.len(), w.len()), (images * x_size, images * y_size, w_size));
        images
    }

    /// `y = x * w + bias`, all images.
    pub fn forward(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32], parallel: Parallel) {
        let ([x_size, y_size], images) = (self.sizes(), self.images(x, y, w));
        let parts = images.clamp(1, PARTS);
        let mut weights = Vec::with_capacity(w.len());
        self.pack(&self.turned.forth, [self.outputs, self.inputs], &mut weights, |output, input, tap| {
            w[(output * self.inputs + input) * self.taps + tap]
        });
        let start = bias.map_or_else(|| vec![0.0; self.outputs], <[f32]>::to_vec);
        let (y, weights, start) = (Shared::new(y), &weights[..], &start[..]);
        parallel(parts, &|part| {
            let (first, last) = (part * images / parts, (part + 1) * images / parts);
            let x = &x[first * x_size..last * x_size];
            // SAFETY: every part has its own images.
            let y = unsafe { y.part(first * y_size, (last - first) * y_size) };
            at_level(self.level, Forward { dense: self, x, weights, start, y });
        });
    }

    /// Gradients of the input and of the weights, each where it is wanted.
    pub fn backward(&self, dy: &[f32], x: &[f32], w: &[f32], wanted: Gradients, parallel: Parallel) {
        let Gradients { dx, dw, .. } = wanted;
        let ([x_size, y_size], images) = (self.sizes(), self.images(x, dy, w));
        let parts = images.clamp(1, PARTS);
        let mut weights = Vec::new();
        if dx.is_some() {
            for pass in &self.turned.back {
                self.pack(pass, [self.inputs, self.outputs], &mut weights, |input, output, tap| {
                    w[(output * self.inputs + input) * self.taps + tap]
                });
            }
        }
        let wants_dw = dw.is_some();
        // Weights lie as [tap][input][output] here.
        let sums_size = if wants_dw { parts * w.len() } else { 0 };
        let mut sums = Scratch::new(sums_size);
        let sums = &mut sums[..sums_size];
        let (dx, shared, weights) = (dx.map(Shared::new), Shared::new(sums), &weights[..]);
        parallel(parts, &|part| {
            let (first, last) = (part * images / parts, (part + 1) * images / parts);
            let (dy, x) = (&dy[first * y_size..last * y_size], &x[first * x_size..last * x_size]);
            // SAFETY: every part has its own images and its own sums.
            let wanted = unsafe {
                let dx = dx.as_ref().map(|dx| dx.part(first * x_size, (last - first) * x_size));
                [dx, wants_dw.then(|| shared.part(part * w.len(), w.len()))]
            };
            at_level(self.level, Backward { dense: self, dy, x, weights, wanted });
        });
        if let Some(dw) = dw {
            let mut sum = vec![0.0; w.len()];
            add_parts(sums, &mut sum);
            for (output, dw) in dw.chunks_exact_mut(self.inputs * self.taps).enumerate() {
                for (at, dw) in dw.iter_mut().enumerate() {
                    let (input, tap) = (at / self.taps, at % self.taps);
                    *dw = sum[(tap * self.inputs + input) * self.outputs + output];
                }
            }
        }
    }

    /// Appends the weights of a pass that makes `channels` from `numbers` to `to`, in the order in which it
    /// takes them; lanes left over are 0.
    fn pack(
        &self,
        pass: &Pass,
        [channels, numbers]: [usize; 2],
        to: &mut Vec<f32>,
        weight: impl Fn(usize, usize, usize) -> f32,
    ) {
        let lanes = self.level.lanes();
        for (first, count) in pass.groups(channels.div_ceil(lanes)) {
            for block in (0..numbers).step_by(lanes) {
                for &(_, tap) in &pass.taps {
                    for number in block..numbers.min(block + lanes) {
                        to.extend((first * lanes..(first + count) * lanes).map(|channel| {
                            if channel < channels { weight(channel, number, tap) } else { 0.0 }
                        }));
                    }
                }
            }
        }
    }

    /// Turns all channels of an image into planes, one after the other.
    ///
    /// # Safety
    /// As for [`Transpose`].
    #[inline(always)]
    unsafe fn turn<S: Transpose>(image: &[f32], plane: &Plane, planes: &mut [f32]) {
        let area = plane.places.len();
        for (channels, to) in image.chunks(S::LANES * area).zip(planes.chunks_exact_mut(plane.floats)) {
            // SAFETY: the caller's promise; places are inside of a plane.
            unsafe { gather::<S>(channels, channels.len() / area, &plane.places, to) };
        }
    }

    /// The reverse, from planes without zeros around.
    ///
    /// # Safety
    /// As for [`Transpose`].
    #[inline(always)]
    unsafe fn turn_back<S: Transpose>(planes: &[f32], area: usize, image: &mut [f32]) {
        for (from, channels) in planes.chunks_exact(S::LANES * area).zip(image.chunks_mut(S::LANES * area)) {
            let count = channels.len() / area;
            // SAFETY: the caller's promise.
            unsafe { scatter::<S>(from, channels, count) };
        }
    }
}

/// Planes for that many channels, all 0.
fn zeros(channels: usize, lanes: usize, floats: usize) -> Scratch {
    let length = channels.div_ceil(lanes) * floats;
    let mut planes = Scratch::new(length);
    planes[..length].fill(0.0);
    planes
}

struct Forward<'a> {
    dense: &'a Dense,
    x: &'a [f32],
    weights: &'a [f32],
    start: &'a [f32],
    y: &'a mut [f32],
}

impl Work for Forward<'_> {
    #[inline(always)]
    unsafe fn run<S: Transpose>(self) {
        let Self { dense, x, weights, start, y } = self;
        let (Turned { input, output, forth, .. }, [x_size, y_size]) = (&dense.turned, dense.sizes());
        let area = output.places.len();
        let mut planes = zeros(dense.inputs, S::LANES, input.floats);
        let mut results = Scratch::new(dense.outputs * area);
        for (x, y) in x.chunks_exact(x_size).zip(y.chunks_exact_mut(y_size)) {
            // SAFETY: the planes have the sizes that the passes were made for, and the weights were packed
            // for them.
            unsafe {
                Dense::turn::<S>(x, input, &mut planes);
                let mut weights = weights.as_ptr();
                for (first, count) in forth.groups(dense.outputs / S::LANES) {
                    let start = start.as_ptr().add(first * S::LANES);
                    let to = results.as_mut_ptr().add(first * S::LANES * area);
                    let from = (planes.as_ptr(), input.floats, dense.inputs);
                    forth.multiply::<S>(count, start, weights, from, (to, S::LANES * area));
                    weights = weights.add(count * S::LANES * dense.inputs * dense.taps);
                }
                Dense::turn_back::<S>(&results[..dense.outputs * area], area, y);
            }
        }
    }
}

struct Backward<'a> {
    dense: &'a Dense,
    dy: &'a [f32],
    x: &'a [f32],
    weights: &'a [f32],
    /// `dx` and `dw`.
    wanted: [Option<&'a mut [f32]>; 2],
}

impl Work for Backward<'_> {
    #[inline(always)]
    unsafe fn run<S: Transpose>(self) {
        let Self { dense, dy, x, weights, wanted: [mut dx, mut dw] } = self;
        let (Turned { input, output, forth, back }, [x_size, y_size]) = (&dense.turned, dense.sizes());
        let area = input.places.len();
        let vectors = dense.inputs.div_ceil(S::LANES);
        let mut dy_planes = zeros(dense.outputs, S::LANES, output.floats);
        let mut planes = zeros(dense.inputs, S::LANES, input.floats);
        let mut results = Scratch::new(vectors * S::LANES * area);
        let start = [0.0; GROUPS * 16];
        if let Some(dw) = &mut dw {
            dw.fill(0.0);
        }
        for (image, dy) in dy.chunks_exact(y_size).enumerate() {
            // SAFETY: the planes have the sizes that the passes were made for, and the weights were packed
            // for them.
            unsafe {
                Dense::turn::<S>(dy, output, &mut dy_planes);
                if let Some(dx) = &mut dx {
                    let mut weights = weights.as_ptr();
                    for pass in back {
                        for (first, count) in pass.groups(vectors) {
                            let to = results.as_mut_ptr().add(first * S::LANES * area);
                            let from = (dy_planes.as_ptr(), output.floats, dense.outputs);
                            pass.multiply::<S>(count, start.as_ptr(), weights, from, (to, S::LANES * area));
                            weights = weights.add(count * S::LANES * dense.outputs * pass.taps.len());
                        }
                    }
                    let dx = &mut dx[image * x_size..][..x_size];
                    Dense::turn_back::<S>(&results[..vectors * S::LANES * area], area, dx);
                }
                if let Some(dw) = &mut dw {
                    Dense::turn::<S>(&x[image * x_size..][..x_size], input, &mut planes);
                    let dy = (dy_planes.as_ptr().add(output.places[0]), output.floats, output.row);
                    let from = (planes.as_ptr(), input.floats, dense.inputs);
                    forth.products::<S>(dense.outputs, dy, from, dw.as_mut_ptr());
                }
            }
        }
    }
}
