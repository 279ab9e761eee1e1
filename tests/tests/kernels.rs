//! Kernels in the emulator against the plain reference, on layers of many shapes.

use goldcrest_board::emulator::{Emulator, Options};
use goldcrest_board::{Board, firmware, table};
use goldcrest_engine::Engine;
use goldcrest_engine::kernels::Family;
use goldcrest_quantize::graph::QuantizedModel;
use goldcrest_quantize::pack::{PackOptions, Winograd, pack};
use goldcrest_quantize::random::{self, Random};
use goldcrest_quantize::reference;

/// Layers of a network; all of one network take one start of the emulator.
const LAYERS: usize = 16;
/// Networks per board.
const NETWORKS: u64 = 12;
/// Networks per board with weights of four bits, behind those.
const FOUR_BITS: u64 = 3;

/// Runs a network on a board and compares every layer with the reference; the names of its kernels.
fn compare(
    board: &'static Board,
    model: &QuantizedModel,
    options: &PackOptions,
    seed: u64,
) -> Vec<&'static str> {
    let packed = pack(model, options).unwrap();
    let image = packed.image.image();
    let mut arena = vec![0; image.arena_words()];
    let mut engine = Engine::new(&image, &mut arena).unwrap();
    let pixels = Random::new(seed).pixels(image.input_shape().len());
    engine.load_pixels(&pixels).unwrap();
    let expected = reference::run(&model.graph, engine.input_i8());
    let firmware = firmware::build(board).unwrap_or_else(|error| panic!("{error}"));
    let emulator = Emulator::boot(board, firmware, packed.image.bytes(), Options::default());
    let mut emulator = emulator.unwrap_or_else(|error| panic!("{} network {seed}: {error}", board.name));
    let found =
        emulator.trace(&pixels).unwrap_or_else(|error| panic!("{} network {seed}: {error}", board.name));
    for (index, (layer, found)) in
        packed.layers.iter().zip(found).enumerate().filter(|(_, (layer, _))| !layer.partial)
    {
        let place = format!("{} network {seed} layer {index} {}", board.name, layer.kernel);
        assert!(found == expected[layer.output.0], "{place}: {:?}", layer.output);
    }
    packed.layers.iter().map(|layer| layer.kernel).collect()
}

/// The kernels of cores with DSP instructions.
const DSP: &[&str] = &[
    "dsp-conv",
    "dsp-winograd",
    "dsp-depthwise",
    "dsp-depthwise-direct",
    "dsp-fully-connected",
    "dsp-small-fully-connected",
    "dsp-int4-conv",
    "dsp-int4-fully-connected",
];

/// The kernels of cores without.
const PORTABLE: &[&str] = &["pixel-pair-conv", "fully-connected", "int4-conv", "int4-fully-connected"];

/// Boards of the cores with loops in assembly, and the kernels that are theirs.
const SPECIAL: [(&str, &[&str]); 6] = [
    ("mps2-an385", PORTABLE),
    ("mps2-an385-v6m", PORTABLE),
    ("riscv-virt", PORTABLE),
    ("mps2-an386", DSP),
    ("mps2-an505", DSP),
    ("mps3-an547", &["mve-conv", "mve-fully-connected", "int4-conv", "int4-fully-connected"]),
];

#[test]
fn cores_with_vectors_run_the_kernels_of_those_with_dsp_instructions() {
    let board = table::find("mps3-an547").unwrap();
    let options = PackOptions { family: Family::Dsp, ..PackOptions::default() };
    let kernels: Vec<_> =
        (0..3).flat_map(|seed| compare(board, &random::layers(seed, LAYERS), &options, seed)).collect();
    assert!(kernels.contains(&"dsp-conv") && kernels.contains(&"dsp-winograd"), "{kernels:?}");
}

/// Kernels that every family reads alike, of which some have other instructions.
const COMMON: [&str; 5] = ["max-pool", "average-pool", "add", "mul", "lookup"];

#[test]
fn layers_of_many_shapes_are_the_references() {
    for (name, special) in SPECIAL {
        let board = table::find(name).unwrap();
        let mut kernels = Vec::new();
        for seed in 0..NETWORKS {
            let winograd = if seed % 2 == 0 { Winograd::Auto } else { Winograd::Off };
            let options = PackOptions { family: board.family, winograd, ..PackOptions::default() };
            kernels.extend(compare(board, &random::layers(seed, LAYERS), &options, seed));
        }
        for seed in NETWORKS..NETWORKS + FOUR_BITS {
            let mut small = random::layers(seed, LAYERS);
            random::to_four_bits(&mut small);
            let options = PackOptions { family: board.family, ..PackOptions::default() };
            kernels.extend(compare(board, &small, &options, seed));
        }
        for kernel in special.iter().chain(&COMMON) {
            assert!(kernels.contains(kernel), "{name}: no layer ran {kernel}: {kernels:?}");
        }
        let depthwise = kernels.iter().any(|kernel| kernel.ends_with("depthwise"));
        assert!(depthwise, "{name}: no layer was depthwise: {kernels:?}");
    }
}
