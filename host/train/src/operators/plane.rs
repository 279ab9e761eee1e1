//! Images as flat planes, on which a convolution is a sum of shifted copies.
//!
//! A channel of an image is laid out with its padding, row after row: output position `row * pitch +
//! column` reads tap `(i, j)` at a fixed distance `i * pitch + j` from itself, for every row and column, so
//! that the inner loop runs over whole planes and knows no borders. The columns between one row's outputs
//! and the next's are computed too and thrown away. With a stride, a channel becomes one plane for each
//! phase of row and column, and each tap reads one of them. Several small images lie one after the other
//! in one plane.

use super::multiply::SLACK;

/// The numbers of a convolution over two dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pub groups: usize,
    /// Input channels of a group.
    pub inputs: usize,
    /// Output channels of a group.
    pub outputs: usize,
    /// Rows and columns of the input.
    pub input: [usize; 2],
    /// Rows and columns of the output.
    pub output: [usize; 2],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Padding above and to the left.
    pub padding: [usize; 2],
}

/// Positions of a plane that are worth the cost of starting a loop over it.
const LONG: usize = 1024;
/// Images of at least this many pixels are used where they lie, when they need no padding.
const DIRECT: usize = 256;
/// Floats of the planes of one task: they stay in the cache of one core.
const TASK: usize = 128 << 10;

/// How a convolution's planes are laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub geometry: Geometry,
    /// Distance from one row to the next.
    pub pitch: usize,
    /// Positions of one image.
    pub plane: usize,
    /// Zeros after the last image.
    pub tail: usize,
    /// Row and column phases that some tap reads.
    pub phases: Vec<[usize; 2]>,
    /// Phase and distance of each tap, in the order of the kernel.
    pub taps: Vec<(usize, usize)>,
    /// The largest distance.
    pub reach: usize,
    /// Images in a plane.
    pub images: usize,
    /// Images are used where they lie.
    pub direct: bool,
    /// A plane is an image as it is.
    plain: bool,
}

const fn rounded(positions: usize) -> usize {
    positions.next_multiple_of(SLACK)
}

impl Layout {
    /// The layout for a convolution.
    pub fn of(geometry: Geometry) -> Self {
        let Geometry { kernel, stride, dilation, output, .. } = geometry;
        let far = [0, 1].map(|axis| (kernel[axis] - 1) * dilation[axis] / stride[axis]);
        // The zeros after a row are those before the next one, and so with images.
        let shared = [0, 1].map(|axis| {
            let padded = geometry.padding[axis] + geometry.input[axis];
            let after = (output[axis] + far[axis]).saturating_sub(padded);
            if stride == [1, 1] { after.min(geometry.padding[axis]).min(far[axis]) } else { 0 }
        });
        let pitch = output[1] + far[1] - shared[1];
        let plane = (output[0] + far[0] - shared[0]) * pitch;
        let tail = shared[0] * pitch + shared[1];
        let (mut phases, mut taps) = (Vec::new(), Vec::new());
        for i in 0..kernel[0] {
            for j in 0..kernel[1] {
                let at = [i * dilation[0], j * dilation[1]];
                let phase = [at[0] % stride[0], at[1] % stride[1]];
                let index = phases.iter().position(|&known| known == phase).unwrap_or_else(|| {
                    phases.push(phase);
                    phases.len() - 1
                });
                taps.push((index, at[0] / stride[0] * pitch + at[1] / stride[1]));
            }
        }
        let reach = taps.iter().map(|tap| tap.1).max().unwrap_or(0);
        let plain =
            kernel == [1, 1] && stride == [1, 1] && geometry.padding == [0, 0] && geometry.input == output;
        let direct = plain && plane % SLACK == 0 && plane >= DIRECT;
        let floats = (geometry.inputs * phases.len() + geometry.outputs) * plane;
        let images = if direct { 1 } else { (LONG / plane).min(TASK / floats.max(1)).max(1) };
        Self { geometry, pitch, plane, tail, phases, taps, reach, images, direct, plain }
    }

    /// Floats of one input channel's planes of one phase, for `images` images.
    pub fn input_stride(&self, images: usize) -> usize {
        rounded(rounded(images * self.plane) + self.reach)
    }

    /// Zeros before an output channel's plane: what lies before the first row.
    pub fn margin(&self) -> usize {
        rounded(self.reach)
    }

    /// Floats of one output channel's plane with its margin.
    pub fn output_stride(&self, images: usize) -> usize {
        self.margin() + rounded(images * self.plane)
    }

