//! Hostile bytes: whatever they hold, the check neither panics nor lets a run leave its bounds
//! (in tests, the engine's `part` asserts its bounds).

use proptest::prelude::*;

use goldcrest_engine::Engine;
use goldcrest_engine::kernels::{self, Family};
use goldcrest_engine::packer::{ALIGNMENT, MAGIC, Record, VERSION, checksum, header_field};
use goldcrest_engine::picture::{Fit, Preprocessing};
use goldcrest_engine::shape::{Padding, Shape, Window};
use goldcrest_engine::{
    AlignedBytes, ArenaTooSmall, Image, ImageBuf, ImageError, LayerError, Model, OpenError,
};
use goldcrest_quantize::graph::Clamp;
use goldcrest_quantize::pack::{PackOptions, pack};
use goldcrest_quantize::random::{Builder, Random, lenet5};

/// An image with every kernel of a family.
fn sample(family: Family) -> Vec<u8> {
    let mut net = Builder::new(7, Shape::new(6, 5, 4), false);
    let padding = Padding { top: 1, left: 1, bottom: 1, right: 1 };
    let window = Window { padding, ..Window::new([3, 3], [1, 1]) };
    let a = net.conv(net.input(), 4, window, 1, None);
    let b = net.conv(a, 4, window, 4, None);
    let c = net.add(a, b, None);
    let d = net.lookup(c);
    let e = net.concat(&[d, d]);
    let f = net.max_pool(e, Window::new([2, 2], [2, 2]));
    let g = net.upsample(f);
    let h = net.pad(g, padding);
    let i = net.mul(h, h);
    let j = net.average_pool(i, Window::new([4, 4], [2, 2]));
    let k = net.conv(j, 5, Window::new([1, 1], [1, 1]), 1, None);
    let logits = net.fully_connected(k, 3);
    let golden = vec![Random::new(1).pixels(6 * 5 * 4)];
    pack(&net.finish(logits), &PackOptions { family, golden, ..PackOptions::default() })
        .unwrap()
        .image
        .bytes()
        .to_vec()
}

/// The model of the engine's documentation.
fn signs() -> Vec<u8> {
    let mut net = Builder::new(3, Shape::new(8, 8, 1), false);
    let features = net.conv(net.input(), 4, Window::new([3, 3], [1, 1]), 1, Some(Clamp::NONE));
    let pooled = net.max_pool(features, Window::new([2, 2], [2, 2]));
    let logits = net.fully_connected(pooled, 3);
    let mut model = net.finish(logits);
    model.info.labels = ["stop", "yield", "no entry"].map(String::from).to_vec();
    let golden = vec![Random::new(1).pixels(64), Random::new(2).pixels(64)];
    pack(&model, &PackOptions { golden, ..PackOptions::default() }).unwrap().image.bytes().to_vec()
}

/// Checks bytes and, when they pass, runs them.
fn check_and_run(image: &[u8], arena_limit: usize) -> Result<(), ImageError> {
    let image = ImageBuf::new_checked(image)?;
    let image = image.image();
    assert!(image.labels().count() == image.classes());
    if image.arena_bytes() <= arena_limit {
        let mut arena = vec![0; image.arena_words()];
        let mut engine = Engine::new(&image, &mut arena).unwrap();
        let pixels = vec![3; image.input_shape().len()];
        engine.load_pixels(&pixels).unwrap();
        assert_eq!(engine.run().len(), image.classes());
        for (picture, _) in image.golden() {
            engine.load_pixels(picture).unwrap();
            engine.run();
        }
    }
    Ok(())
}

