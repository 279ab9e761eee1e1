//! The camera on buses that know what must be said on them.

use std::collections::HashMap;
use std::vec;
use std::vec::Vec;

use embedded_hal_mock::eh1::delay::NoopDelay;
use embedded_hal_mock::eh1::i2c::{Mock as I2cMock, Transaction as I2cStep};
use embedded_hal_mock::eh1::spi::{Mock as SpiMock, Transaction as SpiStep};
use goldcrest_engine::picture::{Fit, Resize};

use super::*;

const SENSOR: u8 = 0x30;

fn written(register: u8, value: u8) -> Vec<SpiStep<u8>> {
    vec![
        SpiStep::transaction_start(),
        SpiStep::write_vec(vec![register | 0x80, value]),
        SpiStep::transaction_end(),
    ]
}

fn asked(register: u8, answer: Vec<u8>) -> Vec<SpiStep<u8>> {
    vec![
        SpiStep::transaction_start(),
        SpiStep::write_vec(vec![register]),
        SpiStep::read_vec(answer),
        SpiStep::transaction_end(),
    ]
}

/// The words on SPI of a camera that is there.
fn chip() -> Vec<SpiStep<u8>> {
    [written(0x00, 0x55), asked(0x00, vec![0x55])].concat()
}

fn product(high: u8, low: u8) -> Vec<I2cStep> {
    vec![
        I2cStep::write(SENSOR, vec![0xff, 1]),
        I2cStep::write(SENSOR, vec![0x0a]),
        I2cStep::read(SENSOR, vec![high]),
        I2cStep::write(SENSOR, vec![0x0b]),
        I2cStep::read(SENSOR, vec![low]),
    ]
}

fn set_up() -> Vec<I2cStep> {
    let mut steps = product(0x26, 0x42);
    steps.push(I2cStep::write(SENSOR, vec![0xff, 1]));
    steps.push(I2cStep::write(SENSOR, vec![0x12, 0x80]));
    let settings = ov2640::SETTINGS.iter();
    steps.extend(settings.map(|&(register, value)| I2cStep::write(SENSOR, vec![register, value])));
    steps
}

/// A capture that is done at the third look, with that many bytes in the FIFO.
fn capture(bytes: u32) -> Vec<SpiStep<u8>> {
    let [low, middle, high, _] = bytes.to_le_bytes();
    [
        written(0x04, 1),
        written(0x04, 1),
        written(0x04, 2),
        asked(0x41, vec![0]),
        asked(0x41, vec![0x01]),
        asked(0x41, vec![0x09]),
        asked(0x42, vec![low]),
        asked(0x43, vec![middle]),
        // The bit above the 23 belongs to something else.
        asked(0x44, vec![high | 0x80]),
    ]
    .concat()
}

type Outcome = Result<Vec<u8>, CameraError<embedded_hal::spi::ErrorKind, core::convert::Infallible>>;

const RULE: Preprocessing = Preprocessing { fit: Fit::Whole, background: [9, 90, 200] };

/// Fills an input once with a camera that expects these words after its set-up.
fn fill(rule: Preprocessing, to: Shape, steps: Vec<SpiStep<u8>>) -> Outcome {
    let (mut spi, mut i2c) = (SpiMock::new(&[chip(), steps].concat()), I2cMock::new(&set_up()));
    let mut sums = vec![0; 128];
    let mut camera = ArduCam::new(spi.clone(), &mut i2c, NoopDelay::new(), &mut sums).unwrap();
    let mut input = vec![0; to.len()];
    let filled = camera.fill(&rule, to, &mut input);
    spi.done();
    i2c.done();
    filled.map(|()| input)
}

/// RGB565 pixels, and the same as a host has them.
fn picture() -> (Vec<Vec<u8>>, Vec<u8>) {
    let pixel = |row: usize, column: usize| (row * 263 + column * 4099) as u16 ^ 0x5a5a;
    let (mut wire, mut rgb) = (Vec::new(), Vec::new());
    for row in 0..240 {
        let pixels: Vec<u16> = (0..320).map(|column| pixel(row, column)).collect();
        wire.push(pixels.iter().flat_map(|pixel| pixel.to_be_bytes()).collect());
        rgb.extend(pixels.iter().flat_map(|&pixel| color::rgb565(pixel)));
    }
    (wire, rgb)
}

