//! Hostile files end in an error or a result, never in a panic. ONNX files never take more memory than four times
//! their size beside a fixed room, and the check of a device image takes none: what `fuzz/fuzz_targets/` asserts, for a
//! short while in every run.

use std::path::Path;

use goldcrest::onnx::import::float_model;
use goldcrest::onnx::{Model, ROOM, int8};
use goldcrest_shared::engine::Engine;
use goldcrest_shared::image::{Image, checksum, header_field};
use goldcrest_shared::quantize::pack::{PackOptions, pack};
use goldcrest_shared::quantize::random::{self, to_four_bits};
use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// Reads a file in every way there is, and returns the most bytes that were allocated at once.
fn peak(bytes: &[u8]) -> usize {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    if let Ok(model) = Model::decode(bytes) {
        let _ = float_model(&model);
        let _ = int8::read(&model);
    }
    ALLOCATED.peak_usage().saturating_sub(before)
}

fn assert_modest(bytes: &[u8]) {
    let (peak, limit) = (peak(bytes), 4 * bytes.len() + ROOM as usize);
    assert!(peak <= limit, "{peak} bytes allocated for a file of {}", bytes.len());
}

/// Exported models, and an int8 one of our own.
fn files() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("tests/corpus")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "onnx"))
        .collect();
    paths.sort();
    let mut files: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).expect("readable")).collect();
    assert!(files.len() >= 20);
    files.push(int8::write(&random::lenet5(1)).encode());
    files
}

/// A length-delimited field.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(content);
    bytes
}

/// A file whose graph repeats one field, as dense as the format allows.
fn repeated(tag: u8, content: &[u8], length: usize) -> Vec<u8> {
    let one = field(tag, content);
    field(7, &one.repeat(length / one.len()))
}

fn onnx_files() {
    let files = files();
    for file in &files {
        assert_modest(file);
    }
    assert!(peak(&files[0]) > 1000, "the allocator counts");

    // Whatever is small in a file and large in memory: nodes, attributes, tensors, dimensions, names.
    let attribute = field(5, &field(1, b"a"));
    for length in [1000, 100_000, 3_000_000] {
        for (tag, content) in [
            (1, vec![]),
            (1, field(1, b"")),
            (1, field(1, b"").repeat(1000)),
            (1, attribute.clone()),
            (1, attribute.repeat(1000)),
            (1, field(5, &field(8, &[1; 1000]))),
            (5, vec![]),
            (5, field(1, &[1; 1000])),
            (5, field(7, &[1; 1000])),
            (11, vec![]),
            (11, field(2, &field(1, &field(2, &field(1, b"").repeat(1000))))),
        ] {
            assert_modest(&repeated(tag, &content, length));
        }
    }

    // Real files with bytes changed, parts doubled, or the end cut off.
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let part = proptest::option::of((any::<prop::sample::Index>(), 1usize..400));
    let cut = proptest::option::weighted(0.2, any::<prop::sample::Index>());
    let strategy = (any::<prop::sample::Index>(), changes, part, cut);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(1500));
    let damaged =
        |(file, changes, part, cut): (prop::sample::Index, Vec<(prop::sample::Index, u8)>, _, _)| {
            let mut bytes = file.get(&files).clone();
            for (index, value) in changes {
                let at = index.index(bytes.len());
                bytes[at] = value;
            }
            if let Some((start, length)) = part {
                let start: usize = prop::sample::Index::index(&start, bytes.len());
                let copy = bytes[start..bytes.len().min(start + length)].to_vec();
                bytes.splice(start..start, copy);
            }
            if let Some(cut) = cut {
                bytes.truncate(prop::sample::Index::index(&cut, bytes.len()));
            }
            assert_modest(&bytes);
            Ok(())
        };
    runner.run(&strategy, damaged).expect("modest on every damaged file");
}

/// Checks the bytes as a device image, and runs it when they are one with a modest arena.
fn check_and_run(bytes: &[u8]) {
    let mut words = vec![0u32; bytes.len().div_ceil(4)];
    let values = goldcrest_shared::engine::values_mut(&mut words);
    values.iter_mut().zip(bytes).for_each(|(to, &from)| *to = from as i8);
    let aligned = &goldcrest_shared::engine::bytes(&words)[..bytes.len()];
    ALLOCATED.reset_peak_usage();
    let before = ALLOCATED.current_usage();
    let checked = Image::new_checked(aligned);
    assert_eq!(ALLOCATED.peak_usage(), before, "the check allocates nothing");
    let Ok(image) = checked else { return };
    if image.arena_bytes() < 1 << 16 {
        let mut arena = vec![0; Engine::words(&image)];
        let mut engine = Engine::new(&image, &mut arena).expect("the arena is as large as the image asks");
        assert_eq!(engine.run().len(), image.classes());
    }
}

fn device_images() {
    let mut small = random::layers(1, 12);
    let large = pack(&small, &PackOptions::default()).unwrap().bytes;
    to_four_bits(&mut small);
    let images = [large, pack(&small, &PackOptions::default()).unwrap().bytes];
    images.iter().for_each(|image| check_and_run(image));
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    let strategy = (0..images.len(), changes, any::<bool>(), proptest::option::weighted(0.1, any::<u16>()));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(1500));
    let damaged =
        |(image, changes, anywhere, cut): (usize, Vec<(prop::sample::Index, u8)>, bool, Option<u16>)| {
            let mut bytes: Vec<u8> = images[image].clone();
            // Most of an image is weights, in which nothing can go wrong.
            let room = if anywhere { bytes.len() } else { bytes.len().min(2000) };
            for (index, value) in changes {
                bytes[index.index(room)] = value;
            }
            bytes.truncate(cut.map_or(bytes.len(), usize::from));
            if bytes.len() > header_field::END {
                let sum = checksum(&bytes).to_le_bytes();
                bytes[header_field::CHECKSUM..][..4].copy_from_slice(&sum);
            }
            check_and_run(&bytes);
            Ok(())
        };
    runner.run(&strategy, damaged).expect("in bounds with every damaged image");
}

// One test: the allocator counts for the whole process.
#[test]
fn hostile_files_take_little_memory_and_never_panic() {
    onnx_files();
    device_images();
}
