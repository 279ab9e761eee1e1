//! Setting the OV2640 up: 1600 x 1200 pixels of the sensor, divided by four and scaled to 320 x 240, in
//! RGB565.
//!
//! After a reset the sensor's own exposure, gain and white balance work; what is written is the way of the
//! pixels.

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;

use super::PICTURE;

/// Its I2C address, 7 bits.
const ADDRESS: u8 = 0x30;

/// Product numbers of the sensor.
pub const PRODUCTS: [u16; 2] = [0x2641, 0x2642];

/// Chooses the bank of registers.
pub const BANK: u8 = 0xff;

/// Registers of the bank of the signal processor (datasheet, table 12).
pub mod dsp {
    pub const BANK: u8 = 0;
    /// 1: pixels pass by the signal processor.
    pub const BYPASS: u8 = 0x05;
    /// Division of rows and columns by powers of two: bit 7 rounds, bits 3 to 5 rows, bits 0 to 2 columns.
    pub const DIVIDE: u8 = 0x50;
    /// Columns and rows of its input by 4, lowest 8 bits.
    pub const COLUMNS_IN: u8 = 0x51;
    pub const ROWS_IN: u8 = 0x52;
    /// First column and row, lowest 8 bits.
    pub const LEFT: u8 = 0x53;
    pub const TOP: u8 = 0x54;
    /// Bit 7: bit 8 of the rows; bit 3: of the columns.
    pub const HIGHER_BITS: u8 = 0x55;
    /// Bit 7: bit 9 of the columns.
    pub const HIGHEST_BIT: u8 = 0x57;
    /// Columns and rows of its output by 4, lowest 8 bits; the bits above.
    pub const COLUMNS_OUT: u8 = 0x5a;
    pub const ROWS_OUT: u8 = 0x5b;
    pub const HIGHER_BITS_OUT: u8 = 0x5c;
    /// Modules: 5 scaling, 4 special effects, 3 and 2 colour adjustment, 0 colour matrix.
    pub const MODULES: u8 = 0x86;
    /// Columns and rows of the sensor by 8.
    pub const SENSOR_COLUMNS: u8 = 0xc0;
    pub const SENSOR_ROWS: u8 = 0xc1;
    /// Formats that are computed: 3 YUV422, 2 YUV, 1 RGB.
    pub const FORMATS: u8 = 0xc2;
    /// Divider of the output's clock.
    pub const CLOCK: u8 = 0xd3;
    /// Output format: bits 3 and 2 are 10 for RGB565; bit 0 is 0 for the higher byte first.
    pub const FORMAT: u8 = 0xda;
    /// Modules held in reset; bit 2 is the output.
    pub const RESET: u8 = 0xe0;
}

/// Registers of the sensor's bank (datasheet, table 13).
pub mod sensor {
    pub const BANK: u8 = 1;
    pub const PRODUCT: [u8; 2] = [0x0a, 0x0b];
    /// Divider of the clock.
    pub const CLOCK: u8 = 0x11;
    /// Bit 7 resets; bits 6 to 4 are 0 for 1600 x 1200.
    pub const MODE: u8 = 0x12;
    pub const MODE_RESET: u8 = 0x80;
}

/// Size of the sensor.
const SENSOR: [usize; 2] = [1200, 1600];

/// A value and the bits above its lowest 8.
const fn split(value: usize) -> (u8, u8) {
    (value as u8, (value >> 8) as u8)
}

/// What is written after a reset, in order: register, value.
pub const SETTINGS: &[(u8, u8)] = &{
    // Sizes are counted in fours.
    let (rows_in, rows_in_high) = split(SENSOR[0] / 4);
    let (columns_in, columns_in_high) = split(SENSOR[1] / 4);
    let (rows_out, rows_out_high) = split(PICTURE.height / 4);
    let (columns_out, columns_out_high) = split(PICTURE.width / 4);
    [
        (BANK, sensor::BANK),
        (sensor::MODE, 0),
        (sensor::CLOCK, 0),
        (BANK, dsp::BANK),
        (dsp::RESET, 1 << 2),
        (dsp::SENSOR_ROWS, (SENSOR[0] / 8) as u8),
        (dsp::SENSOR_COLUMNS, (SENSOR[1] / 8) as u8),
        (dsp::MODULES, 0b0011_1101),
        (dsp::DIVIDE, 1 << 7 | 2 << 3 | 2),
        (dsp::ROWS_IN, rows_in),
        (dsp::COLUMNS_IN, columns_in),
        (dsp::TOP, 0),
        (dsp::LEFT, 0),
        (dsp::HIGHER_BITS, (rows_in_high & 1) << 7 | (columns_in_high & 1) << 3),
        (dsp::HIGHEST_BIT, (columns_in_high >> 1 & 1) << 7),
        (dsp::ROWS_OUT, rows_out),
        (dsp::COLUMNS_OUT, columns_out),
        (dsp::HIGHER_BITS_OUT, rows_out_high << 2 | columns_out_high),
        (dsp::CLOCK, 4),
        (dsp::FORMATS, 0b1110),
        (dsp::FORMAT, 0b10 << 2),
        (dsp::BYPASS, 0),
        (dsp::RESET, 0),
    ]
};

/// The product number.
pub fn product<I: I2c>(i2c: &mut I) -> Result<u16, I::Error> {
    i2c.write(ADDRESS, &[BANK, sensor::BANK])?;
    let mut number = [0; 2];
    for (place, register) in number.iter_mut().zip(sensor::PRODUCT) {
        // The sensor's bus knows no repeated start.
        i2c.write(ADDRESS, &[register])?;
        i2c.read(ADDRESS, core::slice::from_mut(place))?;
    }
    Ok(u16::from_be_bytes(number))
}

/// Resets the sensor and sets it up.
pub fn set_up<I: I2c>(i2c: &mut I, delay: &mut impl DelayNs) -> Result<(), I::Error> {
    i2c.write(ADDRESS, &[BANK, sensor::BANK])?;
    i2c.write(ADDRESS, &[sensor::MODE, sensor::MODE_RESET])?;
    delay.delay_ms(100);
    SETTINGS.iter().try_for_each(|&(register, value)| i2c.write(ADDRESS, &[register, value]))
}
