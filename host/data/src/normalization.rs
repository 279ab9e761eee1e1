//! From bytes to the numbers a network sees.

pub use goldcrest_quantize::graph::Normalization;

use super::Split;

/// Mean 0.5 and deviation 0.5 for all channels: bytes go to -1 ... 1.
pub fn half(channels: usize) -> Normalization {
    Normalization { mean: vec![0.5; channels], std: vec![0.5; channels] }
}

/// Mean and standard deviation of the images of a split; a constant channel gets deviation 1.
pub fn measure(split: &Split) -> Normalization {
    let channels = split.shape().channels;
    let mut counts = vec![[0u64; 256]; channels];
    for pixel in split.pixels().chunks_exact(channels) {
        for (counts, &value) in counts.iter_mut().zip(pixel) {
            counts[usize::from(value)] += 1;
        }
    }
    let (mean, std) = counts
        .iter()
        .map(|counts| {
            let total = counts.iter().sum::<u64>().max(1) as f64;
            let moment = |power: i32| -> f64 {
                let weighted = |v: usize| counts[v] as f64 * (v as f64 / 255.0).powi(power);
                (0..256).map(weighted).sum::<f64>() / total
            };
            let std = (moment(2) - moment(1).powi(2)).max(0.0).sqrt();
            (moment(1) as f32, if std < 1e-4 { 1.0 } else { std as f32 })
        })
        .unzip();
    Normalization { mean, std }
}

/// Normalizes one image: height x width x channels bytes to channels x height x width numbers, by the
/// [tables](Normalization::tables) of its channels.
///
/// # Panics
///
/// When there are less tables than channels or the lengths do not match.
pub fn normalize(pixels: &[u8], tables: &[[f32; 256]], planes: &mut [f32]) {
    assert_eq!(pixels.len(), planes.len());
    match tables {
        [] => assert!(planes.is_empty(), "no channel to normalize"),
        [table] => {
            for (&value, out) in pixels.iter().zip(planes) {
                *out = table[usize::from(value)];
            }
        }
        [red, green, blue] => {
            let plane = planes.len() / 3;
            let (reds, rest) = planes.split_at_mut(plane);
            let (greens, blues) = rest.split_at_mut(plane);
            let outs = reds.iter_mut().zip(greens).zip(blues);
            for (pixel, ((r, g), b)) in pixels.as_chunks::<3>().0.iter().zip(outs) {
                *r = red[usize::from(pixel[0])];
                *g = green[usize::from(pixel[1])];
                *b = blue[usize::from(pixel[2])];
            }
        }
        _ => {
            let plane = planes.len() / tables.len();
            for (at, pixel) in pixels.chunks_exact(tables.len()).enumerate() {
                for (channel, (&value, table)) in pixel.iter().zip(tables).enumerate() {
                    planes[channel * plane + at] = table[usize::from(value)];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use goldcrest_engine::shape::Shape;

    use super::*;

    #[test]
    fn half_maps_to_minus_one_and_one() {
        let table = half(1).tables()[0];
        assert_eq!((table[0], table[255]), (-1.0, 1.0));
        assert!(table.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn planes_hold_one_channel_each() {
        for channels in 1..=4 {
            let tables: Vec<[f32; 256]> =
                (0..channels).map(|c| std::array::from_fn(|v| (1000 * c + v) as f32)).collect();
            let pixels: Vec<u8> = (0..6 * channels).map(|v| v as u8).collect();
            let mut planes = vec![0.0; pixels.len()];
            normalize(&pixels, &tables, &mut planes);
            for at in 0..6 {
                for c in 0..channels {
                    assert_eq!(planes[c * 6 + at], (1000 * c + at * channels + c) as f32);
                }
            }
        }
    }

    #[test]
    fn measures_mean_and_deviation() {
        let split = Split::new(Shape::new(1, 2, 2), vec![0, 7, 255, 7, 255, 7, 0, 7], vec![0, 1]);
        let measured = measure(&split);
        assert_eq!(measured.mean[0], 0.5);
        assert_eq!(measured.std, [0.5, 1.0]);
        assert!((measured.mean[1] - 7.0 / 255.0).abs() < 1e-6);
    }
}
