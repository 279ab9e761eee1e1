//! Depthwise convolutions: each channel is convolved on its own, with a kernel of its own.
//!
//! Only as many products belong to each value as a kernel has taps, so nothing may be done for single values.
//! As many channels as a vector has lanes are turned ([`super::transpose`]) so that one vector holds their values
//! at one position; then a tap is one multiplication for all of them, whatever the kernel, stride, dilation and
//! padding, and however small the image. The images of a part are taken one after the other through planes that
//! stay in the cache of a core; the zeros around an image are written once.
//!
//! The gradient of the input is such a convolution as well, one for each phase of the stride: input row `y` gets
//! something from output row `r` over kernel row `i` where `y + padding = r * stride + i * dilation`.

use super::level::{Level, Work, at_level};
use super::memory::{Gradients, PARTS, Parallel, Scratch, Shared, add_parts};
use super::pass::Pass;
use super::plane::Geometry;
use super::transpose::Transpose;

/// The widest vector.
const LANES: usize = 16;

/// A depthwise convolution, prepared for its shapes.
#[derive(Clone, Debug)]
pub struct Depthwise {
    channels: usize,
    taps: usize,
    level: Level,
    lanes: usize,
    input: Plane,
    output: Plane,
    forth: Pass,
    /// One for each phase that an input position has.
    back: Vec<Pass>,
}

/// An image of turned channels with zeros around; distances in floats.
#[derive(Clone, Debug)]
struct Plane {
    /// Of the whole plane.
    floats: usize,
    row: usize,
    /// Of each position of the image.
    places: Vec<usize>,
}

impl Plane {
    /// `margin` positions before the image, `size` positions in all.
    fn new([rows, columns]: [usize; 2], margin: [usize; 2], size: [usize; 2], lanes: usize) -> Self {
        let row = size[1] * lanes;
        let place = |position: usize| {
            (margin[0] + position / columns) * row + (margin[1] + position % columns) * lanes
        };
        Self { floats: size[0] * row, row, places: (0..rows * columns).map(place).collect() }
    }
}

impl Depthwise {
    /// For a geometry with one input and one output channel in each group, and what vectors there are.
    pub fn new(geometry: &Geometry, level: Level) -> Self {
        let Geometry { groups, input, output, kernel, stride, dilation, padding, .. } = *geometry;
        let level = match level {
            // Half of the lanes would be empty.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 if groups <= 8 => Level::Avx2,
            level => level,
        };
        let lanes = level.lanes();
        // Where the last tap reaches, in input rows and columns, and in output ones.
        let last = [0, 1].map(|axis| (kernel[axis] - 1) * dilation[axis]);
        let far = [0, 1].map(|axis| last[axis] / stride[axis]);
        let read = [0, 1].map(|axis| {
            ((output[axis] - 1) * stride[axis] + last[axis] + 1).max(padding[axis] + input[axis])
        });
        let reached = [0, 1]
            .map(|axis| output[axis].max((input[axis] + padding[axis] - 1) / stride[axis] + 1) + far[axis]);
        let input_plane = Plane::new(input, padding, read, lanes);
        let output_plane = Plane::new(output, far, reached, lanes);
        let taps: Vec<[usize; 2]> = (0..kernel[0] * kernel[1])
            .map(|tap| [tap / kernel[1] * dilation[0], tap % kernel[1] * dilation[1]])
            .collect();
        let forth = Pass {
            rows: output[0],
            columns: output[1],
            from: [0, stride[0] * input_plane.row, stride[1] * lanes],
            to: [0, output[1] * lanes, lanes],
            taps: taps.iter().map(|[i, j]| i * input_plane.row + j * lanes).zip(0..).collect(),
        };
        let mut back = Vec::new();
        for phase in (0..stride[0] * stride[1]).map(|phase| [phase / stride[1], phase % stride[1]]) {
            // The first output position that belongs to the phase, and the input position it is found at.
            let first = [0, 1].map(|axis| padding[axis].saturating_sub(phase[axis]).div_ceil(stride[axis]));
            let at = [0, 1].map(|axis| first[axis] * stride[axis] + phase[axis] - padding[axis]);
            let count = [0, 1].map(|axis| input[axis].saturating_sub(at[axis]).div_ceil(stride[axis]));
            let reaches = |tap: &[usize; 2]| [0, 1].map(|axis| tap[axis] % stride[axis]) == phase;
            let place = |[i, j]: &[usize; 2]| {
                (far[0] - i / stride[0]) * output_plane.row + (far[1] - j / stride[1]) * lanes
            };
            back.push(Pass {
                rows: count[0],
                columns: count[1],
                from: [first[0] * output_plane.row + first[1] * lanes, output_plane.row, lanes],
                to: [(at[0] * input[1] + at[1]) * lanes, stride[0] * input[1] * lanes, stride[1] * lanes],
                taps: taps
                    .iter()
                    .enumerate()
                    .filter(|(_, tap)| reaches(tap))
                    .map(|(w, tap)| (place(tap), w))
                    .collect(),
            });
        }
        let (input, output) = (input_plane, output_plane);
        Self { channels: groups, taps: taps.len(), level, lanes, input, output, forth, back }
    }

