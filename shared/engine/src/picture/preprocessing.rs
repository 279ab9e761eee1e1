//! From a picture of any size to a model's input: the one rule for training, calibration, evaluation and
//! boards.
//!
//! 1. A picture with transparency is laid over the background ([`color::over`]).
//! 2. Where the model takes one channel, each pixel becomes its luma ([`color::gray`]); where it takes three
//!    and the picture is gray, the value is repeated.
//! 3. The part that the model sees is averaged by area ([`Resize`]); a picture of the input's size stays as
//!    it is.

use super::color;
use super::resize::{Crop, Resize, ResizeError};
use crate::shape::Shape;

/// Which part of a picture a model sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fit {
    /// All of it, stretched or squeezed to the input's proportions.
    #[default]
    Whole,
    /// The largest part in the middle that has the input's proportions.
    Middle,
    /// All of it in its own proportions, between bars of the background's colour.
    Letterbox,
}

impl Fit {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Whole, Self::Middle, Self::Letterbox];

    /// Its name in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Middle => "middle",
            Self::Letterbox => "letterbox",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fit| fit.name() == name)
    }

    /// Its number in device images and on the link.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The one of that number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|fit| fit.code() == code)
    }
}

impl core::fmt::Display for Fit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// How pictures become a model's input, beside its size and its channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Preprocessing {
    /// Which part of a picture the model sees.
    pub fit: Fit,
    /// RGB below transparent pixels, and of the bars of [`Fit::Letterbox`].
    pub background: [u8; 3],
}

impl Default for Preprocessing {
    fn default() -> Self {
        Self { fit: Fit::default(), background: [255; 3] }
    }
}

/// Memory that a [`Preparation`] works in; the same for every row.
#[derive(Debug)]
pub struct Scratch<'s> {
    /// At least [`Resize::sums`] of the input.
    pub sums: &'s mut [u64],
    /// At least [`Preprocessing::row`] bytes.
    pub row: &'s mut [u8],
}

impl Preprocessing {
    /// Bytes of [`Scratch::row`]: one row of the picture with the input's channels, where those differ.
    pub const fn row(picture: Shape, to: Shape) -> usize {
        if picture.channels == to.channels { 0 } else { picture.width * to.channels }
    }

    /// Makes the input `to` (u8, HWC) of a picture (u8, HWC, gray or RGB).
    ///
    /// # Errors
    /// Channels that cannot become the input's, sides that are too long, too little scratch memory, or
    /// buffers that are not as long as their shapes.
    pub fn prepare(
        &self,
        picture: Shape,
        pixels: &[u8],
        to: Shape,
        mut scratch: Scratch<'_>,
        input: &mut [u8],
    ) -> Result<(), ResizeError> {
        let length = |found, expected| match found == expected {
            true => Ok(()),
            false => Err(ResizeError::Row { found, expected }),
        };
        length(pixels.len(), picture.len())?;
        length(input.len(), to.len())?;
        if picture == to {
            input.copy_from_slice(pixels);
            return Ok(());
        }
        let mut put = |index: usize, value| {
            if let Some(to) = input.get_mut(index) {
                *to = value;
            }
        };
        let mut preparation = self.begin(picture, to, &mut put)?;
        for row in pixels.chunks_exact((picture.width * picture.channels).max(1)) {
            preparation.row(row, &mut scratch, &mut put)?;
        }
        Ok(())
    }

    /// Begins the input `to` of a picture (gray or RGB) whose rows come one after another, and gives `put`
    /// what its bars have (u8), with the index in the input (HWC): where the picture itself comes, it writes
    /// over them. [`Preprocessing::prepare`] is this with all rows at hand.
    ///
    /// # Errors
    /// Channels that cannot become the input's, or sides that are too long.
    pub fn begin(
        &self,
        picture: Shape,
        to: Shape,
        mut put: impl FnMut(usize, u8),
    ) -> Result<Preparation, ResizeError> {
        if !matches!((picture.channels, to.channels), (1 | 3, 1 | 3)) && picture.channels != to.channels {
            return Err(ResizeError::Channels { picture: picture.channels, output: to.channels });
        }
        let shape = Shape { channels: to.channels, ..picture };
        let (crop, inner, [top, left]) = self.place(shape, to);
        let resize = Resize::new(shape, crop, inner)?;
        if inner != to {
            let pixel = [color::gray(self.background)];
            let pixel = if to.channels == 1 { &pixel[..] } else { &self.background[..] };
            (0..to.len()).zip(pixel.iter().cycle()).for_each(|(index, &value)| put(index, value));
        }
        let (across, inner_across) = (to.width * to.channels, inner.width * to.channels);
        Ok(Preparation {
            resize,
            picture,
            inner,
            start: top * across + left * to.channels,
            across,
            inner_across,
        })
    }

