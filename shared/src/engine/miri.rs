//! What Miri runs (`make miri`): every kernel of every family once, over small tensors, and damaged images.

use std::{vec, vec::Vec};

use crate::engine::{Engine, bytes, values_mut};
use crate::image::{Image, header_field};
use crate::kernels::{self, Family};
use crate::quantize::graph::QuantizedModel;
use crate::quantize::pack::{Optimize, PackOptions, Packed, pack};
use crate::quantize::random::{Builder, Random, to_four_bits};
use crate::quantize::reference;
use crate::shape::{Padding, Shape, Window};

fn window(kernel: usize, stride: usize, dilation: usize, padding: usize) -> Window {
    let padding = Padding { top: padding, left: padding, bottom: padding, right: padding };
    Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [dilation; 2], padding }
}

/// Networks that together have every operator, in the shapes that kernels tell apart. Several short ones, because
/// the time to plan their memory grows faster than their length, and with few rows, because Miri takes a thousand
/// times as long: nine columns hold Winograd's eight and a rest, three rows its two.
fn networks() -> [QuantizedModel; 4] {
    let first = {
        let mut net = Builder::new(11, Shape::new(3, 9, 3), false);
        let first = net.conv(net.input(), 8, window(3, 1, 1, 1), 1, None);
        let same = net.conv(first, 8, window(3, 1, 1, 1), 1, None);
        let sum = net.add(first, same, None);
        let Shape { height, width, .. } = net.shape(sum);
        let mean = net.average_pool(sum, Window::new([height, width], [1, 1]));
        let gated = net.mul(sum, mean);
        let logits = net.fully_connected(gated, 3);
        net.finish(logits)
    };
    let windows = {
        let mut net = Builder::new(12, Shape::new(3, 5, 8), false);
        let wide = net.conv(net.input(), 8, window(3, 1, 2, 2), 1, None);
        let grouped = net.conv(wide, 6, window(3, 1, 1, 1), 2, None);
        let depthwise = net.conv(grouped, 6, window(3, 1, 1, 1), 6, None);
        let table = net.lookup(depthwise);
        let both = net.concat(&[table, table]);
        let half = net.conv(both, 5, window(3, 2, 1, 1), 1, None);
        let logits = net.fully_connected(half, 9);
        net.finish(logits)
    };
    let places = {
        let mut net = Builder::new(13, Shape::new(3, 4, 5), false);
        let large = net.upsample(net.input());
        let framed = net.pad(large, Padding { top: 1, left: 0, bottom: 0, right: 4 });
        let planar = net.conv(framed, 5, window(3, 1, 1, 1), 5, None);
        let most = net.max_pool(planar, window(2, 2, 1, 0));
        let point = net.conv(most, 8, window(1, 1, 1, 0), 1, None);
        let few = net.conv(point, 8, window(1, 2, 1, 0), 1, None);
        let hidden = net.fully_connected(few, 90);
        let logits = net.fully_connected(hidden, 3);
        net.finish(logits)
    };
    let mut small = windows.clone();
    to_four_bits(&mut small);
    [first, windows, places, small]
}

/// The bytes of an image, aligned as an image must be.
fn aligned(image: &[u8]) -> Vec<u32> {
    let mut words = vec![0; image.len().div_ceil(4)];
    values_mut(&mut words).iter_mut().zip(image).for_each(|(to, &from)| *to = from as i8);
    words
}

fn packed(model: &QuantizedModel, family: Family, optimize: Optimize) -> Packed {
    let pixels = model.graph.tensor(model.graph.input).shape.len();
    let golden = vec![Random::new(5).pixels(pixels)];
    pack(model, &PackOptions { family, optimize, golden, ..PackOptions::default() }).unwrap()
}

#[test]
fn portable_kernels() {
    every_kernel(Family::Portable);
}

#[test]
fn dsp_kernels() {
    every_kernel(Family::Dsp);
}

#[test]
fn mve_kernels() {
    every_kernel(Family::Mve);
}

/// Runs the networks with the kernels of a family and compares every layer.
fn every_kernel(family: Family) {
    for model in &networks() {
        // Packing, too, is slow under Miri, and the fastest kernels are those with unsafe code.
        let all = [Optimize::Speed, Optimize::Flash, Optimize::Ram];
        for &optimize in if cfg!(miri) { &all[..1] } else { &all } {
            let packed = packed(model, family, optimize);
            let words = aligned(&packed.bytes);
            let image = Image::new_checked(bytes(&words)).unwrap();
            let mut arena = vec![0x5a5a_5a5a; Engine::words(&image)];
            let mut engine = Engine::new(&image, &mut arena).unwrap();
            let (picture, logits) = image.golden().next().unwrap();
            engine.load_pixels(picture).unwrap();
            let expected = reference::run(&model.graph, engine.input_mut());
            let found = engine.run_traced(&mut |layer, output| {
                let layer = &packed.layers[layer];
                assert_eq!(output, expected[layer.output.0], "{family} {optimize:?} {}", layer.name);
            });
            assert_eq!(found, logits);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "packs and runs nothing: the same without Miri")]
fn the_networks_have_every_kernel() {
    let images = networks().map(|model| Family::ALL.map(|family| packed(&model, family, Optimize::Speed)));
    let images = images.as_flattened();
    for kernel in kernels::TABLE {
        let used = images.iter().flat_map(|image| &image.layers).any(|layer| layer.kernel == kernel.name);
        assert!(used, "no layer runs {}", kernel.name);
    }
}

#[test]
fn damaged_images() {
    let [_, windows, places, small] = networks();
    let good = [windows, places, small].map(|model| packed(&model, Family::Portable, Optimize::Speed));
    let mut random = Random::new(1);
    for index in 0..if cfg!(miri) { 20 } else { 200 } {
        let good = &good[index % good.len()];
        let structure = header_field::END + good.layers.len() * crate::image::Record::BYTES;
        let mut image = good.bytes.clone();
        let at = random.within(4, structure as i64 - 1) as usize;
        image[at] = random.bits() as u8;
        let sum = crate::image::checksum(&image).to_le_bytes();
        image[header_field::CHECKSUM..][..4].copy_from_slice(&sum);
        let words = aligned(&image);
        let Ok(image) = Image::new_checked(bytes(&words)) else { continue };
        if image.arena_bytes() < 1 << 16 {
            let mut arena = vec![0; Engine::words(&image)];
            let mut engine = Engine::new(&image, &mut arena).unwrap();
            assert_eq!(engine.run().len(), image.classes());
        }
    }
}
