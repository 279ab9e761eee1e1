//! A crop, then the average over the area of each output pixel.
//!
//! Output pixel `(r, c)` of `h x w` stands for the rectangle from row `r H / h` to `(r + 1) H / h` and from
//! column `c W / w` to `(c + 1) W / w` of a crop of `H x W`. Its value is the mean over that rectangle,
//! source pixels that its edges cut counting by the part inside, rounded to the nearest integer, halves up.
//! In a measure where a source pixel is `h` high and `w` wide, all parts are integers, and a rectangle's add
//! up to `H W`:
//!
//! ```text
//! value = floor((sum(part * pixel) + floor(H W / 2)) / (H W))
//! ```
//!
//! So there is one right answer, to the bit. Rows are taken one after another: a board needs room for one row
//! of a picture and one sum for each value of an output row, 8 bytes each, whatever the picture's size. The
//! same rule makes pictures larger.

use crate::shape::Shape;

/// Longest side of a picture, a crop and an output.
pub const MAX_SIDE: usize = u16::MAX as usize;
/// Maximum number of channels.
pub const MAX_CHANNELS: usize = 4;

/// A rectangle of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Crop {
    /// All of a picture.
    pub const fn whole(picture: Shape) -> Self {
        Self { top: 0, left: 0, height: picture.height, width: picture.width }
    }

    /// The largest rectangle in the middle that has the proportions of `to`, down to whole pixels.
    pub fn middle(picture: Shape, to: Shape) -> Self {
        // As large as the picture, in 64 bits: sides that are refused later must not overflow here.
        let part = |side: usize, of: usize, by: usize| (side as u64 * of as u64 / by.max(1) as u64) as usize;
        let width = part(picture.height, to.width, to.height).clamp(1, picture.width.max(1));
        let height = part(picture.width, to.height, to.width).clamp(1, picture.height.max(1));
        let top = picture.height.saturating_sub(height) / 2;
        let left = picture.width.saturating_sub(width) / 2;
        Self { top, left, height, width }
    }
}

/// Why a picture cannot be resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResizeError {
    /// A side of 0 or more than [`MAX_SIDE`], or channels beyond 1 to [`MAX_CHANNELS`].
    Shape(Shape),
    /// The crop is empty or not within the picture.
    Crop(Crop),
    /// Picture and output differ in their channels.
    Channels {
        /// The picture's.
        picture: usize,
        /// The output's.
        output: usize,
    },
    /// Less room for sums than [`Resize::sums`].
    Sums {
        /// Given.
        found: usize,
        /// Needed.
        expected: usize,
    },
    /// A row that has not the picture's width.
    Row {
        /// Bytes given.
        found: usize,
        /// Bytes of a row.
        expected: usize,
    },
}

impl core::fmt::Display for ResizeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Shape(shape) => write!(
                f,
                "a picture of {shape} (height, width, channels): sides must be 1 to {MAX_SIDE} and channels \
                 1 to {MAX_CHANNELS}"
            ),
            Self::Crop(Crop { top, left, height, width }) => write!(
                f,
                "a crop of {height}x{width} at row {top}, column {left} is empty or not within the picture"
            ),
            Self::Channels { picture, output } => {
                write!(f, "a picture of {picture} channels cannot become one of {output}")
            }
            Self::Sums { found, expected } => {
                write!(f, "room for {found} sums, but resizing takes {expected}")
            }
            Self::Row { found, expected } => {
                write!(f, "a row of {found} bytes, but the picture's rows have {expected}")
            }
        }
    }
}

impl core::error::Error for ResizeError {}

