//! `goldcrest verify` ends with 0 when all is equal, with 1 when anything differs, naming the first
//! difference, and with 2 when it could not find out.

use std::fs;
use std::path::Path;

use goldcrest_engine::packer::{checksum, header_field};
use goldcrest_engine::{Image, ImageBuf};
use goldcrest_onnx::int8;
use goldcrest_quantize::random;
use goldcrest_tests::{goldcrest_fails, goldcrest_json, text};

/// Changes a device image in one place, and its checksum with it.
fn damage(path: &Path, change: impl FnOnce(&Image<'_>) -> (usize, u8)) {
    let mut bytes = fs::read(path).unwrap();
    let (at, bits) = change(&ImageBuf::new_checked(&bytes).unwrap().image());
    bytes[at] ^= bits;
    let sum = checksum(&bytes).to_le_bytes();
    bytes[header_field::CHECKSUM..][..4].copy_from_slice(&sum);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_changed_device_image_is_told_from_its_model() {
    let folder = tempfile::tempdir().unwrap();
    let (model, image) = (folder.path().join("model.onnx"), folder.path().join("model.gci"));
    let quantized = random::lenet5(1);
    int8::write(&quantized).write(&model).unwrap();
    let pack = || goldcrest_json(&["pack", text(&model), "--out", text(&image)], 0);
    let images = ["--data", "glyphs", "--count", "3", "--onnxruntime", "0"];
    let verify = [&["verify", text(&model), "--image", text(&image)], &images[..]].concat();

    pack();
    let equal = goldcrest_json(&verify, 0);
    assert_eq!((&equal["mismatches"], &equal["first_difference"]), (&0.into(), &serde_json::Value::Null));

    // The top bit of the first weight: output channel 0 of the first convolution.
    damage(&image, |image| (image.layers().next().unwrap().record.weights.0, 0x40));
    let first = goldcrest_json(&verify, 1)["first_difference"].to_string();
    let layer = format!("`{}`", quantized.graph.tensor(quantized.graph.nodes[0].output).name);
    for part in [&*layer, "row", "column", "channel 0", "engine says", "tract says", "/ 65536 ="] {
        assert!(first.contains(part), "no {part} in {first}");
    }

    // The bias of the last layer: everything before it is equal.
    pack();
    damage(&image, |image| (image.layers().last().unwrap().record.channels.0 + 2, 0x10));
    let found = goldcrest_json(&verify, 1);
    let layers = found["layers"].as_array().unwrap();
    let (last, before) = layers.split_last().unwrap();
    assert!(last["mismatches"].as_u64() > Some(0) && before.iter().all(|layer| layer["mismatches"] == 0));

    // Neither equal nor different: no image, or one of another model.
    let mut bytes = fs::read(&image).unwrap();
    bytes[100] ^= 1;
    fs::write(&image, bytes).unwrap();
    goldcrest_json_fails(&verify, "checksum");
    int8::write(&random::resnet8(1)).write(&folder.path().join("other.onnx")).unwrap();
    let other = folder.path().join("other.onnx");
    goldcrest_json(&["pack", text(&other), "--out", text(&image)], 0);
    goldcrest_json_fails(&verify, "is not what this model makes");
}

/// Ends with 2: no difference was found, and none was ruled out.
fn goldcrest_json_fails(arguments: &[&str], says: &str) {
    goldcrest_fails(arguments, says);
    assert_eq!(goldcrest_tests::goldcrest(arguments).status.code(), Some(2));
}
