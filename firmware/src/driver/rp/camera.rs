//! An ArduCAM Mini at a Pico or Pico 2, wired as `docs/boards.md` says: SPI0 with its
//! clock on GP2, MOSI on GP3, MISO on GP4 and chip select on GP5; I2C0 with data on GP8 and its clock on GP9.

use embassy_rp::config::Config;
use embassy_rp::gpio::{Level, Output};
use embassy_rp::i2c::{self, I2c};
use embassy_rp::peripherals::SPI0;
use embassy_rp::spi::{self, Blocking, Spi};
use embassy_time::Delay;
use embedded_hal_bus::spi::{ExclusiveDevice, NoDelay};

use crate::source::arducam::ArduCam;

/// Hz of the SPI bus, the most that the camera takes; mode 0 is the HAL's default.
const SPI_FREQUENCY: u32 = 8_000_000;
/// Hz of the I2C bus.
const I2C_FREQUENCY: u32 = 100_000;

type Bus = ExclusiveDevice<Spi<'static, SPI0, Blocking>, Output<'static>, NoDelay>;

/// The camera.
pub type Camera = ArduCam<'static, Bus, Delay>;

/// Switches the part and the camera on: the camera, and the light on GP25.
///
/// # Panics
/// When the camera does not answer.
pub fn take(sums: &'static mut [u64]) -> (Camera, Output<'static>) {
    let parts = embassy_rp::init(Config::default());
    let mut config = spi::Config::default();
    config.frequency = SPI_FREQUENCY;
    let bus = Spi::new_blocking(parts.SPI0, parts.PIN_2, parts.PIN_3, parts.PIN_4, config);
    let Ok(bus) = ExclusiveDevice::new_no_delay(bus, Output::new(parts.PIN_5, Level::High));
    let mut config = i2c::Config::default();
    config.frequency = I2C_FREQUENCY;
    let mut control = I2c::new_blocking(parts.I2C0, parts.PIN_9, parts.PIN_8, config);
    let camera = ArduCam::new(bus, &mut control, Delay, sums);
    let camera = camera.unwrap_or_else(|error| panic!("the camera does not answer: {error:?}"));
    (camera, Output::new(parts.PIN_25, Level::Low))
}
