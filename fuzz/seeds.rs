//! What the fuzzers start from, beside the exported models of `tests/corpus`: networks that together run
//! every kernel, as int8 ONNX files in `FOLDER/onnx-seeds`, and packed in every way as device images in
//! `FOLDER/image-seeds`.

use std::path::PathBuf;

use goldcrest_engine::kernels::Family;
use goldcrest_onnx::int8;
use goldcrest_quantize::pack::{Optimize, PackOptions, pack};
use goldcrest_quantize::random::{Random, every_kernel};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: seeds FOLDER")?);
    let (models, images) = (folder.join("onnx-seeds"), folder.join("image-seeds"));
    std::fs::create_dir_all(&models)?;
    std::fs::create_dir_all(&images)?;
    for (network, model) in every_kernel().iter().enumerate() {
        std::fs::write(models.join(format!("{network}.int8.onnx")), int8::write(model).encode())?;
        let pixels = model.graph.tensor(model.graph.input).shape.len();
        for family in Family::ALL {
            for optimize in [Optimize::Speed, Optimize::Ram, Optimize::Flash] {
                let golden = vec![Random::new(5).pixels(pixels)];
                let options = PackOptions { family, optimize, golden, ..PackOptions::default() };
                let name = format!("{network}-{family}-{optimize:?}.gci").to_lowercase();
                std::fs::write(images.join(name), pack(model, &options)?.image.bytes())?;
            }
        }
    }
    Ok(())
}
