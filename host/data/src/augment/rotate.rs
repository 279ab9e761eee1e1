//! Small turns.

use std::{fmt, sync::Arc};

use super::{Augment, Canvas};
use crate::random::Random;

/// How a pixel of the turned image is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// Between the four nearest pixels; edges are continued.
    Bilinear,
    /// The nearest pixel, torchvision's default.
    Nearest,
}

/// Turns around the centre by an angle drawn from `-degrees` to `degrees`; what comes from outside
/// is black. The same geometry as torchvision's `RandomRotation(degrees)` on PIL images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotate {
    /// Largest angle, 0 to 180.
    pub degrees: f32,
    /// Bilinear unless chosen otherwise: turned edges stay as smooth as those of a camera.
    pub interpolation: Interpolation,
}

impl Rotate {
    /// Bilinear, by up to this angle.
    pub const fn degrees(degrees: f32) -> Self {
        Self { degrees, interpolation: Interpolation::Bilinear }
    }
}

pub(super) fn make(number: Option<f32>) -> Result<Arc<dyn Augment>, &'static str> {
    match number {
        Some(degrees @ 0.0..=180.0) => Ok(Arc::new(Rotate::degrees(degrees))),
        _ => Err("the angle is 0 to 180 degrees"),
    }
}

pub(super) fn make_nearest(number: Option<f32>) -> Result<Arc<dyn Augment>, &'static str> {
    match number {
        Some(degrees @ 0.0..=180.0) => {
            Ok(Arc::new(Rotate { degrees, interpolation: Interpolation::Nearest }))
        }
        _ => Err("the angle is 0 to 180 degrees"),
    }
}

impl fmt::Display for Rotate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.interpolation {
            Interpolation::Bilinear => write!(f, "rotate={}", self.degrees),
            Interpolation::Nearest => write!(f, "rotate-nearest={}", self.degrees),
        }
    }
}

impl Augment for Rotate {
    fn apply(&self, canvas: &mut Canvas, random: &mut Random) {
        let angle = random.range(-self.degrees, self.degrees).to_radians();
        match canvas.shape().channels {
            1 => turn::<1>(canvas, angle, self.interpolation),
            2 => turn::<2>(canvas, angle, self.interpolation),
            3 => turn::<3>(canvas, angle, self.interpolation),
            4 => turn::<4>(canvas, angle, self.interpolation),
            // Images have 1 or 3 channels.
            _ => {}
        }
    }
}

/// One pixel as four lanes of 16 bits, so that one multiplication weighs all its channels: a byte
/// times a weight of at most 256 fits its lane.
fn pack<const C: usize>(pixel: &[u8; C]) -> u64 {
    pixel.iter().rev().fold(0, |lanes, &value| (lanes << 16) | u64::from(value))
}

/// Between two packed pixels, `weight` of 256 parts from `b`, rounded to bytes.
const fn blend(a: u64, b: u64, weight: u64) -> u64 {
    const HALF: u64 = 0x0080_0080_0080_0080;
    const BYTES: u64 = 0x00ff_00ff_00ff_00ff;
    ((a * (256 - weight) + b * weight + HALF) >> 8) & BYTES
}

/// Positions are fixed-point numbers with this many fraction bits.
const FRACTION: u32 = 16;
const ONE: i32 = 1 << FRACTION;

fn turn<const C: usize>(canvas: &mut Canvas, angle: f32, interpolation: Interpolation) {
    let (height, width) = (canvas.shape().height, canvas.shape().width);
    let stride = width + 2;
    let mut packed = std::mem::take(&mut canvas.packed);
    pack_with_border(canvas.pixels().as_chunks::<C>().0, width, &mut packed);

    let (sin, cos) = f64::from(angle).sin_cos();
    let (middle_x, middle_y) = (width as f64 / 2.0, height as f64 / 2.0);
    let fixed = |value: f64| (value * f64::from(ONE)).round() as i32;
    let (step_x, step_y) = (fixed(cos), fixed(sin));
    let (span_x, span_y) = ((width as u32) << FRACTION, (height as u32) << FRACTION);
    let rows = canvas.pixels_mut().chunks_exact_mut(width * C).enumerate();
    for (row, out) in rows {
        let (dx, dy) = (0.5 - middle_x, row as f64 + 0.5 - middle_y);
        let mut x = fixed(cos * dx - sin * dy + middle_x);
        let mut y = fixed(sin * dx + cos * dy + middle_y);
        for pixel in out.as_chunks_mut::<C>().0 {
            // Negative positions become large ones.
            let lanes = if x as u32 >= span_x || y as u32 >= span_y {
                0
            } else if interpolation == Interpolation::Nearest {
                packed[((y >> FRACTION) as usize + 1) * stride + (x >> FRACTION) as usize + 1]
            } else {
                between(&packed, stride, x, y)
            };
            for (lane, out) in pixel.iter_mut().enumerate() {
                *out = (lanes >> (16 * lane)) as u8;
            }
            x += step_x;
            y += step_y;
        }
    }
    canvas.packed = packed;
}

/// Packs an image and continues its edges by one pixel, so that interpolation needs no limits.
fn pack_with_border<const C: usize>(image: &[[u8; C]], width: usize, packed: &mut Vec<u64>) {
    let stride = width + 2;
    packed.resize((image.len() / width + 2) * stride, 0);
    for (row, out) in image.chunks_exact(width).zip(packed[stride..].chunks_exact_mut(stride)) {
        for (out, pixel) in out[1..=width].iter_mut().zip(row) {
            *out = pack(pixel);
        }
        (out[0], out[width + 1]) = (out[1], out[width]);
    }
    packed.copy_within(stride..2 * stride, 0);
    let end = packed.len();
    packed.copy_within(end - 2 * stride..end - stride, end - stride);
}

