//! Calibration images in NumPy's format, for other quantizers.

use goldcrest_data::Split;
use goldcrest_engine::shape::Shape;
use goldcrest_quantize::graph::Normalization;

use super::normalize;

/// Images as the float network reads them, as an `.npy` file of version 1.0: little-endian float32 of shape
/// `[images, channels, rows, columns]`.
///
/// Source: NumPy Enhancement Proposal 1.
pub fn npy(normalization: &Normalization, images: &Split) -> Vec<u8> {
    let Shape { height, width, channels } = images.shape();
    let shape = format!("({}, {channels}, {height}, {width})", images.len());
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    // Magic, version and length take 10 bytes; data starts at a multiple of 64.
    let padding = (64 - (10 + header.len() + 1) % 64) % 64;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    for index in 0..images.len() {
        let values = normalize(normalization, images.shape(), &[images.image(index)]);
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_what_follows_it() {
        let images = Split::new(Shape::new(1, 2, 1), vec![0, 255, 51, 102], vec![0, 0]);
        let normalization = Normalization { mean: vec![0.0], std: vec![1.0] };
        let bytes = npy(&normalization, &images);
        let (header, data) = bytes.split_at(bytes.len() - 16);
        assert_eq!(header.len() % 64, 0);
        assert_eq!(&header[..8], b"\x93NUMPY\x01\x00");
        assert_eq!(usize::from(u16::from_le_bytes([header[8], header[9]])), header.len() - 10);
        let text = std::str::from_utf8(&header[10..]).unwrap();
        assert!(text.contains("'shape': (2, 1, 1, 2)") && text.ends_with('\n'), "{text}");
        let values: Vec<f32> =
            data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
        assert_eq!(values, [0.0, 1.0, 0.2, 0.4]);
    }
}