/// Makes the checksum right again, so that the checks behind it are reached.
fn fix(image: &mut [u8]) {
    let sum = checksum(image).to_le_bytes();
    image[header_field::CHECKSUM..][..4].copy_from_slice(&sum);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn random_bytes_are_refused(mut image in proptest::collection::vec(any::<u8>(), 0..400), dress: bool) {
        if dress && image.len() >= header_field::END {
            image[..4].copy_from_slice(&MAGIC);
            image[header_field::VERSION..][..2].copy_from_slice(&VERSION.to_le_bytes());
            let length = (image.len() as u32).to_le_bytes();
            image[header_field::LENGTH..][..4].copy_from_slice(&length);
            fix(&mut image);
        }
        let _ = check_and_run(&image, 1 << 16);
    }

    #[test]
    fn changed_headers_and_records_stay_in_bounds(
        changes in proptest::collection::vec((0usize..1 << 16, any::<u8>(), any::<bool>()), 1..4),
        family in 0..Family::ALL.len(),
    ) {
        let mut image = sample(Family::ALL[family]);
        let count = &image[header_field::LAYER_COUNT..][..2];
        let layers = usize::from(u16::from_le_bytes([count[0], count[1]]));
        let structure = header_field::END + layers * Record::BYTES;
        for (at, value, flip) in changes {
            let byte = &mut image[at % structure];
            *byte = if flip { *byte ^ (1 << (value % 8)) } else { value };
        }
        fix(&mut image);
        let _ = check_and_run(&image, 1 << 16);
    }

    #[test]
    fn truncated_images_are_refused(length in 0usize..1 << 16) {
        let image = sample(Family::Portable);
        let length = length % image.len();
        let error = check_and_run(&image[..length], 1 << 16).unwrap_err();
        let truncated = matches!(error, ImageError::Truncated { .. });
        prop_assert!(truncated);
    }
}

#[test]
fn each_damage_has_its_name() {
    let good = pack(&lenet5(1), &PackOptions::default()).unwrap().image.bytes().to_vec();
    let damaged = |at: usize, value: u8, repair: bool| {
        let mut image = good.clone();
        image[at] = value;
        if repair {
            fix(&mut image);
        }
        check_and_run(&image, 1 << 20).unwrap_err()
    };
    assert_eq!(check_and_run(&good, 1 << 20), Ok(()));
    assert!(matches!(damaged(0, b'X', true), ImageError::Magic(_)));
    assert_eq!(damaged(header_field::VERSION, 9, true), ImageError::Version(9));
    assert!(matches!(damaged(good.len() - 5, !good[good.len() - 5], false), ImageError::Checksum { .. }));
    assert_eq!(damaged(header_field::FAMILY, 7, true), ImageError::UnknownFamily(7));
    let layer = |problem| ImageError::Layer { layer: 0, problem };
    assert_eq!(damaged(header_field::END, 200, true), layer(LayerError::Kernel(200)));
    assert_eq!(damaged(header_field::END + 12, 31, true), layer(LayerError::Shape));
    assert_eq!(damaged(header_field::END + 11, 1, true), layer(LayerError::Arena));
    assert_eq!(damaged(header_field::END + 72, 1, true), layer(LayerError::Constants));
    // Constants of channels that are not aligned: the check decodes the layer before it knows.
    assert_eq!(damaged(header_field::END + 80, 1, true), layer(LayerError::Constants));
    assert_eq!(damaged(header_field::CLASSES, 0, true), ImageError::Tensor("output"));
    assert_eq!(damaged(header_field::FIT, 3, true), ImageError::Fit(3));
}

#[test]
fn constants_may_end_with_the_image_and_no_later() {
    let good = pack(&lenet5(1), &PackOptions::default()).unwrap().image.bytes().to_vec();
    let count = ImageBuf::new_checked(&good).unwrap().image().layer_count();
    let word = |at: usize| u32::from_le_bytes(good[at..at + 4].try_into().unwrap()) as usize;
    let mut moved = 0;
    for layer in 0..count {
        // Weights: their offset and bytes; channel constants: their offset and number.
        for (at, bytes) in [(72, 1), (80, 8)].map(|(field, unit)| {
            let at = header_field::END + layer * Record::BYTES + field;
            (at, word(at + 4) * unit)
        }) {
            if bytes == 0 || !bytes.is_multiple_of(4) {
                continue;
            }
            let ending = |end: usize| {
                let mut image = good.clone();
                image[at..at + 4].copy_from_slice(&((end - bytes) as u32).to_le_bytes());
                fix(&mut image);
                ImageBuf::new_checked(&image).map(|_| ())
            };
            let outside = ImageError::Layer { layer: layer as u16, problem: LayerError::Constants };
            assert_eq!(ending(good.len()), Ok(()), "layer {layer}");
            assert_eq!(ending(good.len() + 4), Err(outside), "layer {layer}");
            moved += 1;
        }
    }
    assert!(moved > count, "{moved} blocks of {count} layers");
}

#[test]
fn an_image_says_how_pictures_become_its_input() {
    for fit in Fit::ALL {
        let mut model = lenet5(1);
        model.info.preprocessing = Preprocessing { fit, background: [1, 250, 99] };
        let packed = pack(&model, &PackOptions::default()).unwrap();
        assert_eq!(packed.image.image().preprocessing(), model.info.preprocessing);
    }
}