    /// Lays one channel of an image out in its phases' planes, `stride` apart, at image `place`.
    pub fn spread(&self, image: &[f32], planes: &mut [f32], stride: usize, place: usize) {
        let Geometry { input: [height, width], stride: [down, across], padding: [top, left], .. } =
            self.geometry;
        if self.plain {
            return copy(&mut planes[place * self.plane..][..self.plane], image);
        }
        for (phase, &[a, b]) in self.phases.iter().enumerate() {
            let (first, source, count) = self.columns(b);
            let planes = &mut planes[phase * stride + place * self.plane..];
            let (plane, tail) = planes.split_at_mut(self.plane);
            tail[..self.tail].fill(0.0);
            for (r, row) in plane.chunks_exact_mut(self.pitch).enumerate() {
                let Some(from) = (r * down + a).checked_sub(top).filter(|&from| from < height && count > 0)
                else {
                    row.fill(0.0);
                    continue;
                };
                let from = &image[from * width + source - left..(from + 1) * width];
                zero(&mut row[..first]);
                zero(&mut row[first + count..]);
                let to = &mut row[first..][..count];
                match across {
                    1 => copy(to, from),
                    2 => {
                        let (pairs, last) = from.as_chunks::<2>();
                        to.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0]);
                        if let (Some(to), Some(last)) = (to.get_mut(pairs.len()), last.first()) {
                            *to = *last;
                        }
                    }
                    _ => to.iter_mut().zip(from.iter().step_by(across)).for_each(|(to, from)| *to = *from),
                }
            }
        }
    }

    /// Of the columns of phase `phase`: the first that lies in the image, its column in the padded image,
    /// and how many lie in it.
    fn columns(&self, phase: usize) -> (usize, usize, usize) {
        let (left, across) = (self.geometry.padding[1], self.geometry.stride[1]);
        let first = left.saturating_sub(phase).div_ceil(across).min(self.pitch);
        let source = first * across + phase;
        let inside = (self.geometry.input[1] + left).saturating_sub(source).div_ceil(across);
        (first, source, inside.min(self.pitch - first))
    }

    /// The reverse of [`Layout::spread`]: one channel of an image from its phases' planes.
    pub fn gather(&self, planes: &[f32], stride: usize, place: usize, image: &mut [f32]) {
        let Geometry { input: [_, width], stride: [down, across], padding: [top, left], .. } = self.geometry;
        if self.plain {
            return copy(image, &planes[place * self.plane..]);
        }
        for (row, to) in image.chunks_exact_mut(width).enumerate() {
            let (r, a) = ((row + top) / down, (row + top) % down);
            let phases = self.phases.iter().enumerate().filter(|(_, phase)| phase[0] == a);
            let phases = phases.filter(|_| r * self.pitch < self.plane).map(|(index, &[_, b])| {
                let (first, target, count) = self.columns(b);
                let from = &planes[index * stride + place * self.plane + r * self.pitch + first..][..count];
                (target.wrapping_sub(left), from)
            });
            let phases = phases.filter(|(_, from)| !from.is_empty());
            if across == 1 {
                let mut phases = phases.peekable();
                if phases.peek().is_none() {
                    to.fill(0.0);
                }
                for (start, from) in phases {
                    let end = start + from.len();
                    zero(&mut to[..start]);
                    copy(&mut to[start..end], from);
                    zero(&mut to[end..]);
                }
                continue;
            }
            let mut halves: [&[f32]; 2] = [&[], &[]];
            to.fill(0.0);
            for (start, from) in phases {
                if across == 2 && start < 2 {
                    halves[start] = from;
                    continue;
                }
                to[start..].iter_mut().step_by(across).zip(from).for_each(|(to, from)| *to = *from);
            }
            let [even, odd] = halves;
            if even.len() == odd.len() {
                let pairs = to.as_chunks_mut::<2>().0.iter_mut();
                pairs.zip(even.iter().zip(odd)).for_each(|(pair, (even, odd))| *pair = [*even, *odd]);
            } else {
                to.iter_mut().step_by(2).zip(even).for_each(|(to, from)| *to = *from);
                to.iter_mut().skip(1).step_by(2).zip(odd).for_each(|(to, from)| *to = *from);
            }
        }
    }

    /// Lays one channel of an output's gradient out as a plane (without its margin), with zeros around.
    pub fn lay(&self, image: &[f32], plane: &mut [f32]) {
        if self.plain {
            return copy(plane, image);
        }
        let [rows, columns] = self.geometry.output;
        for (row, from) in plane.chunks_exact_mut(self.pitch).zip(image.chunks_exact(columns)) {
            copy(&mut row[..columns], from);
            zero(&mut row[columns..]);
        }
        plane[rows * self.pitch..].fill(0.0);
    }

    /// One channel of an output from its plane, with `bias` added.
    pub fn take(&self, plane: &[f32], bias: f32, image: &mut [f32]) {
        if self.plain && bias == 0.0 {
            return copy(image, plane);
        }
        let columns = self.geometry.output[1];
        for (row, to) in plane.chunks_exact(self.pitch).zip(image.chunks_exact_mut(columns)) {
            if bias == 0.0 {
                copy(to, row);
            } else {
                to.iter_mut().zip(row).for_each(|(to, from)| *to = from + bias);
            }
        }
    }
}

/// Copies the first floats of `from`. Rows are short: for common lengths without a call.
#[inline(always)]
fn copy(to: &mut [f32], from: &[f32]) {
    macro_rules! lengths {
        ($($length:literal),+) => {
            match (to.len(), from) {
                $(($length, from) if from.len() >= $length => {
                    let parts = (to.first_chunk_mut::<$length>(), from.first_chunk::<$length>());
                    if let (Some(to), Some(from)) = parts {
                        *to = *from;
                    }
                })+
                (length, from) => to.copy_from_slice(&from[..length]),
            }
        };
    }
    lengths!(32, 16, 8, 4, 2)
}

/// Zeros; mostly none or one.
#[inline(always)]
fn zero(to: &mut [f32]) {
    match to {
        [] => (),
        [one] => *one = 0.0,
        more => more.fill(0.0),
    }
}
