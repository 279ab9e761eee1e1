//! Pixels that came over the link, for which a board has room in the input alone: there they stand already,
//! as they came or prepared from a larger picture; here they are taken for a picture, or not.

use goldcrest_engine::picture::Preprocessing;
use goldcrest_engine::shape::Shape;
use goldcrest_link::{CRC, Refusal};

use super::ImageSource;

/// The picture whose pixels have this CRC.
pub struct Received {
    /// CRC-32 of all the input's pixels.
    pub crc: u32,
}

impl ImageSource for Received {
    type Error = Refusal;

    fn fill(&mut self, _: &Preprocessing, _: Shape, input: &mut [u8]) -> Result<(), Refusal> {
        if CRC.checksum(input) == self.crc { Ok(()) } else { Err(Refusal::WrongPixels) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pixels_that_the_host_sent_are_its_picture() {
        let mut input: std::vec::Vec<u8> = (0..=255).cycle().take(1000).collect();
        let mut source = Received { crc: CRC.checksum(&input) };
        let (rule, shape) = (Preprocessing::default(), Shape::new(1, 1000, 1));
        assert_eq!(source.fill(&rule, shape, &mut input), Ok(()));
        assert!(input.iter().copied().eq((0..=255).cycle().take(1000)));
        input[999] ^= 1;
        assert_eq!(source.fill(&rule, shape, &mut input), Err(Refusal::WrongPixels));
    }
}
