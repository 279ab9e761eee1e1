//! Hostile files end in an error or a result, never in a panic. ONNX files never take much more memory than
//! four times their size, at once or in all, and the check of a device image takes none: what
//! `fuzz/fuzz_targets/` asserts, for a short while in every run.

use std::path::Path;

use goldcrest_engine::packer::{checksum, header_field};
use goldcrest_engine::{AlignedBytes, Engine, Image, kernels};
use goldcrest_onnx::import::float_model;
use goldcrest_onnx::{Attribute, Data, Graph, Model, Node, Tensor, ValueInfo, int8, memory_limit};
use goldcrest_quantize::pack::{PackOptions, pack};
use goldcrest_quantize::random::{self, to_four_bits};
use goldcrest_tests::allocations::{Allocated, Counting};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

#[global_allocator]
static ALLOCATED: Counting = Counting::new();

/// Reads a file in every way there is, asserts that it took little memory, and returns what it took.
fn assert_modest(bytes: &[u8]) -> Allocated {
    let (limit, allocated) = ALLOCATED.during(|| {
        let Ok(model) = Model::decode(bytes) else { return memory_limit(bytes.len(), None) };
        let _ = float_model(&model);
        let _ = int8::read(&model);
        memory_limit(bytes.len(), Some(&model))
    });
    let length = bytes.len();
    assert!(allocated.peak <= limit.peak, "{allocated:?} for a file of {length}, {limit:?}");
    assert!(allocated.largest <= limit.largest, "{allocated:?} for a file of {length}, {limit:?}");
    allocated
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

/// Models whose nodes, or whose metadata, ask for much more than their file holds.
fn greedy() -> Vec<Model> {
    let model = |channels: i64, nodes: Vec<Node>, constants: Vec<(&str, Tensor)>| Model {
        graph: Graph {
            nodes,
            inputs: vec![ValueInfo::float("x", &[1, channels, 8, 8])],
            outputs: vec![ValueInfo::float("y", &[1, 10])],
            initializers: constants.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect(),
            ..Graph::default()
        },
        opset: 17,
        ..Model::default()
    };
    let many = |op: &str, inputs: &[&str], count: usize| -> Vec<Node> {
        (0..count).map(|index| Node::new(op, inputs, &[&format!("/features/block/value_{index}")])).collect()
    };
    let floats = |count: usize| Tensor::f32(&[count], vec![0.5; count]);
    let bytes = |count: usize| Tensor::new(&[count], Data::U8(vec![3; count]));
    let matrix = || Tensor::new(&[300, 300], Data::I8(vec![1; 90_000]));
    let conv = |weights: &str| Node::new("Conv", &["x", weights], &["y"]);
    let with = |key: &str, text: String| {
        let weights = Tensor::f32(&[1, 1, 1, 1], vec![1.0]);
        let mut model = model(1, vec![conv("w")], vec![("w", weights)]);
        model.metadata.insert(key.to_owned(), text);
        model
    };
    let tall = {
        let pool = Node::new("AveragePool", &["x"], &["y"])
            .with("kernel_shape", Attribute::Ints(vec![30_000, 1]))
            .with("pads", Attribute::Ints(vec![1, 0, 1, 0]));
        let mut model = model(1, vec![pool], vec![]);
        model.graph.inputs = vec![ValueInfo::float("x", &[1, 1, 30_000, 2])];
        model
    };
    vec![
        // A number for each of many channels.
        model(1 << 14, many("Add", &["x", "s"], 20), vec![("s", Tensor::f32(&[], vec![1.0]))]),
        model(1 << 14, many("Neg", &["x"], 20), vec![]),
        model(
            1 << 14,
            many("BatchNormalization", &["x", "s", "s", "s", "s"], 5),
            vec![("s", floats(1 << 14))],
        ),
        // A number for each place of a window.
        tall,
        // The same scales, weights or indices, again and again.
        model(1, many("DequantizeLinear", &["q", "s"], 50), vec![("q", bytes(5000)), ("s", floats(5000))]),
        model(1, many("Identity", &["q"], 300), vec![("q", bytes(100_000))]),
        model(1, many("Conv", &["x", "w"], 50), vec![("w", Tensor::f32(&[500, 1, 1, 1], vec![0.5; 500]))]),
        model(
            1,
            many("Gather", &["q", "i"], 3),
            vec![("q", bytes(9)), ("i", Tensor::new(&[50_000], Data::I32(vec![0; 50_000])))],
        ),
        model(
            1,
            many("Concat", &["i", "i", "i"], 3),
            vec![("i", Tensor::new(&[50_000], Data::I32(vec![0; 50_000])))],
        ),
        // Bytes that become floats, in another order.
        model(1, many("Transpose", &["q"], 4), vec![("q", matrix())]),
        model(
            1,
            [
                many("DequantizeLinear", &["q", "s"], 1),
                vec![Node::new("Transpose", &["/features/block/value_0"], &["y"])],
            ]
            .concat(),
            vec![("q", matrix()), ("s", floats(1))],
        ),
        // Metadata of many short parts.
        with("goldcrest.labels", format!("[{}]", vec!["\"\""; 40_000].join(","))),
        with("goldcrest.normalization", format!("{{\"mean\":[{}0],\"std\":[]}}", "0,".repeat(60_000))),
        with(
            int8::QUANTIZATION,
            format!(
                "{{{}}}",
                (0..9000).map(|index| format!("\"{index:x}\":[1,0]")).collect::<Vec<_>>().join(",")
            ),
        ),
    ]
}

fn onnx_files() {
    let files = files();
    for file in &files {
        assert_modest(file);
    }
    let counted = assert_modest(&files[0]);
    assert!(counted.peak > 1000 && counted.largest > 1000, "the allocator counts: {counted:?}");

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

    for model in greedy() {
        assert_modest(&model.encode());
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
    let aligned = AlignedBytes::from(bytes);
    let (checked, allocated) = ALLOCATED.during(|| Image::new_checked(&aligned, kernels::ALL));
    assert_eq!(allocated, Allocated { peak: 0, largest: 0 }, "the check allocates nothing");
    let Ok(image) = checked else { return };
    if image.arena_bytes() < 1 << 16 {
        let mut arena = vec![0; image.arena_words()];
        let mut engine = Engine::new(&image, &mut arena).expect("the arena is as large as the image asks");
        assert_eq!(engine.run().len(), image.classes());
    }
}

fn device_images() {
    let mut small = random::layers(1, 12);
    let packed = |model: &_| pack(model, &PackOptions::default()).unwrap().image.bytes().to_vec();
    let large = packed(&small);
    to_four_bits(&mut small);
    let images = [large, packed(&small)];
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
