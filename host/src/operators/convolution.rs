//! A convolution and its gradients over whole batches.

use std::sync::{Mutex, PoisonError};

use super::depthwise::{self, Plane};
use super::multiply::{self, Correlate, Products, SLACK};
use super::plane::{Geometry, Layout};
use super::simd::Level;

/// Runs a function for each number below a count, in any order, on any threads.
pub type Parallel<'a> = &'a dyn Fn(usize, &(dyn Fn(usize) + Sync));

/// Sums of weight gradients are kept apart in so many parts, whatever the number of threads, so that the
/// order of additions, and with it every bit, is the same on all machines of one kind.
const PARTS: usize = 16;

/// A convolution, prepared for its shapes.
#[derive(Clone, Debug)]
pub struct Convolution {
    layout: Layout,
    level: Level,
    /// How images are convolved where they lie, where that pays.
    depthwise: Option<[Plane; 2]>,
}

/// Where the gradients go that are wanted.
#[derive(Debug, Default)]
pub struct Gradients<'a> {
    /// Of the input.
    pub dx: Option<&'a mut [f32]>,
    /// Of the weights.
    pub dw: Option<&'a mut [f32]>,
    /// Of the bias.
    pub db: Option<&'a mut [f32]>,
}

/// Memory of tasks, kept for the next ones.
static SPARE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// Memory that is given back when dropped; holds old numbers.
struct Scratch(Vec<f32>);

impl Scratch {
    fn new(length: usize) -> Self {
        let mut memory = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        if memory.len() < length {
            memory.resize(length, 0.0);
        }
        Self(memory)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        SPARE.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.0));
    }
}

/// A slice that tasks write to in different places.
pub(super) struct Shared<'a>(*mut f32, usize, std::marker::PhantomData<&'a mut [f32]>);

// SAFETY: tasks write to ranges that do not overlap, see `part`.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    /// Shares a slice.
    pub(super) fn new(slice: &'a mut [f32]) -> Self {
        Self(slice.as_mut_ptr(), slice.len(), std::marker::PhantomData)
    }

    /// A part of the slice.
    ///
    /// # Safety
    /// No two parts that live at the same time may overlap.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn part(&self, start: usize, length: usize) -> &mut [f32] {
        assert!(start + length <= self.1);
        // SAFETY: in bounds; the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), length) }
    }
}

impl Convolution {
    /// Lays the planes out and looks at what the processor offers.
    pub fn new(geometry: Geometry) -> Self {
        let Geometry { inputs, outputs, input, output, kernel, stride, dilation, padding, .. } = geometry;
        let small = [inputs, outputs] == [1, 1]
            && (kernel, stride, dilation) == ([3, 3], [1, 1], [1, 1])
            && output
                .iter()
                .zip(input)
                .zip(padding)
                .all(|((output, input), padding)| output + 2 >= input + padding);
        let plane = Plane { from: input, to: output, padding };
        let depthwise = plane.reversed().filter(|_| small).map(|back| [plane, back]);
        Self { layout: Layout::of(geometry), level: Level::detect(), depthwise }
    }

