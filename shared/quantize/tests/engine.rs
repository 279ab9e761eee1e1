//! The engine against the plain reference, layer by layer.

use proptest::prelude::*;

use goldcrest_engine::kernels;
use goldcrest_engine::packer::{checksum, header_field};
use goldcrest_engine::picture::{Fit, Preprocessing, Resize, Scratch};
use goldcrest_engine::shape::{Padding, Shape, Window};
use goldcrest_engine::{ArenaTooSmall, Engine, ImageBuf, SelfTestError, WrongPixelCount};
use goldcrest_quantize::graph::QuantizedModel;
use goldcrest_quantize::pack::{Optimize, PackOptions, Winograd, pack};
use goldcrest_quantize::random::{self, Builder, Random};
use goldcrest_quantize::reference;

/// Packs a model, runs it on random pictures and compares every layer with the reference.
fn compare(model: &QuantizedModel, seed: u64) {
    let mut random = Random::new(seed);
    let pixels = model.graph.tensor(model.graph.input).shape.len();
    let fast = kernels::Family::ALL.map(|family| (family, Optimize::Speed, Winograd::Auto));
    let others = [
        // The kernels of one pixel.
        (kernels::Family::Portable, Optimize::Flash, Winograd::Auto),
        (kernels::Family::Dsp, Optimize::Speed, Winograd::Off),
    ];
    for (family, optimize, winograd) in fast.into_iter().chain(others) {
        let golden = vec![random.pixels(pixels), vec![0; pixels], vec![255; pixels]];
        let options = PackOptions { family, optimize, golden, winograd, ..PackOptions::default() };
        let packed = pack(model, &options).unwrap();
        let image = packed.image.image();
        let mut arena = vec![0x5a5a_5a5a; image.arena_words()];
        let mut engine = Engine::new(&image, &mut arena).unwrap();
        for (picture, logits) in image.golden() {
            engine.load_pixels(picture).unwrap();
            let input = engine.input_i8().to_vec();
            let expected = reference::run(&model.graph, &input);
            let mut seen = 0;
            let found = engine.run_traced(&mut |index, output| {
                let layer = &packed.layers[index];
                assert_eq!(
                    output, expected[layer.output.0],
                    "{family} {optimize:?} layer {index} {}",
                    layer.name
                );
                seen += 1;
            });
            assert_eq!(found, logits);
            assert_eq!(found, expected[model.graph.output.0]);
            assert_eq!(seen, packed.layers.iter().filter(|layer| !layer.partial).count());
        }
    }
}

fn windows() -> impl Strategy<Value = Window> {
    let extent = [1usize..6, 1usize..6, 1usize..4, 1usize..4, 1usize..3, 1usize..3];
    (extent, [0usize..3, 0usize..3, 0usize..3, 0usize..3]).prop_map(
        |([ky, kx, sy, sx, dy, dx], [top, left, bottom, right])| Window {
            kernel: [ky, kx],
            stride: [sy, sx],
            dilation: [dy, dx],
            padding: Padding {
                top: top.min(ky - 1),
                left: left.min(kx - 1),
                bottom: bottom.min(ky - 1),
                right: right.min(kx - 1),
            },
        },
    )
}

fn inputs(channels: core::ops::Range<usize>) -> impl Strategy<Value = Shape> {
    (1usize..13, 1usize..13, channels)
        .prop_map(|(height, width, channels)| Shape::new(height, width, channels))
}