/// A picture on its way through. The sums of the output row in hand are the caller's, who gives the same ones
/// for each row: what is kept between rows borrows nothing.
///
/// ```
/// use goldcrest_engine::picture::{Crop, Resize};
/// use goldcrest_engine::shape::Shape;
///
/// let (picture, to) = (Shape::new(2, 4, 1), Shape::new(1, 2, 1));
/// let mut resize = Resize::new(picture, Crop::whole(picture), to)?;
/// let (mut sums, mut output) = ([0; 2], [0; 2]);
/// for row in [[10, 20, 100, 101], [30, 40, 102, 103]] {
///     resize.row(&row, &mut sums, |index, value| output[index] = value)?;
/// }
/// assert_eq!(output, [25, 102]);
/// # Ok::<(), goldcrest_engine::picture::ResizeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Resize {
    picture: Shape,
    crop: Crop,
    to: Shape,
    /// Rows of the picture taken.
    taken: usize,
    /// Output rows given.
    given: usize,
    /// Height that the output row in hand can still take.
    room: u32,
}

impl Resize {
    /// Sums that an output needs room for.
    pub const fn sums(to: Shape) -> usize {
        to.width * to.channels
    }

    /// Ready for the first row of a picture of which `crop` shall become `to`.
    ///
    /// # Errors
    /// Shapes that make no sense.
    pub fn new(picture: Shape, crop: Crop, to: Shape) -> Result<Self, ResizeError> {
        for shape in [picture, to] {
            let side = 1..=MAX_SIDE;
            let channels = 1..=MAX_CHANNELS;
            if ![shape.height, shape.width].iter().all(|length| side.contains(length))
                || !channels.contains(&shape.channels)
            {
                return Err(ResizeError::Shape(shape));
            }
        }
        if picture.channels != to.channels {
            return Err(ResizeError::Channels { picture: picture.channels, output: to.channels });
        }
        let fits = |first: usize, length: usize, side: usize| {
            length > 0 && first.checked_add(length).is_some_and(|end| end <= side)
        };
        if !fits(crop.top, crop.height, picture.height) || !fits(crop.left, crop.width, picture.width) {
            return Err(ResizeError::Crop(crop));
        }
        Ok(Self { picture, crop, to, taken: 0, given: 0, room: crop.height as u32 })
    }

    /// Whether all output rows were given; what rows of the picture are left changes nothing.
    pub fn is_done(&self) -> bool {
        self.given == self.to.height
    }

    /// Takes the next row of the picture and gives `put` the output values that are known now, each with its
    /// index in the output (HWC). What `sums` ([`Resize::sums`]) hold before the first row does not matter;
    /// after it they stay as they are left.
    ///
    /// # Errors
    /// A row of another length than the picture's, or too little room; nothing is taken then.
    pub fn row(
        &mut self,
        row: &[u8],
        sums: &mut [u64],
        mut put: impl FnMut(usize, u8),
    ) -> Result<(), ResizeError> {
        let (found, expected) = (row.len(), self.picture.width * self.picture.channels);
        if found != expected {
            return Err(ResizeError::Row { found, expected });
        }
        let (found, expected) = (sums.len(), Self::sums(self.to));
        let sums = sums.get_mut(..expected).ok_or(ResizeError::Sums { found, expected })?;
        let before = self.taken;
        if before == 0 {
            sums.fill(0);
        }
        self.taken = self.taken.saturating_add(1);
        if before < self.crop.top || self.is_done() {
            return Ok(());
        }
        // What is left of the row's height.
        let mut left = self.to.height as u32;
        while left > 0 {
            let part = left.min(self.room);
            self.add(row, part, sums);
            left -= part;
            self.room -= part;
            if self.room == 0 {
                self.give(sums, &mut put);
            }
        }
        Ok(())
    }

