//! Nordic nRF51 peripherals: UART and timer (nRF51 Series Reference Manual, version 3.0).

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, Write};

use super::{Register, Wake};
use crate::clock::Stopwatch;

/// UART. 6 bytes of receive buffer; sleeps while it waits.
pub struct Uart {
    received: Register,
    receive: Register,
    transmitted: Register,
    transmit: Register,
    wake: Wake,
}

mod uart {
    pub const TASK_START_RX: usize = 0x000;
    pub const TASK_START_TX: usize = 0x008;
    pub const EVENT_RX_READY: usize = 0x108;
    pub const EVENT_TX_READY: usize = 0x11c;
    pub const INTERRUPT_SET: usize = 0x304;
    pub const INTERRUPT_RX_READY: u32 = 1 << 2;
    pub const ENABLE: usize = 0x500;
    pub const ENABLE_UART: u32 = 4;
    pub const PIN_TX: usize = 0x50c;
    pub const PIN_RX: usize = 0x514;
    pub const RXD: usize = 0x518;
    pub const TXD: usize = 0x51c;
    pub const BAUD_RATE: usize = 0x524;
    pub const BAUD_RATE_115200: u32 = 0x01d7_e000;
}

impl Uart {
    /// The UART at a base address, switched on at 115,200 baud with these pins.
    ///
    /// # Safety
    /// An nRF51 UART that nobody else uses lies at `base`, and nobody else uses the pins.
    pub unsafe fn new(base: usize, tx_pin: u32, rx_pin: u32, wake: Wake) -> Self {
        // SAFETY: as the caller promises.
        let register = |offset| unsafe { Register::new(base + offset) };
        register(uart::PIN_TX).write(tx_pin);
        register(uart::PIN_RX).write(rx_pin);
        register(uart::BAUD_RATE).write(uart::BAUD_RATE_115200);
        register(uart::INTERRUPT_SET).write(uart::INTERRUPT_RX_READY);
        register(uart::ENABLE).write(uart::ENABLE_UART);
        register(uart::TASK_START_TX).write(1);
        register(uart::TASK_START_RX).write(1);
        Self {
            received: register(uart::EVENT_RX_READY),
            receive: register(uart::RXD),
            transmitted: register(uart::EVENT_TX_READY),
            transmit: register(uart::TXD),
            wake,
        }
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let Some(first) = buffer.first_mut() else { return Ok(0) };
        while self.received.read() == 0 {
            self.wake.clear();
            if self.received.read() == 0 {
                self.wake.sleep();
            }
        }
        // The event comes again when the buffer holds another byte.
        self.received.write(0);
        *first = self.receive.read() as u8;
        Ok(1)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for &byte in bytes {
            self.transmitted.write(0);
            self.transmit.write(byte.into());
            while self.transmitted.read() == 0 {}
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// TIMER0, the one with 32 bits, at 16 MHz: 268 seconds.
pub struct Timer {
    clear: Register,
    capture: Register,
    captured: Register,
}

mod timer {
    pub const TASK_START: usize = 0x000;
    pub const TASK_CLEAR: usize = 0x00c;
    pub const TASK_CAPTURE_0: usize = 0x040;
    pub const BIT_MODE: usize = 0x508;
    pub const BIT_MODE_32: u32 = 3;
    pub const PRESCALER: usize = 0x510;
    pub const CAPTURED_0: usize = 0x540;
}

impl Timer {
    /// The timer at a base address, running.
    ///
    /// # Safety
    /// An nRF51 TIMER0 that nobody else uses lies at `base`.
    pub unsafe fn new(base: usize) -> Self {
        // SAFETY: as the caller promises.
        let register = |offset| unsafe { Register::new(base + offset) };
        register(timer::BIT_MODE).write(timer::BIT_MODE_32);
        register(timer::PRESCALER).write(0);
        register(timer::TASK_START).write(1);
        Self {
            clear: register(timer::TASK_CLEAR),
            capture: register(timer::TASK_CAPTURE_0),
            captured: register(timer::CAPTURED_0),
        }
    }
}

impl Stopwatch for Timer {
    fn frequency(&self) -> u32 {
        16_000_000
    }

    fn start(&mut self) {
        self.clear.write(1);
    }

    fn ticks(&self) -> u64 {
        self.capture.write(1);
        self.captured.read().into()
    }
}