/// Closes a network with a fully connected layer.
fn classify(mut net: Builder, last: goldcrest_quantize::graph::TensorId) -> QuantizedModel {
    let logits = net.fully_connected(last, 3);
    net.finish(logits)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn convolutions(
        seed: u64, shape in inputs(1..68), window in windows(), outputs in 1usize..68, extreme: bool
    ) {
        prop_assume!(window.output(shape.height, shape.width).is_some());
        let mut net = Builder::new(seed, shape, extreme);
        let y = net.conv(net.input(), outputs, window, 1, None);
        compare(&classify(net, y), seed);
    }

    #[test]
    fn common_convolutions(
        seed: u64, shape in inputs(1..40), kernel in 1usize..6, stride in 1usize..3, outputs in 1usize..40,
        same: bool, extreme: bool,
    ) {
        let margin = if same { kernel / 2 } else { 0 };
        let padding = Padding { top: margin, left: margin, bottom: margin, right: margin };
        let window = Window { padding, ..Window::new([kernel, kernel], [stride, stride]) };
        prop_assume!(window.output(shape.height, shape.width).is_some());
        let mut net = Builder::new(seed, shape, extreme);
        let y = net.conv(net.input(), outputs, window, 1, None);
        let window = Window { padding, ..window };
        let z = match window.output(net.shape(y).height, net.shape(y).width) {
            Some(_) => net.conv(y, outputs, window, 1, None),
            None => y,
        };
        compare(&classify(net, z), seed);
    }

    #[test]
    fn convolutions_for_winograd(
        seed: u64, height in 1usize..14, width in 7usize..20, channels in 7usize..30, outputs in 1usize..20,
        padding in [0usize..3, 0usize..3, 0usize..3, 0usize..3], extreme: bool,
    ) {
        let [top, left, bottom, right] = padding;
        let padding = Padding { top, left, bottom, right };
        let window = Window { padding, ..Window::new([3, 3], [1, 1]) };
        prop_assume!(window.output(height, width).is_some());
        let mut net = Builder::new(seed, Shape::new(height, width, channels), extreme);
        let y = net.conv(net.input(), outputs, window, 1, None);
        compare(&classify(net, y), seed);
    }

    #[test]
    fn grouped_convolutions(
        seed: u64, shape in inputs(1..2), groups in 1usize..9, depth in 1usize..9, outputs in 1usize..5,
        window in windows(), extreme: bool,
    ) {
        prop_assume!(window.output(shape.height, shape.width).is_some());
        let shape = Shape::new(shape.height, shape.width, groups * depth);
        let mut net = Builder::new(seed, shape, extreme);
        let y = net.conv(net.input(), groups * outputs, window, groups, None);
        compare(&classify(net, y), seed);
    }

    #[test]
    fn depthwise_convolutions(
        seed: u64, shape in inputs(2..68), outputs in 1usize..3, window in windows(), extreme: bool,
    ) {
        prop_assume!(window.output(shape.height, shape.width).is_some());
        let mut net = Builder::new(seed, shape, extreme);
        let y = net.conv(net.input(), shape.channels * outputs, window, shape.channels, None);
        compare(&classify(net, y), seed);
    }

    #[test]
    fn weights_of_four_bits(
        seed: u64, shape in inputs(1..2), groups in 1usize..4, depth in 1usize..20, outputs in 1usize..10,
        window in windows(), extreme: bool,
    ) {
        prop_assume!(window.output(shape.height, shape.width).is_some());
        let shape = Shape::new(shape.height, shape.width, groups * depth);
        let mut net = Builder::new(seed, shape, extreme);
        let y = net.conv(net.input(), groups * outputs, window, groups, None);
        // A block of eight, pairs, and half a pair.
        let z = net.fully_connected(y, 8 + outputs);
        let mut model = classify(net, z);
        random::to_four_bits(&mut model);
        compare(&model, seed);
    }

    #[test]
    fn pools(seed: u64, shape in inputs(1..68), window in windows(), extreme: bool, max: bool) {
        prop_assume!(window.output(shape.height, shape.width).is_some());
        let mut net = Builder::new(seed, shape, extreme);
        let y = match max {
            true => net.max_pool(net.input(), window),
            false => net.average_pool(net.input(), window),
        };
        compare(&classify(net, y), seed);
    }

    #[test]
    fn elementwise(seed: u64, shape in inputs(1..68), extreme: bool, single: bool) {
        let mut net = Builder::new(seed, shape, extreme);
        let table = net.lookup(net.input());
        let sum = net.add(net.input(), table, None);
        let gate = match single {
            true => net.average_pool(sum, Window::new([shape.height, shape.width], [1, 1])),
            false => table,
        };
        let product = net.mul(sum, gate);
        let twice = net.add(product, product, None);
        compare(&classify(net, twice), seed);
    }

    #[test]
    fn movers(
        seed: u64,
        shape in inputs(1..20),
        padding in [0usize..3, 0usize..3, 0usize..3, 0usize..3],
        other in 1usize..20,
    ) {
        let mut net = Builder::new(seed, shape, false);
        let [top, left, bottom, right] = padding;
        let one = net.conv(net.input(), other, Window::new([1, 1], [1, 1]), 1, None);
        let joined = net.concat(&[net.input(), one, net.input()]);
        let padded = net.pad(joined, Padding { top, left, bottom, right });
        let large = net.upsample(padded);
        compare(&classify(net, large), seed);
    }
}

#[test]
fn whole_networks() {
    compare(&random::lenet5(1), 2);
    compare(&random::resnet8(3), 4);
}

