//! Pixels of cameras to pixels of models.

/// A pixel of 16 bits (5 red, 6 green, 5 blue, red in the highest) as RGB of 8 bits each. The highest bits of
/// a colour are repeated below it, so that black stays 0 and white becomes 255.
pub const fn rgb565(pixel: u16) -> [u8; 3] {
    let (red, green, blue) = ((pixel >> 11) as u8, (pixel >> 5) as u8 & 0x3f, pixel as u8 & 0x1f);
    [red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2]
}

/// Luma of an RGB pixel: `(77 R + 150 G + 29 B + 128) / 256`, the weights of ITU-R BT.601 in 256ths.
pub const fn gray([red, green, blue]: [u8; 3]) -> u8 {
    let sum = 77 * red as u32 + 150 * green as u32 + 29 * blue as u32;
    ((sum + 128) >> 8) as u8
}

/// A pixel with transparency (RGBA) over a background: `(alpha * value + (255 - alpha) * background + 127) /
/// 255` for each colour, so that what is opaque and what is transparent stay as they are.
pub const fn over([red, green, blue, alpha]: [u8; 4], background: [u8; 3]) -> [u8; 3] {
    const fn mixed(value: u8, alpha: u8, below: u8) -> u8 {
        let sum = alpha as u32 * value as u32 + (255 - alpha) as u32 * below as u32;
        ((sum + 127) / 255) as u8
    }
    [mixed(red, alpha, background[0]), mixed(green, alpha, background[1]), mixed(blue, alpha, background[2])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transparency_shows_the_background() {
        assert_eq!(over([0, 10, 20, 0], [255, 128, 0]), [255, 128, 0]);
        assert_eq!(over([0, 10, 20, 255], [255, 128, 0]), [0, 10, 20]);
        assert_eq!(over([0, 0, 255, 128], [255; 3]), [127, 127, 255]);
    }

    #[test]
    fn the_ends_of_the_scale_stay_the_ends() {
        assert_eq!((rgb565(0), rgb565(0xffff)), ([0; 3], [255; 3]));
        assert_eq!([rgb565(0xf800), rgb565(0x07e0), rgb565(0x001f)], [[255, 0, 0], [0, 255, 0], [0, 0, 255]]);
        assert_eq!((gray([0; 3]), gray([255; 3])), (0, 255));
    }

    #[test]
    fn every_colour_is_the_nearest_of_8_bits() {
        for pixel in 0..=u16::MAX {
            let parts = [(pixel >> 11, 31), (pixel >> 5 & 63, 63), (pixel & 31, 31)];
            for (value, (part, most)) in rgb565(pixel).into_iter().zip(parts) {
                let exact = f64::from(part) * 255.0 / f64::from(most);
                assert!((f64::from(value) - exact).abs() < 1.0, "{pixel:04x}: {value} for {exact}");
            }
        }
    }

    #[test]
    fn luma_is_that_of_bt_601() {
        for step in 0..4096 {
            let [red, green, blue] = [step >> 8 & 15, step >> 4 & 15, step & 15].map(|part| part as u8 * 17);
            let exact = 0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue);
            assert!((f64::from(gray([red, green, blue])) - exact).abs() < 1.0, "{red} {green} {blue}");
        }
    }
}
