//! The firmware in QEMU, talked to over its serial line, against the engine on the host.

use goldcrest::board::emulator::{Emulator, Options};
use goldcrest::board::table;
use goldcrest_shared::engine::Engine;
use goldcrest_shared::image::Image;
use goldcrest_shared::quantize::pack::{PackOptions, Packed, pack};
use goldcrest_shared::quantize::random;

fn lenet5() -> Packed {
    let mut bits = random::Random::new(3);
    let golden = vec![bits.pixels(3072), bits.pixels(3072)];
    pack(&random::lenet5(1), &PackOptions { golden, ..PackOptions::default() }).unwrap()
}

#[test]
fn every_layer_of_an_emulated_board_is_the_hosts() {
    let packed = lenet5();
    let board = table::find("mps2-an386").unwrap();
    let mut emulator = Emulator::start(board, &packed.bytes, Options::default()).unwrap();
    let image = Image::new_checked(&packed.bytes).unwrap();
    let model = emulator.info().model.unwrap();
    assert_eq!((model.crc, model.arena_bytes as usize), (image.crc(), packed.arena_bytes));
    let mut arena = vec![0; Engine::words(&image)];
    let mut engine = Engine::new(&image, &mut arena).unwrap();
    let mut bits = random::Random::new(7);
    let mut counts = Vec::new();
    for _ in 0..10 {
        let pixels = bits.pixels(image.input_shape().len());
        engine.load_pixels(&pixels).unwrap();
        let mut layers = vec![Vec::new(); packed.layers.len()];
        let logits = engine.run_traced(&mut |layer, output| layers[layer] = output.to_vec()).to_vec();
        let answer = emulator.infer(&pixels).unwrap();
        assert_eq!(answer.logits, logits);
        assert_eq!(emulator.trace(&pixels).unwrap(), layers);
        // Equal work is an equal number of instructions.
        assert_eq!(emulator.infer(&pixels).unwrap(), answer);
        counts.push(answer.instructions);
    }
    eprintln!(
        "{counts:?} {:?} {:?}",
        emulator.profile(&bits.pixels(3072)).unwrap(),
        emulator.fresh_info().unwrap()
    );
    assert_eq!(emulator.self_test().unwrap(), (2, 0));
}
