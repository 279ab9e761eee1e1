//! The ArduCAM Mini 2MP: an OV2640 sensor set up over I2C (its SCCB), and the ArduChip, which keeps one
//! picture in a FIFO that is read over SPI (mode 0, at most 8 MHz).
//!
//! Sources: "OV2640 Datasheet" (OmniVision, version 1.6; tables 12 and 13), "ArduCAM-M-2MP Hardware
//! Application Note" (ArduCAM; section 3, ArduChip registers). The sensor gives 320 x 240 pixels in RGB565,
//! higher byte first.

mod ov2640;

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;
use embedded_hal::spi::{Operation, SpiDevice};
use goldcrest_engine::picture::{Preprocessing, ResizeError, Scratch, color};
use goldcrest_engine::shape::Shape;

use super::{ImageSource, put};

/// Size of its pictures.
pub const PICTURE: Shape = Shape::new(240, 320, 3);

/// Bytes of a row in RGB565.
const ROW: usize = PICTURE.width * 2;
/// Bytes of a picture.
const BYTES: u32 = (PICTURE.height * ROW) as u32;

/// Registers of the ArduChip; bit 7 of the address means write.
mod chip {
    pub const WRITE: u8 = 0x80;
    /// Keeps what is written.
    pub const TEST: u8 = 0x00;
    /// FIFO control.
    pub const FIFO: u8 = 0x04;
    pub const FIFO_CLEAR: u8 = 0x01;
    pub const FIFO_START: u8 = 0x02;
    /// Reads the FIFO on and on while the chip is selected; goes on where the last read ended.
    pub const BURST: u8 = 0x3c;
    /// State of the capture.
    pub const STATE: u8 = 0x41;
    pub const STATE_DONE: u8 = 0x08;
    /// Bytes in the FIFO: three registers, the lowest byte first.
    pub const LENGTH: [u8; 3] = [0x42, 0x43, 0x44];
}

/// Why there is no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CameraError<S, I> {
    /// The SPI bus.
    Spi(S),
    /// The I2C bus.
    I2c(I),
    /// The ArduChip does not keep what it is told: wires, chip select, or too fast a clock.
    NoChip {
        /// What its test register gave for 0x55.
        found: u8,
    },
    /// The sensor is another one, or not there.
    NoSensor {
        /// Its product number; an OV2640 says 0x2641 or 0x2642.
        found: u16,
    },
    /// No picture came within two seconds.
    Timeout,
    /// The FIFO holds less than a picture.
    Length {
        /// Bytes in it.
        found: u32,
    },
    /// The model's input cannot be filled.
    Input(ResizeError),
}

impl<S, I> From<ResizeError> for CameraError<S, I> {
    fn from(error: ResizeError) -> Self {
        Self::Input(error)
    }
}

/// The camera, set up.
pub struct ArduCam<'b, S, D> {
    spi: S,
    delay: D,
    sums: &'b mut [u64],
}

type Failure<S, I> = CameraError<<S as embedded_hal::spi::ErrorType>::Error, I>;

impl<'b, S: SpiDevice, D: DelayNs> ArduCam<'b, S, D> {
    /// Milliseconds that a picture may take: the sensor gives 15 a second, and waits for the next one's
    /// start.
    const PATIENCE: u32 = 2000;

    /// Looks for the ArduChip and the sensor and sets both up, in about a tenth of a second. `sums` needs
    /// room for one row of the model's input, see [`Resize::sums`](goldcrest_engine::picture::Resize::sums).
    ///
    /// # Errors
    /// Which of the two is not there, or what a bus reports.
    pub fn new<I: I2c>(
        mut spi: S,
        i2c: &mut I,
        mut delay: D,
        sums: &'b mut [u64],
    ) -> Result<Self, Failure<S, I::Error>> {
        const PATTERN: u8 = 0x55;
        spi.write(&[chip::TEST | chip::WRITE, PATTERN]).map_err(CameraError::Spi)?;
        let found = read(&mut spi, chip::TEST).map_err(CameraError::Spi)?;
        if found != PATTERN {
            return Err(CameraError::NoChip { found });
        }
        let found = ov2640::product(i2c).map_err(CameraError::I2c)?;
        if !ov2640::PRODUCTS.contains(&found) {
            return Err(CameraError::NoSensor { found });
        }
        ov2640::set_up(i2c, &mut delay).map_err(CameraError::I2c)?;
        Ok(Self { spi, delay, sums })
    }

    /// The bus and the timer back.
    pub fn release(self) -> (S, D) {
        (self.spi, self.delay)
    }

    fn write(&mut self, register: u8, value: u8) -> Result<(), S::Error> {
        self.spi.write(&[register | chip::WRITE, value])
    }

    /// Has a picture put into the FIFO and waits for it.
    fn capture<I>(&mut self) -> Result<(), Failure<S, I>> {
        // Pointers to the beginning, then the flag of the last capture.
        for value in [chip::FIFO_CLEAR, chip::FIFO_CLEAR, chip::FIFO_START] {
            self.write(chip::FIFO, value).map_err(CameraError::Spi)?;
        }
        for _ in 0..Self::PATIENCE {
            let state = read(&mut self.spi, chip::STATE).map_err(CameraError::Spi)?;
            if state & chip::STATE_DONE != 0 {
                let mut length = 0;
                for (place, register) in chip::LENGTH.into_iter().enumerate() {
                    let byte = read(&mut self.spi, register).map_err(CameraError::Spi)?;
                    length |= u32::from(byte) << (8 * place);
                }
                // 23 bits; a few bytes more than a picture are usual.
                let found = length & 0x7f_ffff;
                return if found < BYTES { Err(CameraError::Length { found }) } else { Ok(()) };
            }
            self.delay.delay_ms(1);
        }
        Err(CameraError::Timeout)
    }
}

fn read<S: SpiDevice>(spi: &mut S, register: u8) -> Result<u8, S::Error> {
    let mut value = [0];
    spi.transaction(&mut [Operation::Write(&[register]), Operation::Read(&mut value)])?;
    Ok(value[0])
}

impl<S: SpiDevice, D: DelayNs> ImageSource for ArduCam<'_, S, D> {
    /// The sensor is set up, so no error is the I2C bus's.
    type Error = Failure<S, core::convert::Infallible>;

    fn fill(&mut self, rule: &Preprocessing, to: Shape, input: &mut [u8]) -> Result<(), Self::Error> {
        let (mut pixels, mut row, mut luma) = ([0; ROW], [0; PICTURE.width * 3], [0; PICTURE.width]);
        let mut preparation = rule.begin(PICTURE, to, put(input))?;
        // An input that cannot be filled costs no picture.
        preparation.check(&Scratch { sums: self.sums, row: &mut luma })?;
        self.capture()?;
        let mut scratch = Scratch { sums: self.sums, row: &mut luma };
        for _ in 0..PICTURE.height {
            let mut operations = [Operation::Write(&[chip::BURST]), Operation::Read(&mut pixels)];
            self.spi.transaction(&mut operations).map_err(CameraError::Spi)?;
            let (from, to) = (pixels.as_chunks::<2>().0, row.as_chunks_mut::<3>().0);
            from.iter().zip(to).for_each(|(pixel, place)| *place = color::rgb565(u16::from_be_bytes(*pixel)));
            preparation.row(&row, &mut scratch, put(input))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
