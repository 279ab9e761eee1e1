//! What Miri runs (`make miri`): every kernel of every family once, over small tensors, and damaged images.

use goldcrest_engine::Engine;
use goldcrest_engine::ImageBuf;
use goldcrest_engine::kernels::{self, Family};
use goldcrest_engine::packer::header_field;
use goldcrest_quantize::graph::QuantizedModel;
use goldcrest_quantize::pack::{Optimize, PackOptions, Packed, pack};
use goldcrest_quantize::random::{Random, every_kernel as networks};
use goldcrest_quantize::reference;

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
            let image = packed.image.image();
            let mut arena = vec![0x5a5a_5a5a; image.arena_words()];
            let mut engine = Engine::new(&image, &mut arena).unwrap();
            let (picture, logits) = image.golden().next().unwrap();
            engine.load_pixels(picture).unwrap();
            let expected = reference::run(&model.graph, engine.input_i8());
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
    for kernel in kernels::ALL {
        let used = images.iter().flat_map(|image| &image.layers).any(|layer| layer.kernel == kernel.name());
        assert!(used, "no layer runs {}", kernel.name());
    }
}

#[test]
fn damaged_images() {
    let [_, windows, places, small] = networks();
    let good = [windows, places, small].map(|model| packed(&model, Family::Portable, Optimize::Speed));
    let mut random = Random::new(1);
    for index in 0..if cfg!(miri) { 20 } else { 200 } {
        let good = &good[index % good.len()];
        let structure = header_field::END + good.layers.len() * goldcrest_engine::packer::Record::BYTES;
        let mut image = good.image.bytes().to_vec();
        let at = random.within(4, structure as i64 - 1) as usize;
        image[at] = random.bits() as u8;
        let sum = goldcrest_engine::packer::checksum(&image).to_le_bytes();
        image[header_field::CHECKSUM..][..4].copy_from_slice(&sum);
        let Ok(image) = ImageBuf::new_checked(&image) else { continue };
        let image = image.image();
        if image.arena_bytes() < 1 << 16 {
            let mut arena = vec![0; image.arena_words()];
            let mut engine = Engine::new(&image, &mut arena).unwrap();
            assert_eq!(engine.run().len(), image.classes());
        }
    }
}
