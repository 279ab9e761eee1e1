//! The gradients of a convolution.

use super::Convolution;
use crate::operators::memory::{Gradients, PARTS, Parallel, Scratch, Shared, add_parts};
use crate::operators::multiply::{self, Correlate, Products, SLACK};
use crate::operators::plane::Geometry;

impl Convolution {
    /// Gradients of the input, the weights and the bias, each where it is wanted.
    pub fn backward(&self, dy: &[f32], x: &[f32], w: &[f32], wanted: Gradients, parallel: Parallel) {
        let Gradients { dx, mut dw, db } = wanted;
        let Self { layout, level, depthwise, dense } = self;
        let Geometry { groups, inputs, outputs, output, .. } = layout.geometry;
        let [x_size, y_size, w_size] = self.sizes();
        let batch = x.len() / x_size;
        assert_eq!((x.len(), dy.len(), w.len()), (batch * x_size, batch * y_size, w_size));
        let y_area = output[0] * output[1];
        bias_gradient(dy, groups * outputs, y_area, db);
        if let Some(depthwise) = depthwise {
            return depthwise.backward(dy, x, w, Gradients { dx, dw, db: None }, parallel);
        }
        if let Some(dense) = dense {
            return dense.backward(dy, x, w, Gradients { dx, dw, db: None }, parallel);
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
        let wants_dw = dw.is_some();
        let mut sums = vec![0.0; if wants_dw { parts * w_size } else { 0 }];
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
            add_parts(&sums, dw);
        }
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
                let row = &mut rows[channel * dy_stride..][..dy_stride];
                row[..margin].fill(0.0);
                row[margin + positions..].fill(0.0);
                for image in 0..images {
                    let from = &dy[image * y_size + (group * outputs + channel) * y_area..][..y_area];
                    layout.lay(from, &mut row[margin + image * layout.plane..][..layout.plane]);
                }
            }
            // SAFETY: the margin is inside of the rows.
            let from = unsafe { rows.as_ptr().add(margin) };
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
                        let to = planes.as_mut_ptr().add(phase * out_stride);
                        correlate.run(*level, from, &packed[at..], inputs, to);
                    }
                    at += inputs * outputs * taps.len();
                }
                for image in 0..images {
                    for channel in 0..inputs {
                        let to = &mut dx[image * x_size + (group * inputs + channel) * x_area..][..x_area];
                        layout.gather(&planes[channel * phases.len() * out_stride..], out_stride, image, to);
                    }
                }
            }
            if !dw.is_empty() {
                // Behind the images rows are 0 and the products with them must be: 0 times what is not a
                // number is none.
                for plane in planes.chunks_exact_mut(stride).take(inputs * phases.len()) {
                    plane[positions..].fill(0.0);
                }
                for image in 0..images {
                    for channel in 0..inputs {
                        let from = &x[image * x_size + (group * inputs + channel) * x_area..][..x_area];
                        layout.spread(from, &mut planes[channel * phases.len() * stride..], stride, image);
                    }
                }
                let products =
                    Products { rows: outputs, row_stride: dy_stride, columns: &columns, positions };
                // SAFETY: the planes are long enough for every tap, the rows for all positions.
                unsafe {
                    products.run(
                        *level,
                        from,
                        planes.as_ptr(),
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
