//! Pictures in flash, for boards that shall work without a host or a camera: a file of binary PPM pictures
//! (P6, 8 bits per channel; Netpbm's `ppm` format), one behind the other as `cat *.ppm` writes them.

use goldcrest_engine::picture::{Preprocessing, ResizeError, Scratch};
use goldcrest_engine::shape::Shape;

use super::{ImageSource, put};

/// Pictures of any sizes; after the last one comes the first.
pub struct Stored<'p> {
    file: &'p [u8],
    /// Where the next picture begins.
    next: usize,
    scratch: Scratch<'p>,
}

/// Why there is no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoredError {
    /// The file holds something else than whole pictures.
    NoPicture {
        /// Where in the file.
        offset: usize,
    },
    /// A picture is wider than there is room for.
    Row {
        /// Columns there is room for.
        found: usize,
        /// Columns of the picture.
        expected: usize,
    },
    /// The model's input cannot be filled.
    Input(ResizeError),
}

impl core::fmt::Display for StoredError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoPicture { offset } => {
                write!(f, "no whole binary PPM picture (P6, 255 levels) at byte {offset}")
            }
            Self::Row { found, expected } => {
                write!(f, "a picture of {expected} columns, but there is room for {found}")
            }
            Self::Input(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for StoredError {}

impl From<ResizeError> for StoredError {
    fn from(error: ResizeError) -> Self {
        Self::Input(error)
    }
}

impl<'p> Stored<'p> {
    /// The pictures of a file, of which there is at least one. The scratch memory's row has a byte for each
    /// column of the widest, which a gray model takes; its sums are for one row of the model's input, see
    /// [`Resize::sums`](goldcrest_engine::picture::Resize::sums).
    ///
    /// # Errors
    /// Which bytes are not a picture, or how wide a picture is.
    pub fn new(file: &'p [u8], scratch: Scratch<'p>) -> Result<Self, StoredError> {
        let mut offset = 0;
        while offset == 0 || offset < file.len() {
            let (shape, _, next) = picture(file, offset)?;
            let (found, expected) = (scratch.row.len(), shape.width);
            if found < expected {
                return Err(StoredError::Row { found, expected });
            }
            offset = next;
        }
        Ok(Self { file, next: 0, scratch })
    }
}

impl ImageSource for Stored<'_> {
    type Error = StoredError;

    fn fill(&mut self, rule: &Preprocessing, to: Shape, input: &mut [u8]) -> Result<(), StoredError> {
        let (shape, pixels, next) = picture(self.file, self.next)?;
        let mut preparation = rule.begin(shape, to, put(input))?;
        for row in pixels.chunks_exact(shape.width * 3) {
            preparation.row(row, &mut self.scratch, put(input))?;
        }
        self.next = if next < self.file.len() { next } else { 0 };
        Ok(())
    }
}

/// The picture that begins at an offset of a file: its shape, its pixels, and where it ends.
fn picture(file: &[u8], offset: usize) -> Result<(Shape, &[u8], usize), StoredError> {
    let read = || {
        let mut rest = file.get(offset..)?.strip_prefix(b"P6")?;
        let mut numbers = [0; 3];
        for place in &mut numbers {
            (*place, rest) = number(rest)?;
        }
        let [width, height, 255] = numbers else { return None };
        let bytes = width.checked_mul(height)?.checked_mul(3).filter(|&bytes| bytes > 0)?;
        // One byte of white space, then the pixels.
        let (pixels, rest) = rest.get(1..)?.split_at_checked(bytes)?;
        Some((Shape::new(height, width, 3), pixels, file.len() - rest.len()))
    };
    read().ok_or(StoredError::NoPicture { offset })
}

