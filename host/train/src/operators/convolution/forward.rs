//! The convolution itself.

use super::Convolution;
use crate::operators::memory::{Parallel, Scratch, Shared};
use crate::operators::multiply::{self, Correlate, SLACK};
use crate::operators::plane::Geometry;

impl Convolution {
    /// `y = x * w + bias`, all images: `[N, groups * inputs, ...]` to `[N, groups * outputs, ...]`.
    pub fn forward(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32], parallel: Parallel) {
        let Self { layout, level, depthwise, dense } = self;
        let Geometry { groups, inputs, outputs, input, output, .. } = layout.geometry;
        let [x_size, y_size, w_size] = self.sizes();
        let batch = x.len() / x_size;
        assert_eq!((x.len(), y.len(), w.len()), (batch * x_size, batch * y_size, w_size));
        if let Some(depthwise) = depthwise {
            return depthwise.forward(x, w, bias, y, parallel);
        }
        if let Some(dense) = dense {
            return dense.forward(x, w, bias, y, parallel);
        }
        let (taps, w_group) = (layout.taps.len(), w_size / groups);
        let mut packed = Vec::with_capacity(w_size);
        for w in w.chunks_exact(w_group) {
            multiply::pack(*level, outputs, inputs, taps, &mut packed, |o, i, t| {
                w[(o * inputs + i) * taps + t]
            });
        }
        let y = Shared::new(y);
        let (x_area, y_area) = (input[0] * input[1], output[0] * output[1]);
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
                        layout.spread(from, &mut planes[channel * phases * stride..], stride, image);
                    }
                }
                // SAFETY: the planes are long enough for every tap, see `Layout::input_stride`.
                unsafe {
                    let (from, to) = (planes.as_ptr(), results.as_mut_ptr());
                    correlate.run(*level, from, &packed[group * w_group..], outputs, to);
                }
                for image in 0..images {
                    for channel in 0..outputs {
                        let number = group * outputs + channel;
                        let plane = &results[channel * out_stride + image * layout.plane..];
                        let to = &mut y[image * y_size + number * y_area..][..y_area];
                        layout.take(plane, bias_of(number), to);
                    }
                }
            }
        };
        parallel(batch.div_ceil(layout.images), &task);
    }
}
