use goldcrest_data::random::Random;

use super::*;
use crate::operators::memory::{Gradients, Parallel};

const ONE_THREAD: Parallel = &|count, run| (0..count).for_each(run);

/// A small convolution without structure, and a number of images.
fn draw(random: &mut Random) -> Option<(Geometry, usize)> {
    let mut below = |bound: usize| random.below(bound);
    let (groups, inputs, outputs) = match below(5) {
        0 => (2 + below(20), 1, 1),
        1 => (4, 1, 2),
        2 => (2, 1 + below(9), 1 + below(17)),
        _ => (1, 1 + below(9), 1 + below(17)),
    };
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
    let Geometry { groups, inputs, outputs, input, output, kernel, stride, dilation, padding } = *geometry;
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
        let convolution = Convolution::at_level(geometry, level);
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

/// Output channels that fill vectors, with every way to share them out among loops.
#[test]
fn channels_in_lanes_are_their_definition() {
    let mut random = Random::new(4);
    for (inputs, outputs, side, stride) in
        [(8, 16, 5, 1), (17, 48, 9, 1), (19, 80, 7, 2), (33, 112, 4, 1), (16, 32, 20, 1), (12, 64, 11, 3)]
    {
        for kernel in [1, 2, 3] {
            let geometry = Geometry {
                groups: 1,
                inputs,
                outputs,
                input: [side, side + 3],
                output: [side, side + 3].map(|side| (side + 1 - kernel + stride) / stride),
                kernel: [kernel; 2],
                stride: [stride; 2],
                dilation: [1, 1],
                padding: [1, 0],
            };
            check(geometry, 3, &mut random);
        }
    }
}

/// The order of sums does not depend on who makes them.
#[test]
fn threads_change_no_bit() {
    let mut random = Random::new(3);
    for (groups, inputs, outputs) in [(1, 3, 5), (1, 16, 32), (20, 1, 1)] {
        let geometry = Geometry {
            groups,
            inputs,
            outputs,
            input: [6, 7],
            output: [6, 7],
            kernel: [3, 3],
            stride: [1, 1],
            dilation: [1, 1],
            padding: [1, 1],
        };
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
