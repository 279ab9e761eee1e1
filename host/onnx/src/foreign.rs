//! Files of other kinds that are often given where an ONNX model is expected.

use std::path::Path;

/// What a file that is not an ONNX model is, and how to make one of it; nothing where that is not known.
pub fn what(path: &Path, bytes: &[u8]) -> Option<&'static str> {
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    let is = |names: &[&str]| extension.as_ref().is_some_and(|found| names.iter().any(|name| found == name));
    let keras =
        "a Keras model; convert it with `python -m tf2onnx.convert --keras MODEL --output model.onnx`";
    Some(match () {
        () if bytes.get(4..8) == Some(b"TFL3") || is(&["tflite"]) => {
            "a TensorFlow Lite model; convert what it was made of with tf2onnx, or the file itself with \
             `python -m tf2onnx.convert --tflite MODEL --output model.onnx`"
        }
        () if bytes.starts_with(b"\x89HDF") || is(&["h5", "hdf5", "keras"]) => keras,
        () if is(&["pt", "pth", "ckpt", "safetensors"]) => {
            "weights of PyTorch; load them into their network and write it with `torch.onnx.export`"
        }
        () if is(&["csv"]) => "a CSV file, which is not a model",
        () if is(&["gci"]) || bytes.starts_with(b"GCI") => {
            "a device image; this command takes the int8 ONNX file that it was packed from"
        }
        () if bytes.starts_with(b"PK\x03\x04") || is(&["zip"]) => {
            "a zip archive; unpack the .onnx file in it"
        }
        () if bytes.starts_with(&[0x1f, 0x8b]) || is(&["gz", "tar"]) => {
            "an archive; unpack the .onnx file in it"
        }
        () => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_tells_before_names_do() {
        let told = |name: &str, bytes: &[u8]| what(Path::new(name), bytes).unwrap_or("");
        assert!(told("m.onnx", b"\x1c\0\0\0TFL3rest").contains("TensorFlow Lite"));
        assert!(told("m.bin", b"\x89HDF\r\n").contains("Keras"));
        assert!(told("m.PT", b"PK\x03\x04").contains("torch.onnx.export"));
        assert!(told("m.zip", b"PK\x03\x04").contains("unpack"));
        assert_eq!(what(Path::new("m.onnx"), b"noise"), None);
    }
}