    /// The same on another level than the best one.
    #[cfg(test)]
    fn at_level(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// Floats of an image of the input, of the output, and of the weights.
    pub fn sizes(&self) -> [usize; 3] {
        let Geometry { groups, inputs, outputs, input, output, kernel, .. } = self.layout.geometry;
        [
            groups * inputs * input[0] * input[1],
            groups * outputs * output[0] * output[1],
            groups * outputs * inputs * kernel[0] * kernel[1],
        ]
    }

    /// `y = x * w + bias`, all images: `[N, groups * inputs, ...]` to `[N, groups * outputs, ...]`.
    pub fn forward(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32], parallel: Parallel) {
        let Self { layout, level, .. } = self;
        let Geometry { groups, inputs, outputs, input, output, .. } = layout.geometry;
        let [x_size, y_size, w_size] = self.sizes();
        let batch = x.len() / x_size;
        assert_eq!((x.len(), y.len(), w.len()), (batch * x_size, batch * y_size, w_size));
        let (taps, w_group) = (layout.taps.len(), w_size / groups);
        let mut packed = Vec::with_capacity(w_size);
        for w in w.chunks_exact(w_group) {
            multiply::pack(*level, outputs, inputs, taps, &mut packed, |o, i, t| {
                w[(o * inputs + i) * taps + t]
            });
        }
        let y = Shared::new(y);
        let (x_area, y_area) = (input[0] * input[1], output[0] * output[1]);
        if let Some([plane, _]) = &self.depthwise {
            let image = |image: usize| {
                // SAFETY: every task has its own image.
                let y = unsafe { y.part(image * y_size, y_size) };
                let x = &x[image * x_size..][..x_size];
                let channels = x.chunks_exact(x_area).zip(y.chunks_exact_mut(y_area));
                for (channel, ((x, y), kernel)) in channels.zip(w.as_chunks().0).enumerate() {
                    plane.convolve(*level, x, kernel, bias.map_or(0.0, |bias| bias[channel]), y);
                }
            };
            return parallel(batch, &image);
        }
        let task = |task: usize| {
            let first = task * layout.images;
            let images = layout.images.min(batch - first);
            let (stride, out_stride) =
                (layout.input_stride(images), (images * layout.plane).next_multiple_of(SLACK));
            let phases = layout.phases.len();
            let offsets: Vec<isize> =
                layout.taps.iter().map(|&(phase, at)| (phase * stride + at) as isize).collect();
            let mut correlate = Correlate {
                stride: phases * stride,
                channels: inputs,
                taps: &offsets,
                output_stride: out_stride,
                positions: images * layout.plane,
            };
            // SAFETY: every task has its own images.
            let y = unsafe { y.part(first * y_size, images * y_size) };
            let bias_of = |channel: usize| bias.map_or(0.0, |bias| bias[channel]);
            if layout.direct {
                correlate.stride = x_area;
                correlate.taps = &[0];
                for group in 0..groups {
                    let from = &x[first * x_size + group * inputs * x_area..][..inputs * x_area];
                    let to = &mut y[group * outputs * y_area..][..outputs * y_area];
                    // SAFETY: planes are whole vectors long and lie one after the other in both.
                    unsafe {
                        correlate.run(
                            *level,
                            from.as_ptr(),
                            &packed[group * w_group..],
                            outputs,
                            to.as_mut_ptr(),
                        );
                    }
                    if bias.is_some() {
                        for (channel, to) in to.chunks_exact_mut(y_area).enumerate() {
                            let bias = bias_of(group * outputs + channel);
                            to.iter_mut().for_each(|to| *to += bias);
                        }
                    }
                }
                return;
            }
            let mut planes = Scratch::new(inputs * phases * stride);
            let mut results = Scratch::new(outputs * out_stride);
            for group in 0..groups {
                for image in 0..images {
                    for channel in 0..inputs {
                        let from =
                            &x[(first + image) * x_size + (group * inputs + channel) * x_area..][..x_area];
                        layout.spread(from, &mut planes.0[channel * phases * stride..], stride, image);
                    }
                }
                // SAFETY: the planes are long enough for every tap, see `Layout::input_stride`.
                unsafe {
                    let (from, to) = (planes.0.as_ptr(), results.0.as_mut_ptr());
                    correlate.run(*level, from, &packed[group * w_group..], outputs, to);
                }
                for image in 0..images {
                    for channel in 0..outputs {
                        let number = group * outputs + channel;
                        let plane = &results.0[channel * out_stride + image * layout.plane..];
                        let to = &mut y[image * y_size + number * y_area..][..y_area];
                        layout.take(plane, bias_of(number), to);
                    }
                }
            }
        };
        parallel(batch.div_ceil(layout.images), &task);
    }

