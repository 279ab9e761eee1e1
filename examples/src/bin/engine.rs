//! The engine as a library: packs an int8 network for two kinds of cores, runs both device images on one
//! picture, and prints the class. `cargo run --release -p goldcrest-examples --bin engine`

use goldcrest_engine::Engine;
use goldcrest_engine::kernels::Family;
use goldcrest_quantize::pack::{PackOptions, pack};
use goldcrest_quantize::random;

fn main() -> anyhow::Result<()> {
    let model = random::lenet5(1);
    let picture: Vec<u8> = (0..32 * 32 * 3).map(|index| (index * 7 % 256) as u8).collect();
    let portable = logits(&model, Family::Portable, &picture)?;
    let dsp = logits(&model, Family::Dsp, &picture)?;
    anyhow::ensure!(portable == dsp, "the kernels of two families differ");
    let class = (0..dsp.len()).max_by_key(|&class| dsp[class]);
    println!("class {class:?} of {}, logits {dsp:?}", dsp.len());
    Ok(())
}

fn logits(
    model: &goldcrest_quantize::graph::QuantizedModel,
    family: Family,
    picture: &[u8],
) -> anyhow::Result<Vec<i8>> {
    let packed = pack(model, &PackOptions { family, ..PackOptions::default() })?;
    // On a device the image lies in flash, aligned to words, and is checked there.
    let image = packed.image.image();
    let mut arena = vec![0; image.arena_words()];
    println!("{family}: {} bytes of flash, {} bytes of arena", image.bytes().len(), image.arena_bytes());
    let mut engine = Engine::new(&image, &mut arena)?;
    engine.load_pixels(picture)?;
    Ok(engine.run().to_vec())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_runs() {
        super::main().unwrap();
    }
}
