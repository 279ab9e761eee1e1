//! Between the device's HWC and ONNX's CHW, several images at once.

use goldcrest_engine::shape::Shape;

/// HWC images one after the other, as NCHW.
pub fn to_nchw<T: Copy>(values: &[T], shape: Shape) -> Vec<T> {
    let mut turned = Vec::with_capacity(values.len());
    for image in values.chunks_exact(shape.len()) {
        for channel in 0..shape.channels {
            turned.extend(image[channel..].iter().step_by(shape.channels));
        }
    }
    turned
}

/// NCHW as HWC images one after the other.
pub fn to_hwc<T: Copy + Default>(values: &[T], shape: Shape) -> Vec<T> {
    let area = shape.height * shape.width;
    if area == 1 || shape.channels == 1 {
        return values.to_vec();
    }
    let mut turned = vec![T::default(); values.len()];
    for (image, turned) in values.chunks_exact(shape.len()).zip(turned.chunks_exact_mut(shape.len())) {
        for (channel, plane) in image.chunks_exact(area).enumerate() {
            for (&value, turned) in plane.iter().zip(turned[channel..].iter_mut().step_by(shape.channels)) {
                *turned = value;
            }
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_move_and_come_back() {
        let shape = Shape::new(1, 2, 3);
        let hwc = [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16];
        let nchw = to_nchw(&hwc, shape);
        assert_eq!(nchw, [1, 4, 2, 5, 3, 6, 11, 14, 12, 15, 13, 16]);
        assert_eq!(to_hwc(&nchw, shape), hwc);
    }
}