#[test]
fn a_picture_arrives_as_the_host_would_make_it() {
    let (wire, rgb) = picture();
    let sizes = [Shape::new(32, 32, 3), Shape::new(48, 48, 1)];
    for (to, fit) in sizes.into_iter().flat_map(|to| Fit::ALL.map(|fit| (to, fit))) {
        let rule = Preprocessing { fit, ..RULE };
        let rows = wire.iter().flat_map(|row| asked(0x3c, row.clone()));
        let input = fill(rule, to, capture(153_608).into_iter().chain(rows).collect()).unwrap();

        let (mut sums, mut row) = (vec![0; Resize::sums(to)], vec![0; Preprocessing::row(PICTURE, to)]);
        let mut expected = vec![0; to.len()];
        let scratch = Scratch { sums: &mut sums, row: &mut row };
        rule.prepare(PICTURE, &rgb, to, scratch, &mut expected).unwrap();
        assert_eq!(input, expected, "{to} {fit}");
    }
}

#[test]
fn a_capture_that_fails_says_how() {
    let to = Shape::new(32, 32, 3);
    assert_eq!(fill(RULE, to, capture(153_599)), Err(CameraError::Length { found: 153_599 }));
    let mut never = [written(0x04, 1), written(0x04, 1), written(0x04, 2)].concat();
    never.extend((0..2000).flat_map(|_| asked(0x41, vec![0x07])));
    assert_eq!(fill(RULE, to, never), Err(CameraError::Timeout));
    // Inputs that cannot be filled are refused before any picture is taken.
    let two = Shape::new(4, 4, 2);
    assert_eq!(
        fill(RULE, two, vec![]),
        Err(CameraError::Input(ResizeError::Channels { picture: 3, output: 2 }))
    );
    let wide = Shape::new(4, 43, 3);
    assert_eq!(
        fill(RULE, wide, vec![]),
        Err(CameraError::Input(ResizeError::Sums { found: 128, expected: 129 }))
    );
}

#[test]
fn a_camera_that_is_not_there_is_told_from_a_sensor_that_is_not() {
    let set_up = |spi: &[SpiStep<u8>], i2c: &[I2cStep]| {
        let (mut spi, mut i2c) = (SpiMock::new(spi), I2cMock::new(i2c));
        let error = ArduCam::new(spi.clone(), &mut i2c, NoopDelay::new(), &mut []).map(|_| ()).unwrap_err();
        spi.done();
        i2c.done();
        error
    };
    let silent = [written(0x00, 0x55), asked(0x00, vec![0xff])].concat();
    assert_eq!(set_up(&silent, &[]), CameraError::NoChip { found: 0xff });
    assert_eq!(set_up(&chip(), &product(0x76, 0x73)), CameraError::NoSensor { found: 0x7673 });
    let error = embedded_hal::i2c::ErrorKind::Other;
    let broken = [I2cStep::write(SENSOR, vec![0xff, 1]).with_error(error)];
    assert_eq!(set_up(&chip(), &broken), CameraError::I2c(error));
}

#[test]
fn the_settings_say_320_by_240_in_rgb565() {
    // The last value of every register, by bank.
    let (mut bank, mut values) = (None, HashMap::new());
    for &(register, value) in ov2640::SETTINGS {
        match register {
            0xff => bank = Some(value),
            _ => {
                values.insert((bank.expect("a bank comes first"), register), u32::from(value));
            }
        }
    }
    let dsp = |register| values[&(0, register)];
    let columns_out = (dsp(0x5a) | (dsp(0x5c) & 3) << 8) * 4;
    let rows_out = (dsp(0x5b) | (dsp(0x5c) >> 2 & 1) << 8) * 4;
    assert_eq!((rows_out, columns_out), (240, 320));
    // All of the sensor enters, and is divided by four each way before it is scaled.
    let columns_in = (dsp(0x51) | (dsp(0x55) >> 3 & 1) << 8 | (dsp(0x57) >> 7) << 9) * 4;
    let rows_in = (dsp(0x52) | (dsp(0x55) >> 7) << 8) * 4;
    assert_eq!((rows_in, columns_in), (1200, 1600));
    assert_eq!((dsp(0xc1) * 8, dsp(0xc0) * 8), (1200, 1600));
    assert_eq!((dsp(0x50) >> 3 & 7, dsp(0x50) & 7), (2, 2));
    // RGB565, higher byte first, through the signal processor, which is out of reset.
    assert_eq!((dsp(0xda) >> 2 & 3, dsp(0xda) & 1, dsp(0x05), dsp(0xe0)), (2, 0, 0, 0));
    assert_eq!(values[&(1, 0x12)], 0, "1600 x 1200");
}