    /// Floats of an image of the input and of the output.
    fn sizes(&self) -> [usize; 2] {
        [&self.input, &self.output].map(|plane| self.channels * plane.places.len())
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
        (0..self.channels).step_by(self.lanes).map(|first| (first, self.lanes.min(self.channels - first)))
    }

    /// A value per channel and tap, as vectors over channels from `first` on; the lanes left over are 0.
    fn turned(&self, values: &[f32], first: usize, count: usize) -> Vec<f32> {
        let taps = values.len() / self.channels;
        let mut turned = vec![0.0; taps * self.lanes];
        for (lane, values) in values.chunks_exact(taps).skip(first).take(count).enumerate() {
            values.iter().enumerate().for_each(|(tap, value)| turned[tap * self.lanes + lane] = *value);
        }
        turned
    }

    #[inline(always)]
    unsafe fn forward_with<S: Transpose>(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        let [x_size, y_size] = self.sizes();
        let (x_area, y_area) = (self.input.places.len(), self.output.places.len());
        let mut plane = Scratch::new(self.input.floats);
        plane[..self.input.floats].fill(0.0);
        let mut result = Scratch::new(y_area * S::LANES);
        for (first, count) in self.blocks() {
            let weights = self.turned(w, first, count);
            let bias = bias.map_or_else(|| vec![0.0; S::LANES], |bias| self.turned(bias, first, count));
            for (x, y) in x.chunks_exact(x_size).zip(y.chunks_exact_mut(y_size)) {
                // SAFETY: the planes have the sizes that the places and passes were made for.
                unsafe {
                    gather::<S>(&x[first * x_area..], count, &self.input.places, &mut plane);
                    let start = S::load(bias.as_ptr());
                    self.forth.run::<S>(start, weights.as_ptr(), plane.as_ptr(), result.as_mut_ptr());
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
        let (x_area, y_area) = (self.input.places.len(), self.output.places.len());
        let mut dy_plane = Scratch::new(self.output.floats);
        dy_plane[..self.output.floats].fill(0.0);
        let mut plane = Scratch::new(self.input.floats);
        plane[..self.input.floats].fill(0.0);
        let mut result = Scratch::new(x_area * S::LANES);
        for (first, count) in self.blocks() {
            let weights = self.turned(w, first, count);
            let mut sums = vec![0.0; self.taps * S::LANES];
            for (image, dy) in dy.chunks_exact(y_size).enumerate() {
                // SAFETY: the planes have the sizes that the places and passes were made for.
                unsafe {
                    gather::<S>(&dy[first * y_area..], count, &self.output.places, &mut dy_plane);
                    if let Some(dx) = &mut dx {
                        for pass in &self.back {
                            let (from, to) = (dy_plane.as_ptr(), result.as_mut_ptr());
                            pass.run::<S>(S::splat(0.0), weights.as_ptr(), from, to);
                        }
                        let dx = &mut dx[image * x_size + first * x_area..][..count * x_area];
                        scatter::<S>(&result, dx, count);
                    }
                    if dw.is_some() {
                        let x = &x[image * x_size + first * x_area..];
                        gather::<S>(x, count, &self.input.places, &mut plane);
                        let dy = dy_plane.as_ptr().add(self.output.places[0]);
                        self.forth.sums::<S>(dy, self.output.row, plane.as_ptr(), sums.as_mut_ptr());
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

/// Lays `count` channels of an image out as vectors, at the places of a plane.
///
/// # Safety
/// As for [`Transpose`]; the places must be inside the plane.
#[inline(always)]
unsafe fn gather<S: Transpose>(image: &[f32], count: usize, places: &[usize], plane: &mut [f32]) {
    let area = places.len();
    assert!(image.len() >= count * area);
    let channels: [usize; LANES] = std::array::from_fn(|channel| channel * area);
    for (square, places) in places.chunks(S::LANES).enumerate() {
        // SAFETY: in bounds by the assertion, and by the caller's promise.
        unsafe {
            let from = image.as_ptr().add(square * S::LANES);
            S::transpose(from, &channels[..count], places.len(), plane.as_mut_ptr(), places, S::LANES);
        }
    }
}

/// The reverse, from vectors that lie one after the other.
///
/// # Safety
/// As for [`Transpose`].
#[inline(always)]
unsafe fn scatter<S: Transpose>(vectors: &[f32], image: &mut [f32], count: usize) {
    let area = image.len() / count;
    assert!(vectors.len() >= area * S::LANES);
    let channels: [usize; LANES] = std::array::from_fn(|channel| channel * area);
    let positions: [usize; LANES] = std::array::from_fn(|position| position * S::LANES);
    for first in (0..area).step_by(S::LANES) {
        let length = S::LANES.min(area - first);
        // SAFETY: in bounds by the assertion.
        unsafe {
            let from = vectors.as_ptr().add(first * S::LANES);
            let to = image.as_mut_ptr().add(first);
            S::transpose(from, &positions[..length], S::LANES, to, &channels[..count], length);
        }
    }
}