#[test]
fn steps_pixels_in_place_and_the_selftest_are_a_run() {
    let golden = vec![Random::new(1).pixels(3072), Random::new(2).pixels(3072)];
    let options = PackOptions { golden, ..PackOptions::default() };
    let packed = pack(&random::lenet5(1), &options).unwrap();
    let image = packed.image.image();
    let mut arena = vec![0; image.arena_words()];
    let mut engine = Engine::new(&image, &mut arena).unwrap();
    assert_eq!(engine.selftest(), Ok(2));
    let picture = Random::new(3).pixels(3072);
    engine.load_pixels(&picture).unwrap();
    let expected = engine.run().to_vec();
    // Again, without a new input: nothing is computed from what layers left at the input's place.
    assert_eq!(engine.run(), expected);
    engine.input_u8().copy_from_slice(&picture);
    for layer in 1..=packed.layers.len() {
        assert!(engine.logits().is_empty() && engine.best().is_none());
        assert_eq!(engine.step(), layer < packed.layers.len());
    }
    assert_eq!(engine.logits(), expected);
    let best = (0..expected.len()).max_by_key(|&class| (expected[class], std::cmp::Reverse(class))).unwrap();
    assert_eq!(engine.best(), Some((best, &*format!("class {best}"))));
    let mut probabilities = [0; 10];
    engine.probabilities(&mut probabilities);
    assert_eq!(probabilities.iter().max(), Some(&probabilities[best]));
    // A new input in the middle of a run begins a new one.
    engine.load_pixels(&[9; 3072]).unwrap();
    engine.step();
    engine.load_pixels(&picture).unwrap();
    assert_eq!(engine.run(), expected);
    // Golden logits that are not the model's.
    let mut wrong = packed.image.bytes().to_vec();
    let at = header_field::GOLDEN;
    let golden = u32::from_le_bytes(wrong[at..at + 4].try_into().unwrap()) as usize;
    wrong[golden + 3072] ^= 1;
    let sum = checksum(&wrong).to_le_bytes();
    wrong[header_field::CHECKSUM..][..4].copy_from_slice(&sum);
    let wrong = ImageBuf::new_checked(&wrong).unwrap();
    let mut arena = vec![0; image.arena_words()];
    let failed = Engine::new(&wrong.image(), &mut arena).unwrap().selftest();
    assert_eq!(failed, Err(SelfTestError::Failed { vectors: 2, failed: 1 }));
    let without = pack(&random::lenet5(1), &PackOptions::default()).unwrap();
    let none = Engine::new(&without.image.image(), &mut arena).unwrap().selftest();
    assert_eq!(none, Err(SelfTestError::NoVectors));
}

#[test]
fn a_picture_of_any_size_becomes_the_input_that_training_sees() {
    let mut network = random::lenet5(1);
    let rule = Preprocessing { fit: Fit::Middle, ..Preprocessing::default() };
    network.info.preprocessing = rule;
    let packed = pack(&network, &PackOptions::default()).unwrap();
    let image = packed.image.image();
    let (picture, to) = (Shape::new(40, 60, 1), image.input_shape());
    let pixels = Random::new(4).pixels(picture.len());
    let mut prepared = vec![0; to.len()];
    let (mut sums, mut row) = (vec![0; Resize::sums(to)], vec![0; Preprocessing::row(picture, to)]);
    rule.prepare(picture, &pixels, to, Scratch { sums: &mut sums, row: &mut row }, &mut prepared).unwrap();
    let mut arena = vec![0; image.arena_words()];
    let mut engine = Engine::new(&image, &mut arena).unwrap();
    engine.load_pixels(&prepared).unwrap();
    let expected = engine.run().to_vec();
    engine.load_picture(picture, &pixels, Scratch { sums: &mut sums, row: &mut row }).unwrap();
    assert_eq!(engine.run(), expected);
    let short = engine.load_picture(picture, &pixels[1..], Scratch { sums: &mut sums, row: &mut row });
    assert!(short.is_err());
}

#[test]
fn an_arena_too_small_is_refused() {
    let packed = pack(&random::lenet5(1), &PackOptions::default()).unwrap();
    let image = packed.image.image();
    let mut arena: Vec<u32> = vec![0; image.arena_words() - 1];
    let found = arena.len() * 4;
    let error = Engine::new(&image, &mut arena).unwrap_err();
    assert_eq!(error, ArenaTooSmall { found, expected: packed.arena_bytes });
}

#[test]
fn a_picture_of_another_size_is_refused() {
    let packed = pack(&random::lenet5(1), &PackOptions::default()).unwrap();
    let image = packed.image.image();
    let mut arena = vec![0; image.arena_words()];
    let mut engine = Engine::new(&image, &mut arena).unwrap();
    assert_eq!(engine.load_pixels(&[0; 10]), Err(WrongPixelCount { found: 10, expected: 3072 }));
}