#[test]
fn a_kernel_that_a_program_leaves_out_is_named() {
    let image = AlignedBytes::from(&signs()[..]);
    let list: &[&kernels::Kernel] =
        &[&kernels::PIXEL_PAIR_CONV, &kernels::MAX_POOL, &kernels::FULLY_CONNECTED];
    assert!(Image::new_checked(&image, list).is_ok());
    let error = Image::new_checked(&image, &list[..2]).unwrap_err();
    let missing = LayerError::Kernel(kernels::FULLY_CONNECTED.id());
    assert_eq!(error, ImageError::Layer { layer: 2, problem: missing });
    let said = error.to_string();
    assert!(said.contains("layer 2") && said.contains("add kernels::FULLY_CONNECTED"), "{said}");
}

#[test]
fn the_compiler_refuses_what_is_no_image_of_the_program() {
    static LIST: &[&kernels::Kernel] =
        &[&kernels::PIXEL_PAIR_CONV, &kernels::MAX_POOL, &kernels::FULLY_CONNECTED];
    let good = signs();
    let refused = |image: &[u8], list| {
        let image: &'static [u8] = AlignedBytes::from(image).leak();
        Model::at_build_time(image, list).err()
    };
    assert_eq!(refused(&good, LIST), None);
    let changed = |at: usize, value: u8| {
        let mut image = good.clone();
        image[at] = value;
        refused(&image, LIST).expect("an error")
    };
    assert!(changed(0, b'X').contains("not a device image"));
    assert!(refused(&good[..40], LIST).unwrap().contains("not a device image"));
    assert!(changed(header_field::VERSION, 9).contains("another format"));
    assert!(refused(&good[..good.len() - 1], LIST).unwrap().contains("truncated"));
    assert!(changed(header_field::LAYERS + 3, 1).contains("layer table"));
    assert!(changed(header_field::END, 200).contains("does not have"));
    assert!(refused(&good, &LIST[..2]).unwrap().contains("needs kernels::FULLY_CONNECTED"));
    // What only the check at the start sees.
    let model = Model::at_build_time(AlignedBytes::from(&good[..]).leak(), LIST).unwrap();
    assert_eq!((model.input_len(), model.classes(), model.input_shape()), (64, 3, Shape::new(8, 8, 1)));
    let too_small = model.engine(&mut []).unwrap_err();
    assert!(matches!(too_small, OpenError::Arena(ArenaTooSmall { found: 0, .. })));
    let mut damaged = good;
    *damaged.last_mut().unwrap() ^= 1;
    let damaged = Model::at_build_time(AlignedBytes::from(&damaged[..]).leak(), LIST).unwrap();
    let error = damaged.engine(&mut [0; 1000]).unwrap_err();
    assert!(matches!(error, OpenError::Image(ImageError::Checksum { .. })), "{error}");
}

#[test]
fn the_engines_documentation_has_the_image_that_the_packer_makes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/signs.gci");
    let (found, expected) = (std::fs::read(path).unwrap(), signs());
    if std::env::var_os("KEEP_SIGNS").is_some() {
        std::fs::write(path, &expected).unwrap();
    }
    assert!(found == expected, "{path} is another image; run this test with KEEP_SIGNS=1 to write it again");
}

#[test]
fn a_misaligned_image_is_refused_and_an_owned_one_is_aligned() {
    let packed = pack(&lenet5(1), &PackOptions::default()).unwrap();
    let image = packed.image.bytes();
    for offset in 0..ALIGNMENT {
        // Behind the image stands what does not belong to it.
        let moved = AlignedBytes::from(&[&vec![7; offset], image, &[9; 3]].concat()[..]);
        let moved = &moved[offset..];
        match offset {
            0 => assert_eq!(Image::new_checked(moved, kernels::ALL).unwrap().bytes(), image),
            _ => assert_eq!(Image::new_checked(moved, kernels::ALL).unwrap_err(), ImageError::Misaligned),
        }
        let owned = ImageBuf::new_checked(moved).unwrap();
        assert_eq!((owned.bytes(), owned.image().bytes()), (image, image));
        assert!(owned.bytes().as_ptr().addr().is_multiple_of(ALIGNMENT));
    }
}
