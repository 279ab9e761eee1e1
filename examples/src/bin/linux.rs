//! A device image as part of a program for Linux, as it would be part of a firmware: classes of 20 pictures
//! of noise.
//! `cargo run --release -p goldcrest-examples --bin linux`

use goldcrest_engine::{Model, OpenError, model};
use goldcrest_quantize::random::Random;

/// Packed for Cortex-M4: a computer runs every family of kernels, with the same bits. Packed without
/// `--board` it runs faster here.
static LENET5: Model = model!(
    concat!(env!("CARGO_MANIFEST_DIR"), "/firmware/lenet5.gci"),
    [DSP_CONV, DSP_FULLY_CONNECTED, DSP_SMALL_FULLY_CONNECTED, MAX_POOL]
);

fn main() -> Result<(), OpenError> {
    for (label, logits) in answers()? {
        println!("{label:12} {logits:?}");
    }
    Ok(())
}

fn answers() -> Result<Vec<(String, Vec<i8>)>, OpenError> {
    let mut arena = [0; LENET5.arena_words()];
    let mut engine = LENET5.engine(&mut arena)?;
    let mut answers = Vec::new();
    for number in 0..20 {
        engine.input_u8().copy_from_slice(&Random::new(number).pixels(LENET5.input_len()));
        let logits = engine.run().to_vec();
        answers.push((engine.best().unwrap_or_default().1.to_owned(), logits));
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use goldcrest_engine::Engine;
    use goldcrest_onnx::{Model, int8};
    use goldcrest_quantize::pack::{PackOptions, pack};

    use super::*;

    #[test]
    fn portable_kernels_give_the_same_logits() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/firmware/lenet5.int8.onnx");
        let model = int8::read(&Model::read(path.as_ref()).unwrap()).unwrap();
        let packed = pack(&model, &PackOptions::default()).unwrap();
        let image = packed.image.image();
        let mut arena = vec![0; image.arena_words()];
        let mut engine = Engine::new(&image, &mut arena).unwrap();
        for (number, (label, logits)) in answers().unwrap().into_iter().enumerate() {
            engine.load_pixels(&Random::new(number as u64).pixels(3072)).unwrap();
            assert_eq!(engine.run(), logits);
            assert_eq!(engine.best().map(|(_, label)| label), Some(label.as_str()));
        }
    }
}
