//! Images whose channels lie in lanes, and convolutions between them.
//!
//! As many channels as a vector has lanes are turned ([`super::transpose`]) so that one vector holds their
//! values at one position, with zeros around the image; then a tap of the kernel is a fixed distance,
//! whatever the stride, dilation and padding, and no position is computed that is not wanted.
//!
//! The gradient of the input is such a convolution as well, one for each phase of the stride: input row `y`
//! gets something from output row `r` over kernel row `i` where `y + padding = r * stride + i * dilation`.

use super::plane::Geometry;
use super::transpose::Transpose;

/// The widest vector.
const LANES: usize = 16;

/// The planes of a convolution and the ways between them.
#[derive(Clone, Debug)]
pub struct Turned {
    pub input: Plane,
    pub output: Plane,
    /// From the input's plane to the output, without zeros around it.
    pub forth: Pass,
    /// From the output's plane to the input, without zeros around it: one pass for each phase of an input
    /// position.
    pub back: Vec<Pass>,
}

/// An image of turned channels with zeros around; distances in floats.
#[derive(Clone, Debug)]
pub struct Plane {
    /// Of the whole plane.
    pub floats: usize,
    pub row: usize,
    /// Of each position of the image.
    pub places: Vec<usize>,
}

/// `to[r][c] = start + sum of weights[w] * from[r][c + at]` over `(at, w)` in `taps`; distances in floats.
#[derive(Clone, Debug)]
pub struct Pass {
    pub rows: usize,
    pub columns: usize,
    /// First position, from row to row, from column to column.
    pub from: [usize; 3],
    pub to: [usize; 3],
    pub taps: Vec<(usize, usize)>,
}

impl Plane {
    /// `margin` positions before the image, `size` positions in all.
    fn new([rows, columns]: [usize; 2], margin: [usize; 2], size: [usize; 2], lanes: usize) -> Self {
        let row = size[1] * lanes;
        let place = |position: usize| {
            (margin[0] + position / columns) * row + (margin[1] + position % columns) * lanes
        };
        Self { floats: size[0] * row, row, places: (0..rows * columns).map(place).collect() }
    }
}

impl Turned {
    /// For vectors of `lanes` floats.
    pub fn new(geometry: &Geometry, lanes: usize) -> Self {
        let Geometry { input, output, kernel, stride, dilation, padding, .. } = *geometry;
        // Where the last tap reaches, in input rows and columns, and in output ones.
        let last = [0, 1].map(|axis| (kernel[axis] - 1) * dilation[axis]);
        let far = [0, 1].map(|axis| last[axis] / stride[axis]);
        let read = [0, 1].map(|axis| {
            ((output[axis] - 1) * stride[axis] + last[axis] + 1).max(padding[axis] + input[axis])
        });
        let reached = [0, 1]
            .map(|axis| output[axis].max((input[axis] + padding[axis] - 1) / stride[axis] + 1) + far[axis]);
        let input_plane = Plane::new(input, padding, read, lanes);
        let output_plane = Plane::new(output, far, reached, lanes);
        let taps: Vec<[usize; 2]> = (0..kernel[0] * kernel[1])
            .map(|tap| [tap / kernel[1] * dilation[0], tap % kernel[1] * dilation[1]])
            .collect();
        let forth = Pass {
            rows: output[0],
            columns: output[1],
            from: [0, stride[0] * input_plane.row, stride[1] * lanes],
            to: [0, output[1] * lanes, lanes],
            taps: taps.iter().map(|[i, j]| i * input_plane.row + j * lanes).zip(0..).collect(),
        };
        let mut back = Vec::new();
        for phase in (0..stride[0] * stride[1]).map(|phase| [phase / stride[1], phase % stride[1]]) {
            // The first output position that belongs to the phase, and the input position it is found at.
            let first = [0, 1].map(|axis| padding[axis].saturating_sub(phase[axis]).div_ceil(stride[axis]));
            let at = [0, 1].map(|axis| first[axis] * stride[axis] + phase[axis] - padding[axis]);
            let count = [0, 1].map(|axis| input[axis].saturating_sub(at[axis]).div_ceil(stride[axis]));
            let reaches = |tap: &[usize; 2]| [0, 1].map(|axis| tap[axis] % stride[axis]) == phase;
            let place = |[i, j]: &[usize; 2]| {
                (far[0] - i / stride[0]) * output_plane.row + (far[1] - j / stride[1]) * lanes
            };
            back.push(Pass {
                rows: count[0],
                columns: count[1],
                from: [first[0] * output_plane.row + first[1] * lanes, output_plane.row, lanes],
                to: [(at[0] * input[1] + at[1]) * lanes, stride[0] * input[1] * lanes, stride[1] * lanes],
                taps: taps
                    .iter()
                    .enumerate()
                    .filter(|(_, tap)| reaches(tap))
                    .map(|(w, tap)| (place(tap), w))
                    .collect(),
            });
        }
        let (input, output) = (input_plane, output_plane);
        Self { input, output, forth, back }
    }
}

/// Lays `count` channels of an image out as vectors, at the places of a plane.
///
/// # Safety
/// As for [`Transpose`]; the places must be inside the plane.
#[inline(always)]
pub unsafe fn gather<S: Transpose>(image: &[f32], count: usize, places: &[usize], plane: &mut [f32]) {
    let area = places.len();
    assert!(image.len() >= count * area);
    let channels: [usize; LANES] = std::array::from_fn(|channel| channel * area);
    for (square, places) in places.chunks(S::LANES).enumerate() {
        // SAFETY: in bounds by the assertion, and by the caller's promise.
        unsafe {
            let from = image.as_ptr().add(square * S::LANES);
            S::transpose(from, &channels[..count], places.len(), plane.as_mut_ptr(), places, S::LANES);
        }
    }
}

/// The reverse, from vectors that lie one after the other.
///
/// # Safety
/// As for [`Transpose`].
#[inline(always)]
pub unsafe fn scatter<S: Transpose>(vectors: &[f32], image: &mut [f32], count: usize) {
    let area = image.len() / count;
    assert!(vectors.len() >= area * S::LANES);
    let channels: [usize; LANES] = std::array::from_fn(|channel| channel * area);
    let positions: [usize; LANES] = std::array::from_fn(|position| position * S::LANES);
    for first in (0..area).step_by(S::LANES) {
        let length = S::LANES.min(area - first);
        // SAFETY: in bounds by the assertion.
        unsafe {
            let from = vectors.as_ptr().add(first * S::LANES);
            let to = image.as_mut_ptr().add(first);
            S::transpose(from, &positions[..length], S::LANES, to, &channels[..count], length);
        }
    }
}