    /// The part of the picture, the rectangle of the input that it fills, and where that begins (row,
    /// column).
    fn place(&self, picture: Shape, to: Shape) -> (Crop, Shape, [usize; 2]) {
        match self.fit {
            Fit::Whole => (Crop::whole(picture), to, [0; 2]),
            Fit::Middle => (Crop::middle(picture, to), to, [0; 2]),
            Fit::Letterbox => {
                // A side in the other's proportion, to the nearest pixel; 64 bits hold every product.
                let scaled = |side: usize, by: usize, of: usize, most: usize| {
                    let (side, by, of) = (side as u64, by as u64, of.max(1) as u64);
                    ((side * by + of / 2) / of).clamp(1, most.max(1) as u64) as usize
                };
                let height = scaled(picture.height, to.width, picture.width, to.height);
                let width = scaled(picture.width, to.height, picture.height, to.width);
                let start = [(to.height.max(height) - height) / 2, (to.width.max(width) - width) / 2];
                (Crop::whole(picture), Shape { height, width, ..to }, start)
            }
        }
    }
}

/// A picture on its way into an input, row by row. It borrows nothing between rows, so that who waits for
/// them may keep it; the scratch memory must be left as it is.
///
/// ```
/// use goldcrest_engine::picture::{Preprocessing, Scratch};
/// use goldcrest_engine::shape::Shape;
///
/// let (picture, to) = (Shape::new(2, 2, 3), Shape::new(1, 2, 1));
/// let (mut sums, mut row, mut input) = ([0; 2], [0; 2], [0; 2]);
/// let rule = Preprocessing::default();
/// let mut preparation = rule.begin(picture, to, |index, value| input[index] = value)?;
/// for pixels in [[10, 10, 10, 0, 0, 0], [30, 30, 30, 255, 255, 255]] {
///     let mut scratch = Scratch { sums: &mut sums, row: &mut row };
///     preparation.row(&pixels, &mut scratch, |index, value| input[index] = value)?;
/// }
/// assert_eq!(input, [20, 128]);
/// # Ok::<(), goldcrest_engine::picture::ResizeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Preparation {
    /// Of the picture with the input's channels, to what it fills of the input.
    resize: Resize,
    picture: Shape,
    inner: Shape,
    /// Where in the input the picture begins.
    start: usize,
    /// Values of a row of the input, and of what the picture fills of it.
    across: usize,
    inner_across: usize,
}

impl Preparation {
    /// Whether there is room enough to work in.
    ///
    /// # Errors
    /// What of it is too little.
    pub fn check(&self, scratch: &Scratch<'_>) -> Result<(), ResizeError> {
        let (found, expected) = (scratch.sums.len(), Resize::sums(self.inner));
        if found < expected {
            return Err(ResizeError::Sums { found, expected });
        }
        let (found, expected) = (scratch.row.len(), Preprocessing::row(self.picture, self.inner));
        if found < expected { Err(ResizeError::Row { found, expected }) } else { Ok(()) }
    }

