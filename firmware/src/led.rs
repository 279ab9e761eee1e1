//! Lights, as output pins: on while high.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};

/// The light of a board that has none.
pub struct NoLed;

impl ErrorType for NoLed {
    type Error = Infallible;
}

impl OutputPin for NoLed {
    fn set_low(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A light between the supply and its pin: on while the pin is low.
pub struct ActiveLow<P>(
    /// The pin.
    pub P,
);

impl<P: ErrorType> ErrorType for ActiveLow<P> {
    type Error = P::Error;
}

impl<P: OutputPin> OutputPin for ActiveLow<P> {
    fn set_low(&mut self) -> Result<(), P::Error> {
        self.0.set_high()
    }
    fn set_high(&mut self) -> Result<(), P::Error> {
        self.0.set_low()
    }
}