/// The next number of a header, and what follows it. White space and comments, up to the end of their line,
/// stand before a number.
fn number(header: &[u8]) -> Option<(usize, &[u8])> {
    let mut rest = header.trim_ascii_start();
    while let Some(comment) = rest.strip_prefix(b"#") {
        rest = comment.get(comment.iter().position(|&byte| byte == b'\n')?..)?.trim_ascii_start();
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at_checked(digits)?;
    Some((core::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldcrest_engine::picture::{Fit, Resize};
    use std::vec;
    use std::vec::Vec;

    /// A picture as a file, with a header of one of several forms.
    fn ppm(shape: Shape, seed: usize) -> (Vec<u8>, Vec<u8>) {
        let pixels: Vec<u8> = (0..shape.len()).map(|index| ((index + seed) * 89 % 253) as u8).collect();
        let (width, height) = (shape.width, shape.height);
        let header = match seed % 2 {
            0 => std::format!("P6 {width} {height} 255\n"),
            _ => std::format!("P6\n# by hand: 9 9 9\n{width}\t{height}\n# levels\n255\r"),
        };
        ([header.as_bytes(), &pixels].concat(), pixels)
    }

    #[test]
    fn pictures_take_turns_and_are_the_hosts() {
        let shapes = [Shape::new(9, 14, 3), Shape::new(20, 20, 3), Shape::new(5, 1, 3)];
        let pictures: Vec<_> = shapes.iter().enumerate().map(|(seed, &shape)| ppm(shape, seed)).collect();
        let file: Vec<u8> = pictures.iter().flat_map(|(file, _)| file.clone()).collect();
        for to in [Shape::new(4, 4, 3), Shape::new(12, 6, 1)] {
            let (mut row, mut sums) = ([0; 20], [0; 18]);
            let mut source = Stored::new(&file, Scratch { row: &mut row, sums: &mut sums }).unwrap();
            let (mut input, mut expected) = (vec![0; to.len()], vec![0; to.len()]);
            for (turn, fit) in [0, 1, 2, 0, 1].into_iter().zip(Fit::ALL.into_iter().cycle()) {
                let rule = Preprocessing { fit, background: [9, 90, 200] };
                source.fill(&rule, to, &mut input).unwrap();
                // What the host makes of it.
                let (mut row, mut sums) = ([0; 20], vec![0; Resize::sums(to)]);
                let scratch = Scratch { row: &mut row, sums: &mut sums };
                rule.prepare(shapes[turn], &pictures[turn].1, to, scratch, &mut expected).unwrap();
                assert_eq!(input, expected, "{turn} {fit}");
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let (file, _) = ppm(Shape::new(2, 2, 3), 0);
        let refused =
            |file: &[u8], room| Stored::new(file, Scratch { row: &mut vec![0; room], sums: &mut [] }).err();
        let at = |offset| Some(StoredError::NoPicture { offset });
        assert_eq!(refused(&file, 2), None);
        assert_eq!(refused(&file, 1), Some(StoredError::Row { found: 1, expected: 2 }));
        assert_eq!(refused(&[&file[..], b"\n"].concat(), 6), at(file.len()));
        assert_eq!(refused(&file[..file.len() - 1], 6), at(0));
        for text in
            [&b""[..], b"P6", b"P3 1 1 255 1 1 1", b"P6 0 9 255\n", b"P6 1 1 65535\n123456", b"P6 # 1 1 255"]
        {
            assert_eq!(refused(text, 6), at(0), "{text:?}");
        }
        let large = std::format!("P6 {} {} 255\n123", usize::MAX, 2);
        assert_eq!(refused(large.as_bytes(), 6), at(0));
        let (mut row, mut sums) = ([0; 6], [0; 6]);
        let mut source = Stored::new(&file, Scratch { row: &mut row, sums: &mut sums }).unwrap();
        let error = ResizeError::Channels { picture: 3, output: 2 };
        let filled = source.fill(&Preprocessing::default(), Shape::new(1, 1, 2), &mut [0; 2]);
        assert_eq!(filled, Err(StoredError::Input(error)));
    }
}
