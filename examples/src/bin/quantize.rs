//! From a float ONNX model to a proved int8 model, without the command: quantizes a network on procedural
//! signs and compares every layer in tract, ONNX Runtime and the engine. Needs what `goldcrest doctor --fix`
//! installs. `cargo run --release -p goldcrest-examples --bin quantize`

use goldcrest_data::{Dataset, Options, Spec};
use goldcrest_onnx::samples;
use goldcrest_prove::calibrate::{Settings, quantize_model};
use goldcrest_prove::verify::{Int8File, Scope};
use goldcrest_quantize::pack::PackOptions;

fn main() -> anyhow::Result<()> {
    // `Model::read` takes a file of your own.
    let model = samples::every_operator();
    let signs = Dataset::open(&Spec::Glyphs { train: 100, test: 10 }, &Options::default())?;
    let quantized = quantize_model(&model, &signs.train, &Settings::default(), &|_| {})?;
    for layer in &quantized.layers {
        println!("{:24} {:5.1} dB", layer.name, layer.sqnr_db);
    }
    let scope = Scope { onnxruntime: 10, board: None, packing: PackOptions::default(), image: None };
    let comparison = Int8File::decode(quantized.onnx.encode())?.verify(&signs.test, &scope, &|_| {})?;
    println!("{} values compared, {} differ", comparison.values(), comparison.mismatches());
    anyhow::ensure!(comparison.mismatches() == 0, "a value differs");
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_runs() {
        super::main().unwrap();
    }
}
