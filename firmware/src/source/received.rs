//! Pixels that came over the link. They came in pieces of any order, for which a board has room in the input
//! alone, so they stand there already; here they are taken for a picture, or not.

use goldcrest_engine::shape::Shape;
use goldcrest_link::{CRC, Refusal};

use super::ImageSource;

/// The picture whose pixels have this CRC.
pub struct Received {
    /// CRC-32 of all its pixels, by the host.
    pub crc: u32,
}

impl ImageSource for Received {
    type Error = Refusal;

    fn fill(&mut self, _: Shape, input: &mut [u8]) -> Result<(), Refusal> {
        if CRC.checksum(input) == self.crc { Ok(()) } else { Err(Refusal::WrongPixels) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pixels_that_the_host_sent_are_its_picture() {
        let pixels: std::vec::Vec<u8> = (0..=255).cycle().take(1000).collect();
        let mut input = pixels.clone();
        let mut source = Received { crc: CRC.checksum(&pixels) };
        let shape = Shape::new(1, 1000, 1);
        assert_eq!(source.fill(shape, &mut input), Ok(()));
        assert_eq!(input, pixels);
        input[999] ^= 1;
        assert_eq!(source.fill(shape, &mut input), Err(Refusal::WrongPixels));
    }
}