    /// Takes the next row of the picture (u8, gray or RGB) and gives `put` the input's values that are known
    /// now, each with its index in the input (HWC).
    ///
    /// # Errors
    /// A row of another length than the picture's, or too little room; nothing is taken then.
    pub fn row(
        &mut self,
        pixels: &[u8],
        scratch: &mut Scratch<'_>,
        mut put: impl FnMut(usize, u8),
    ) -> Result<(), ResizeError> {
        self.check(scratch)?;
        let (found, expected) = (pixels.len(), self.picture.width * self.picture.channels);
        if found != expected {
            return Err(ResizeError::Row { found, expected });
        }
        let (start, across, inner_across) = (self.start, self.across, self.inner_across.max(1));
        let put =
            |index: usize, value| put(start + index / inner_across * across + index % inner_across, value);
        if self.picture.channels == self.inner.channels {
            return self.resize.row(pixels, scratch.sums, put);
        }
        let row = scratch.row.get_mut(..Preprocessing::row(self.picture, self.inner)).unwrap_or_default();
        if self.inner.channels == 1 {
            row.iter_mut().zip(pixels.as_chunks::<3>().0).for_each(|(to, &pixel)| *to = color::gray(pixel));
        } else {
            row.as_chunks_mut::<3>().0.iter_mut().zip(pixels).for_each(|(to, &value)| *to = [value; 3]);
        }
        self.resize.row(row, scratch.sums, put)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prepare(
        rule: Preprocessing,
        picture: Shape,
        pixels: &[u8],
        to: Shape,
    ) -> Result<Vec<u8>, ResizeError> {
        let mut sums = vec![7; Resize::sums(to)];
        let mut row = vec![7; Preprocessing::row(picture, to)];
        let mut input = vec![7; to.len()];
        rule.prepare(picture, pixels, to, Scratch { sums: &mut sums, row: &mut row }, &mut input)?;
        Ok(input)
    }

    fn noise(shape: Shape) -> Vec<u8> {
        (0..shape.len()).map(|index| (index * 37 % 251) as u8).collect()
    }

    const RULE: Preprocessing = Preprocessing { fit: Fit::Whole, background: [9, 200, 30] };

    #[test]
    fn a_wide_picture_lies_between_bars() {
        let (picture, to) = (Shape::new(2, 4, 3), Shape::new(4, 4, 3));
        let rule = Preprocessing { fit: Fit::Letterbox, ..RULE };
        let input = prepare(rule, picture, &noise(picture), to).unwrap();
        assert_eq!(input[12..36], noise(picture));
        assert!(input[..12].iter().chain(&input[36..]).eq([9, 200, 30].repeat(8).iter()));
        let high = Shape::new(8, 2, 1);
        let input = prepare(rule, high, &[50; 16], Shape::new(4, 4, 1)).unwrap();
        let bar = color::gray(RULE.background);
        assert_eq!(input, [bar, 50, bar, bar].repeat(4));
    }

    #[test]
    fn the_middle_leaves_the_sides_out_and_the_whole_does_not() {
        let (picture, to) = (Shape::new(1, 3, 1), Shape::new(1, 1, 1));
        let input = |fit| prepare(Preprocessing { fit, ..RULE }, picture, &[90, 10, 200], to).unwrap();
        assert_eq!((input(Fit::Middle), input(Fit::Whole)), (vec![10], vec![100]));
        assert_eq!(Fit::ALL.map(|fit| Fit::from_name(fit.name())), Fit::ALL.map(Some));
        assert_eq!(
            [0, 1, 2, 3].map(Fit::from_code),
            [Some(Fit::Whole), Some(Fit::Middle), Some(Fit::Letterbox), None]
        );
    }

    proptest! {
        #[test]
        fn gray_and_rgb_follow_one_rule(
            (height, width) in (1usize..20, 1usize..20),
            (rows, columns) in (1usize..12, 1usize..12),
            fit in proptest::sample::select(&Fit::ALL[..]),
        ) {
            let rule = Preprocessing { fit, background: [80; 3] };
            let (gray, rgb) = (Shape::new(height, width, 1), Shape::new(height, width, 3));
            let pixels = noise(gray);
            let repeated: Vec<u8> = pixels.iter().flat_map(|&value| [value; 3]).collect();
            for channels in [1, 3] {
                let to = Shape::new(rows, columns, channels);
                let input = prepare(rule, gray, &pixels, to).unwrap();
                prop_assert_eq!(&prepare(rule, rgb, &repeated, to).unwrap(), &input);
            }
            // Luma before the average, not after.
            let pixels = noise(rgb);
            let luma: Vec<u8> = pixels.as_chunks::<3>().0.iter().map(|&pixel| color::gray(pixel)).collect();
            let to = Shape::new(rows, columns, 1);
            let colour = prepare(rule, rgb, &pixels, to).unwrap();
            prop_assert_eq!(colour, prepare(rule, gray, &luma, to).unwrap());
        }
    }

    #[test]
    fn a_picture_of_the_inputs_size_comes_row_by_row_as_it_is() {
        let shape = Shape::new(5, 7, 3);
        for fit in Fit::ALL {
            let (mut sums, mut input) = (vec![7; Resize::sums(shape)], vec![7; shape.len()]);
            let mut scratch = Scratch { sums: &mut sums, row: &mut [] };
            let rule = Preprocessing { fit, ..RULE };
            let mut preparation = rule.begin(shape, shape, |_, _| panic!("no bars")).unwrap();
            for row in noise(shape).chunks(21) {
                preparation.row(row, &mut scratch, |index, value| input[index] = value).unwrap();
            }
            assert_eq!(input, noise(shape), "{fit}");
        }
    }

    #[test]
    fn a_row_or_room_that_is_too_short_changes_nothing() {
        let (picture, to) = (Shape::new(1, 4, 3), Shape::new(1, 2, 1));
        let mut preparation = RULE.begin(picture, to, |_, _| ()).unwrap();
        let mut row = |pixels: usize, sums: usize, row: usize| {
            let (mut sums, mut row) = (vec![0; sums], vec![0; row]);
            let mut scratch = Scratch { sums: &mut sums, row: &mut row };
            let mut given = Vec::new();
            preparation.row(&vec![9; pixels], &mut scratch, |_, value| given.push(value)).map(|()| given)
        };
        assert_eq!(row(11, 2, 4), Err(ResizeError::Row { found: 11, expected: 12 }));
        assert_eq!(row(12, 1, 4), Err(ResizeError::Sums { found: 1, expected: 2 }));
        assert_eq!(row(12, 2, 3), Err(ResizeError::Row { found: 3, expected: 4 }));
        assert_eq!(row(12, 2, 4), Ok(vec![9, 9]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let to = Shape::new(2, 2, 2);
        let refused = prepare(RULE, Shape::new(4, 4, 3), &[0; 48], to).unwrap_err();
        assert_eq!(refused, ResizeError::Channels { picture: 3, output: 2 });
        assert!(prepare(RULE, Shape::new(4, 4, 1), &[0; 15], Shape::new(2, 2, 1)).is_err());
    }
}