    /// Gradients of the input, the weights and the bias, each where it is wanted.
    pub fn backward(&self, dy: &[f32], x: &[f32], w: &[f32], wanted: Gradients, parallel: Parallel) {
        let Gradients { dx, mut dw, db } = wanted;
        let Self { layout, level, .. } = self;
        let Geometry { groups, inputs, outputs, output, .. } = layout.geometry;
        let [x_size, y_size, w_size] = self.sizes();
        let batch = x.len() / x_size;
        assert_eq!((x.len(), dy.len(), w.len()), (batch * x_size, batch * y_size, w_size));
        let y_area = output[0] * output[1];
        if let Some(planes) = &self.depthwise {
            self.backward_depthwise(planes, [dy, x, w], [dx, dw.take()], parallel);
            return bias_gradient(dy, groups * outputs, y_area, db);
        }
        // For each phase, the taps that reach it.
        let phases: Vec<Vec<usize>> = (0..layout.phases.len())
            .map(|phase| (0..layout.taps.len()).filter(|&tap| layout.taps[tap].0 == phase).collect())
            .collect();
        let (taps, w_group) = (layout.taps.len(), w_size / groups);
        let mut packed = Vec::with_capacity(w_size);
        if dx.is_some() {
            for w in w.chunks_exact(w_group) {
                for reached in &phases {
                    multiply::pack(*level, inputs, outputs, reached.len(), &mut packed, |i, o, t| {
                        w[(o * inputs + i) * taps + reached[t]]
                    });
                }
            }
        }
        let tasks = batch.div_ceil(layout.images);
        let parts = tasks.clamp(1, PARTS);
        let mut sums = vec![0.0; if dw.is_some() { parts * w_size } else { 0 }];
        let wants_dw = dw.is_some();
        let (dx, shared) = (dx.map(Shared::new), Shared::new(&mut sums));
        let part = |part: usize| {
            let dw: &mut [f32] = match wants_dw {
                // SAFETY: every part has its own sums.
                true => unsafe { shared.part(part * w_size, w_size) },
                false => &mut [],
            };
            for task in part * tasks / parts..(part + 1) * tasks / parts {
                let first = task * layout.images;
                let images = layout.images.min(batch - first);
                let dx = dx.as_ref().map(|dx| {
                    // SAFETY: every task has its own images, and is run by one part.
                    unsafe { dx.part(first * x_size, images * x_size) }
                });
                let (dy, x) =
                    (&dy[first * y_size..][..images * y_size], &x[first * x_size..][..images * x_size]);
                self.task(dy, x, &packed, &phases, dx, dw);
            }
        };
        parallel(parts, &part);
        if let Some(dw) = &mut dw {
            dw.copy_from_slice(&sums[..w_size]);
            for part in sums[w_size..].chunks_exact(w_size) {
                dw.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
        }
        bias_gradient(dy, groups * outputs, y_area, db);
    }

    /// The gradients where images are convolved where they lie.
    fn backward_depthwise(
        &self,
        [forth, back]: &[Plane; 2],
        [dy, x, w]: [&[f32]; 3],
        [dx, dw]: [Option<&mut [f32]>; 2],
        parallel: Parallel,
    ) {
        let ([x_size, y_size, _], level) = (self.sizes(), self.level);
        let channels = self.layout.geometry.groups;
        let (x_area, y_area, images) = (x_size / channels, y_size / channels, x.len() / x_size);
        let [dx, dw] = [dx, dw].map(|slice| slice.map(Shared::new));
        let channel = |channel: usize| {
            if let Some(dx) = &dx {
                let mut kernel = w.as_chunks::<{ depthwise::TAPS }>().0[channel];
                kernel.reverse();
                for image in 0..images {
                    let dy = &dy[image * y_size + channel * y_area..][..y_area];
                    // SAFETY: every task has its own channel.
                    let dx = unsafe { dx.part(image * x_size + channel * x_area, x_area) };
                    back.convolve(level, dy, &kernel, 0.0, dx);
                }
            }
            if let Some(dw) = &dw {
                let (dy, x) = (&dy[channel * y_area..], &x[channel * x_area..]);
                let mut sums = [0.0; depthwise::TAPS];
                forth.correlate(level, [dy, x], [y_size, x_size], images, &mut sums);
                // SAFETY: every task has its own channel.
                unsafe { dw.part(channel * depthwise::TAPS, depthwise::TAPS) }.copy_from_slice(&sums);
            }
        };
        parallel(channels, &channel);
    }

    /// The gradients of a few images.
    fn task(
        &self,
        dy: &[f32],
        x: &[f32],
        packed: &[f32],
        phases: &[Vec<usize>],
        mut dx: Option<&mut [f32]>,
        dw: &mut [f32],
    ) {
        let Self { layout, level, .. } = self;
        let Geometry { groups, inputs, outputs, input, output, .. } = layout.geometry;
        let [x_size, y_size, w_size] = self.sizes();
        let (x_area, y_area) = (input[0] * input[1], output[0] * output[1]);
        let images = dy.len() / y_size;
        let (taps, w_group) = (layout.taps.len(), w_size / groups);
        let (stride, margin, dy_stride) =
            (layout.input_stride(images), layout.margin(), layout.output_stride(images));
        let positions = images * layout.plane;
        let out_stride = positions.next_multiple_of(SLACK);
        let columns: Vec<usize> = (0..inputs)
            .flat_map(|channel| {
                layout.taps.iter().map(move |&(phase, at)| {
                    if layout.direct {
                        channel * x_area
                    } else {
                        (channel * layout.phases.len() + phase) * stride + at
                    }
                })
            })
            .collect();
        let reached: Vec<Vec<isize>> = phases
            .iter()
            .map(|reached| reached.iter().map(|&tap| -(layout.taps[tap].1 as isize)).collect())
            .collect();
        if layout.direct {
            for group in 0..groups {
                let dy = &dy[group * outputs * y_area..][..outputs * y_area];
                if let Some(dx) = &mut dx {
                    let correlate = Correlate {
                        stride: y_area,
                        channels: outputs,
                        taps: &[0],
                        output_stride: x_area,
                        positions,
                    };
                    let to = &mut dx[group * inputs * x_area..][..inputs * x_area];
                    // SAFETY: planes are whole vectors long and lie one after the other in both.
                    unsafe {
                        correlate.run(
                            *level,
                            dy.as_ptr(),
                            &packed[group * w_group..],
                            inputs,
                            to.as_mut_ptr(),
                        );
                    }
                }
                if !dw.is_empty() {
                    let products =
                        Products { rows: outputs, row_stride: y_area, columns: &columns, positions };
                    let x = &x[group * inputs * x_area..][..inputs * x_area];
                    // SAFETY: as above.
                    unsafe {
                        products.run(*level, dy.as_ptr(), x.as_ptr(), &mut dw[group * w_group..][..w_group]);
                    }
                }
            }
            return;
        }
        let mut planes = Scratch::new(inputs * phases.len() * stride.max(out_stride));
        let mut rows = Scratch::new(outputs * dy_stride);
        for group in 0..groups {
            for channel in 0..outputs {
                let row = &mut rows.0[channel * dy_stride..][..dy_stride];
                row[..margin].fill(0.0);
                row[margin + positions..].fill(0.0);
                for image in 0..images {
                    let from = &dy[image * y_size + (group * outputs + channel) * y_area..][..y_area];
                    layout.lay(from, &mut row[margin + image * layout.plane..][..layout.plane]);
                }
            }
            // SAFETY: the margin is inside of the rows.
            let from = unsafe { rows.0.as_ptr().add(margin) };
            if let Some(dx) = &mut dx {
                let mut at = group * w_group;
                for (phase, taps) in reached.iter().enumerate() {
                    let correlate = Correlate {
                        stride: dy_stride,
                        channels: outputs,
                        taps,
                        output_stride: phases.len() * out_stride,
                        positions,
                    };
                    // SAFETY: taps lead back by the margin at most, and rows are as long as the positions.
                    unsafe {
                        let to = planes.0.as_mut_ptr().add(phase * out_stride);
                        correlate.run(*level, from, &packed[at..], inputs, to);
                    }
                    at += inputs * outputs * taps.len();
                }
                for image in 0..images {
                    for channel in 0..inputs {
                        let to = &mut dx[image * x_size + (group * inputs + channel) * x_area..][..x_area];
                        layout.gather(
                            &planes.0[channel * phases.len() * out_stride..],
                            out_stride,
                            image,
                            to,
                        );
                    }
                }
            }
            if !dw.is_empty() {
                for image in 0..images {
                    for channel in 0..inputs {
                        let from = &x[image * x_size + (group * inputs + channel) * x_area..][..x_area];
                        layout.spread(from, &mut planes.0[channel * phases.len() * stride..], stride, image);
                    }
                }
                let products =
                    Products { rows: outputs, row_stride: dy_stride, columns: &columns, positions };
                // SAFETY: the planes are long enough for every tap, the rows for all positions.
                unsafe {
                    products.run(
                        *level,
                        from,
                        planes.0.as_ptr(),
                        &mut dw[group * w_group..][..inputs * outputs * taps],
                    );
                }
            }
        }
    }
}

/// The sum of each output channel's gradient over all images.
fn bias_gradient(dy: &[f32], channels: usize, area: usize, db: Option<&mut [f32]>) {
    for (channel, db) in db.into_iter().flatten().enumerate() {
        *db = dy.chunks_exact(area).skip(channel).step_by(channels).map(sum).sum();
    }
}

/// The sum of a slice, in an order that vectorizes.
fn sum(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<16>();
    let mut sums = [0.0; 16];
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += value);
    }
    sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::random::Random;

    const ONE_THREAD: Parallel = &|count, run| (0..count).for_each(run);

    /// A small convolution without structure, and a number of images.
    fn draw(random: &mut Random) -> Option<(Geometry, usize)> {
        let mut below = |bound: usize| random.below(bound);
        if below(6) == 0 {
            // What is convolved where it lies.
            let (padding, after) = ([below(3), below(3)], [below(3), below(3)]);
            let input = [1 + below(5), 1 + below(40)];
            let mut output = [0; 2];
            for axis in 0..2 {
                output[axis] =
                    (input[axis] + padding[axis] + after[axis]).checked_sub(2).filter(|&o| o > 0)?;
            }
            let (groups, kernel, one) = (1 + below(4), [3, 3], [1, 1]);
            let geometry = Geometry {
                groups,
                inputs: 1,
                outputs: 1,
                input,
                output,
                kernel,
                stride: one,
                dilation: one,
                padding,
            };
            return Some((geometry, 1 + below(4)));
        }
        let groups = [1, 1, 2, 4][below(4)];
        let (inputs, outputs) = if groups == 4 { (1, 1 + below(2)) } else { (1 + below(9), 1 + below(17)) };
        let mut pair = |least: usize, count: usize| [least + below(count), least + below(count)];
        let (kernel, stride, dilation) = (pair(1, 4), pair(1, 3), pair(1, 2));
        let (padding, after, input) = (pair(0, 3), pair(0, 3), pair(4, 16));
        let mut output = [0; 2];
        for axis in 0..2 {
            let reached = (kernel[axis] - 1) * dilation[axis] + 1;
            let rest = (input[axis] + padding[axis] + after[axis]).checked_sub(reached)?;
            output[axis] = rest / stride[axis] + 1;
        }
        let images = 1 + below(5);
        Some((Geometry { groups, inputs, outputs, input, output, kernel, stride, dilation, padding }, images))
    }

    /// `y`, `dx`, `dw`, `db` by their definition, in doubles.
    fn reference(geometry: &Geometry, [x, w, b, dy]: [&[f32]; 4]) -> [Vec<f64>; 4] {
        let Geometry { groups, inputs, outputs, input, output, kernel, stride, dilation, padding } =
            *geometry;
        let mut results = [vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; b.len()]];
        let [y, dx, dw, db] = &mut results;
        let double = |values: &[f32], at: usize| f64::from(values[at]);
        for (at, &gradient) in dy.iter().enumerate() {
            let gradient = f64::from(gradient);
            let (column, row) = (at % output[1], at / output[1] % output[0]);
            let channel = at / (output[0] * output[1]) % (groups * outputs);
            let image = at / (output[0] * output[1] * groups * outputs);
            let y = &mut y[at];
            *y += double(b, channel);
            db[channel] += gradient;
            for tap in 0..inputs * kernel[0] * kernel[1] {
                let (j, i, c) = (tap % kernel[1], tap / kernel[1] % kernel[0], tap / (kernel[0] * kernel[1]));
                let row = (row * stride[0] + i * dilation[0]).wrapping_sub(padding[0]);
                let column = (column * stride[1] + j * dilation[1]).wrapping_sub(padding[1]);
                if row >= input[0] || column >= input[1] {
                    continue;
                }
                let plane = image * groups * inputs + channel / outputs * inputs + c;
                let from = (plane * input[0] + row) * input[1] + column;
                let weight = channel * inputs * kernel[0] * kernel[1] + tap;
                *y += double(x, from) * double(w, weight);
                dx[from] += gradient * double(w, weight);
                dw[weight] += gradient * double(x, from);
            }
        }
        results
    }

    fn check(geometry: Geometry, images: usize, random: &mut Random) {
        let convolution = Convolution::new(geometry);
        let [x_size, y_size, w_size] = convolution.sizes();
        let biases = geometry.groups * geometry.outputs;
        let mut numbers = |count: usize| (0..count).map(|_| random.range(-1.0, 1.0)).collect::<Vec<f32>>();
        let [x, w, b, dy] = [images * x_size, w_size, biases, images * y_size].map(&mut numbers);
        let expected = reference(&geometry, [&x, &w, &b, &dy]);
        let mut levels = vec![Level::Portable, Level::detect()];
        #[cfg(target_arch = "x86_64")]
        if Level::detect() == Level::Avx512 {
            levels.push(Level::Avx2);
        }
        for level in levels {
            let convolution = convolution.clone().at_level(level);
            // What was there before must not shine through.
            let [mut y, mut dx] = [vec![9.0; dy.len()], vec![9.0; x.len()]];
            let [mut dw, mut db] = [vec![9.0; w.len()], vec![9.0; b.len()]];
            convolution.forward(&x, &w, Some(&b), &mut y, ONE_THREAD);
            let wanted = Gradients { dx: Some(&mut dx), dw: Some(&mut dw), db: Some(&mut db) };
            convolution.backward(&dy, &x, &w, wanted, ONE_THREAD);
            for ((name, found), expected) in
                [("y", y), ("dx", dx), ("dw", dw), ("db", db)].into_iter().zip(&expected)
            {
                let largest = expected.iter().fold(1.0, |largest: f64, value| largest.max(value.abs()));
                for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
                    let error = (f64::from(*found) - expected).abs() / largest;
                    assert!(
                        error < 1e-5,
                        "{level:?} {name}[{at}]: {found}, not {expected}; {geometry:?}, {images} images"
                    );
                }
            }
        }
    }

    #[test]
    fn every_geometry_is_its_definition() {
        let mut random = Random::new(1);
        let mut checked = 0;
        while checked < 300 {
            if let Some((geometry, images)) = draw(&mut random) {
                check(geometry, images, &mut random);
                checked += 1;
            }
        }
    }

    /// Images without padding are used where they lie, and many small ones share a plane.
    #[test]
    fn pointwise_convolutions_are_their_definition() {
        let mut random = Random::new(2);
        for (side, images) in [(16, 3), (4, 70), (2, 300), (1, 40), (5, 9)] {
            let geometry = Geometry {
                groups: 1,
                inputs: 5,
                outputs: 11,
                input: [side; 2],
                output: [side; 2],
                kernel: [1, 1],
                stride: [1, 1],
                dilation: [1, 1],
                padding: [0, 0],
            };
            check(geometry, images, &mut random);
        }
    }

    /// The order of sums does not depend on who makes them.
    #[test]
    fn threads_change_no_bit() {
        let mut random = Random::new(3);
        let (geometry, _) = std::iter::repeat_with(|| draw(&mut random)).flatten().next().unwrap();
        let convolution = Convolution::new(geometry);
        let [x_size, y_size, w_size] = convolution.sizes();
        let images = 200;
        let mut numbers = |count: usize| (0..count).map(|_| random.range(-1.0, 1.0)).collect::<Vec<f32>>();
        let [x, w, dy] = [images * x_size, w_size, images * y_size].map(&mut numbers);
        let run = |parallel: Parallel| {
            let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
            convolution.forward(&x, &w, None, &mut y, parallel);
            let wanted = Gradients { dx: Some(&mut dx), dw: Some(&mut dw), db: None };
            convolution.backward(&dy, &x, &w, wanted, parallel);
            [y, dx, dw]
        };
        let threads: Parallel = &|count, run| {
            use rayon::prelude::*;
            (0..count).into_par_iter().for_each(run);
        };
        assert_eq!(run(threads), run(ONE_THREAD));
    }
}