/// Bilinear between the centres of four pixels, which are at halves; with the border of one pixel
/// the centre before position `x` is that of column `x + 1/2` rounded down.
#[inline]
fn between(packed: &[u64], stride: usize, x: i32, y: i32) -> u64 {
    let (x, y) = ((x + ONE / 2) as u32, (y + ONE / 2) as u32);
    let weight = |position: u32| u64::from(position & (ONE as u32 - 1)) >> (FRACTION - 8);
    let first = (y >> FRACTION) as usize * stride + (x >> FRACTION) as usize;
    let (upper, lower) = (&packed[first..first + 2], &packed[first + stride..first + stride + 2]);
    let across = weight(x);
    blend(blend(upper[0], upper[1], across), blend(lower[0], lower[1], across), weight(y))
}

#[cfg(test)]
mod tests {
    use goldcrest_engine::shape::Shape;

    use super::*;

    fn turned<const C: usize>(
        shape: Shape,
        image: &[u8],
        degrees: f32,
        interpolation: Interpolation,
    ) -> Vec<u8> {
        let mut canvas = Canvas::new(shape);
        canvas.load(image);
        turn::<C>(&mut canvas, degrees.to_radians(), interpolation);
        canvas.pixels().to_vec()
    }

    fn noise(shape: Shape) -> Vec<u8> {
        let mut random = Random::new(9);
        (0..shape.len()).map(|_| random.bits() as u8).collect()
    }

    #[test]
    fn no_angle_changes_nothing_and_two_quarters_are_a_half() {
        for interpolation in [Interpolation::Bilinear, Interpolation::Nearest] {
            let shape = Shape::new(8, 8, 3);
            let image = noise(shape);
            assert_eq!(turned::<3>(shape, &image, 0.0, interpolation), image);
            let quarter = turned::<3>(shape, &image, 90.0, interpolation);
            assert_eq!(
                turned::<3>(shape, &quarter, 90.0, interpolation),
                turned::<3>(shape, &image, 180.0, interpolation)
            );
            // A quarter turn: row and column change places.
            for row in 0..8 {
                for column in 0..8 {
                    let at = |row: usize, column: usize| &image[(row * 8 + column) * 3..][..3];
                    assert_eq!(&quarter[(row * 8 + column) * 3..][..3], at(column, 7 - row));
                }
            }
        }
    }

    /// The definition, in floating point and one pixel at a time.
    fn reference(shape: Shape, image: &[u8], degrees: f64, row: usize, column: usize, channel: usize) -> f64 {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (mx, my) = (shape.width as f64 / 2.0, shape.height as f64 / 2.0);
        let (dx, dy) = (column as f64 + 0.5 - mx, row as f64 + 0.5 - my);
        let (x, y) = (cos * dx - sin * dy + mx, sin * dx + cos * dy + my);
        if x < 0.0 || y < 0.0 || x >= shape.width as f64 || y >= shape.height as f64 {
            return 0.0;
        }
        let at = |row: f64, column: f64| {
            let row = row.clamp(0.0, shape.height as f64 - 1.0) as usize;
            let column = column.clamp(0.0, shape.width as f64 - 1.0) as usize;
            f64::from(image[(row * shape.width + column) * shape.channels + channel])
        };
        let (x, y) = (x - 0.5, y - 0.5);
        let (fx, fy) = (x - x.floor(), y - y.floor());
        let (r, c) = (y.floor(), x.floor());
        let upper = at(r, c) * (1.0 - fx) + at(r, c + 1.0) * fx;
        let lower = at(r + 1.0, c) * (1.0 - fx) + at(r + 1.0, c + 1.0) * fx;
        upper * (1.0 - fy) + lower * fy
    }

    #[test]
    fn follows_the_definition() {
        let shape = Shape::new(19, 24, 3);
        let image = noise(shape);
        for degrees in [-15.0, -3.3, 1.0, 7.7, 14.9, 60.0, 179.0] {
            let out = turned::<3>(shape, &image, degrees, Interpolation::Bilinear);
            let mut edge = 0;
            for (at, &found) in out.iter().enumerate() {
                let (row, column, channel) = (at / (24 * 3), at / 3 % 24, at % 3);
                let expected = reference(shape, &image, f64::from(degrees), row, column, channel);
                // Weights of 8 bits and two roundings; on the border fixed point may fall on the
                // other side.
                if (f64::from(found) - expected).abs() > 3.0 {
                    assert!(found == 0 || expected == 0.0, "{degrees} at {at}: {found}, {expected}");
                    edge += 1;
                }
            }
            assert!(edge <= 6, "{edge} values differ at the border");
        }
    }

    #[test]
    fn angles_reach_both_ends_and_corners_are_black() {
        let shape = Shape::new(32, 32, 1);
        let mut random = Random::new(4);
        let mut canvas = Canvas::new(shape);
        let mut black = 0;
        for _ in 0..200 {
            canvas.load(&[255; 1024]);
            Rotate::degrees(45.0).apply(&mut canvas, &mut random);
            black += usize::from(canvas.pixels()[0] == 0);
            assert_eq!(canvas.pixels()[16 * 32 + 16], 255);
        }
        assert!(black > 150, "{black}");
    }
}