    /// Adds a row of the picture, of which `height` belongs to the output row in hand.
    fn add(&self, row: &[u8], height: u32, sums: &mut [u64]) {
        let Shape { width: columns, channels, .. } = self.to;
        let mut sums = sums.chunks_exact_mut(channels);
        let pixels = row.chunks_exact(channels).skip(self.crop.left).take(self.crop.width);
        // An output pixel's part of this row, below 2^16 * 255.
        let mut across = [0u32; MAX_CHANNELS];
        // Width that it can still take.
        let mut room = self.crop.width as u32;
        for pixel in pixels {
            let mut left = columns as u32;
            while left > 0 {
                let part = left.min(room);
                across.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += part * u32::from(value));
                left -= part;
                room -= part;
                if room == 0 {
                    let sums = sums.next().unwrap_or_default();
                    sums.iter_mut()
                        .zip(&across)
                        .for_each(|(sum, &part)| *sum += u64::from(height) * u64::from(part));
                    across = [0; MAX_CHANNELS];
                    room = self.crop.width as u32;
                }
            }
        }
    }

    /// Gives the output row in hand and begins the next.
    fn give(&mut self, sums: &mut [u64], put: &mut impl FnMut(usize, u8)) {
        let area = self.crop.height as u64 * self.crop.width as u64;
        let start = self.given * sums.len();
        for (index, sum) in sums.iter_mut().enumerate() {
            // A mean of bytes is a byte.
            let mean = (*sum + area / 2).checked_div(area).unwrap_or_default();
            put(start + index, mean as u8);
            *sum = 0;
        }
        self.given += 1;
        self.room = self.crop.height as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resize(picture: Shape, pixels: &[u8], crop: Crop, to: Shape) -> Result<Vec<u8>, ResizeError> {
        let mut sums = vec![7; Resize::sums(to)];
        let mut resize = Resize::new(picture, crop, to)?;
        let mut output: Vec<Option<u8>> = vec![None; to.len()];
        for row in pixels.chunks(picture.width * picture.channels) {
            resize.row(row, &mut sums, |index, value| assert_eq!(output[index].replace(value), None))?;
        }
        assert!(resize.is_done());
        Ok(output.into_iter().map(|value| value.expect("every value is given")).collect())
    }

    /// The definition at the top of this file, word for word.
    fn defined(picture: Shape, pixels: &[u8], crop: Crop, to: Shape) -> Vec<u8> {
        /// Common part of source `index` and output `place`, on an axis of `from` to `to` pixels.
        fn part(index: usize, place: usize, from: usize, to: usize) -> u128 {
            let (start, end) = ((index * to).max(place * from), ((index + 1) * to).min((place + 1) * from));
            end.saturating_sub(start) as u128
        }
        let mut output = Vec::new();
        for place in 0..to.len() {
            let channel = place % to.channels;
            let (row, column) = (place / to.channels / to.width, place / to.channels % to.width);
            let mut sum = 0;
            for y in 0..crop.height {
                for x in 0..crop.width {
                    let at = (crop.top + y) * picture.width + crop.left + x;
                    sum += part(y, row, crop.height, to.height)
                        * part(x, column, crop.width, to.width)
                        * u128::from(pixels[at * picture.channels + channel]);
                }
            }
            let area = (crop.height * crop.width) as u128;
            output.push(u8::try_from((sum + area / 2) / area).unwrap());
        }
        output
    }

    proptest! {
        #[test]
        fn every_value_is_the_defined_one(
            (height, width, channels) in (1usize..40, 1usize..40, 1usize..=MAX_CHANNELS),
            (rows, columns) in (1usize..24, 1usize..24),
            corner in any::<[u16; 4]>(),
            seed in any::<u64>(),
        ) {
            let (picture, to) = (Shape::new(height, width, channels), Shape::new(rows, columns, channels));
            let mut state = seed;
            let pixels: Vec<u8> = (0..picture.len())
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    // Both ends of the range come often, where rounding or overflow would show.
                    match state >> 61 { 0 => 0, 1 => 255, _ => (state >> 32) as u8 }
                })
                .collect();
            let [top, left, crop_height, crop_width] = corner.map(usize::from);
            let (top, left) = (top % height, left % width);
            let crop_height = 1 + crop_height % (height - top);
            let crop_width = 1 + crop_width % (width - left);
            for crop in [
                Crop { top, left, height: crop_height, width: crop_width },
                Crop::whole(picture),
                Crop::middle(picture, to),
            ] {
                let found = resize(picture, &pixels, crop, to).unwrap();
                prop_assert_eq!(found, defined(picture, &pixels, crop, to));
            }
        }

        #[test]
        fn the_middle_has_the_proportions_of_the_output(
            (height, width) in (1usize..=MAX_SIDE, 1usize..=MAX_SIDE),
            (rows, columns) in (1usize..=MAX_SIDE, 1usize..=MAX_SIDE),
        ) {
            let (picture, to) = (Shape::new(height, width, 3), Shape::new(rows, columns, 3));
            let crop = Crop::middle(picture, to);
            prop_assert!(crop.top + crop.height <= height && crop.left + crop.width <= width);
            prop_assert!(crop.height == height || crop.width == width, "not the largest: {:?}", crop);
            // One pixel more on the shorter side would be too much.
            let (high, wide) = (crop.height * columns, crop.width * rows);
            prop_assert!(crop.width == width || (wide <= high.max(rows) && high < wide + rows), "{:?}", crop);
            let is_close = high <= wide.max(columns) && wide < high + columns;
            prop_assert!(crop.height == height || is_close, "{:?}", crop);
        }
    }

    #[test]
    fn the_same_size_is_a_copy_and_one_pixel_is_the_mean() {
        let shape = Shape::new(3, 3, 1);
        let pixels = [0, 255, 3, 4, 250, 6, 7, 8, 9];
        assert_eq!(resize(shape, &pixels, Crop::whole(shape), shape).unwrap(), pixels);
        let sum: u32 = pixels.iter().map(|&pixel| u32::from(pixel)).sum();
        let one = resize(shape, &pixels, Crop::whole(shape), Shape::new(1, 1, 1)).unwrap();
        assert_eq!(u32::from(one[0]), (sum + 4) / 9);
    }

    #[test]
    fn the_longest_sides_do_not_overflow() {
        for (picture, to) in [
            (Shape::new(1, MAX_SIDE, 1), Shape::new(1, 2, 1)),
            (Shape::new(2, 1, 1), Shape::new(MAX_SIDE, 1, 1)),
            (Shape::new(1, MAX_SIDE, 1), Shape::new(1, MAX_SIDE, 1)),
        ] {
            let pixels = vec![255; picture.len()];
            let output = resize(picture, &pixels, Crop::whole(picture), to).unwrap();
            assert!(output.iter().all(|&value| value == 255), "{picture} to {to}");
        }
    }

    #[test]
    fn bad_sizes_are_refused() {
        let (picture, to) = (Shape::new(4, 6, 3), Shape::new(2, 2, 3));
        let whole = Crop::whole(picture);
        let refused = |picture, crop, to| Resize::new(picture, crop, to).unwrap_err();
        for bad in
            [Shape::new(0, 6, 3), Shape::new(4, MAX_SIDE + 1, 3), Shape::new(4, 6, 0), Shape::new(4, 6, 5)]
        {
            assert_eq!(refused(bad, whole, to), ResizeError::Shape(bad));
            assert_eq!(refused(picture, whole, bad), ResizeError::Shape(bad));
        }
        for crop in [
            Crop { height: 0, ..whole },
            Crop { width: 7, ..whole },
            Crop { top: 1, ..whole },
            Crop { left: usize::MAX, ..whole },
        ] {
            assert_eq!(refused(picture, crop, to), ResizeError::Crop(crop));
        }
        let gray = Shape::new(2, 2, 1);
        assert_eq!(refused(picture, whole, gray), ResizeError::Channels { picture: 3, output: 1 });
        let mut resize = Resize::new(picture, whole, to).unwrap();
        let mut row = |bytes: usize, sums: usize| resize.row(&vec![0; bytes], &mut vec![0; sums], |_, _| ());
        assert_eq!(row(17, 6), Err(ResizeError::Row { found: 17, expected: 18 }));
        assert_eq!(row(18, 5), Err(ResizeError::Sums { found: 5, expected: 6 }));
        assert_eq!(row(18, 7), Ok(()));
        assert!(!resize.is_done());
    }
}
