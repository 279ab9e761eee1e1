//! Arm Cortex-M System Design Kit peripherals of the MPS2 and MPS3 boards and of early Stellaris
//! parts: UART, timer, watchdog.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, Write};

use super::reception::{Queue, Receiver};
use super::{Irq, Register};
use crate::clock::Stopwatch;

/// APB UART (Arm DDI 0479, section 4.3). One byte of buffer each way, and a queue behind it.
pub struct Uart {
    data: Register,
    state: Register,
    queue: Queue,
}

mod uart {
    pub const DATA: usize = 0x00;
    pub const STATE: usize = 0x04;
    pub const STATE_TX_FULL: u32 = 1 << 0;
    pub const STATE_RX_FULL: u32 = 1 << 1;
    pub const CTRL: usize = 0x08;
    pub const CTRL_TX_ENABLE: u32 = 1 << 0;
    pub const CTRL_RX_ENABLE: u32 = 1 << 1;
    pub const CTRL_RX_INTERRUPT: u32 = 1 << 3;
    pub const INTERRUPT: usize = 0x0c;
    pub const INTERRUPT_RX: u32 = 1 << 1;
    pub const BAUDDIV: usize = 0x10;
    pub const BAUDDIV_SMALLEST: u32 = 16;
}

impl Uart {
    /// The UART at a base address, switched on, with the number of its receive interrupt.
    ///
    /// # Safety
    /// A CMSDK UART that nobody else uses lies at `base`.
    pub unsafe fn new(base: usize, interrupt: u16) -> Self {
        // SAFETY: as the caller promises.
        let register = |offset| unsafe { Register::new(base + offset) };
        register(uart::BAUDDIV).write(uart::BAUDDIV_SMALLEST);
        let control = uart::CTRL_TX_ENABLE | uart::CTRL_RX_ENABLE | uart::CTRL_RX_INTERRUPT;
        register(uart::CTRL).write(control);
        let (data, state) = (register(uart::DATA), register(uart::STATE));
        let queue = Queue::start(Receiver {
            interrupt: Irq(interrupt),
            status: state,
            ready: uart::STATE_RX_FULL,
            errors: 0,
            data,
            acknowledge: Some((register(uart::INTERRUPT), uart::INTERRUPT_RX)),
        });
        Self { data, state, queue }
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        Ok(self.queue.read(buffer))
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for &byte in bytes {
            while self.state.read() & uart::STATE_TX_FULL != 0 {}
            self.data.write(byte.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// APB timer (Arm DDI 0479, section 4.4): 32 bits, counts down at the system clock, and tells once
/// that it passed zero, which makes 33 bits.
pub struct Timer {
    control: Register,
    value: Register,
    reload: Register,
    interrupt: Register,
    frequency: u32,
}

mod timer {
    pub const CTRL: usize = 0x00;
    pub const CTRL_ENABLE: u32 = 1 << 0;
    pub const CTRL_INTERRUPT_ENABLE: u32 = 1 << 3;
    pub const VALUE: usize = 0x04;
    pub const RELOAD: usize = 0x08;
    pub const INTERRUPT: usize = 0x0c;
}

impl Timer {
    /// The timer at a base address, counting at `frequency` Hz.
    ///
    /// # Safety
    /// A CMSDK timer that nobody else uses lies at `base`, and its interrupt stays masked.
    pub unsafe fn new(base: usize, frequency: u32) -> Self {
        // SAFETY: as the caller promises.
        let register = |offset| unsafe { Register::new(base + offset) };
        Self {
            control: register(timer::CTRL),
            value: register(timer::VALUE),
            reload: register(timer::RELOAD),
            interrupt: register(timer::INTERRUPT),
            frequency,
        }
    }
}

impl Stopwatch for Timer {
    fn frequency(&self) -> u32 {
        self.frequency
    }

    fn start(&mut self) {
        self.control.write(0);
        self.interrupt.write(1);
        self.reload.write(u32::MAX);
        self.value.write(u32::MAX);
        self.control.write(timer::CTRL_ENABLE | timer::CTRL_INTERRUPT_ENABLE);
    }

    fn ticks(&self) -> u64 {
        passed(|| self.interrupt.read(), || self.value.read())
    }
}

/// Ticks of a counter that goes down from its largest value, and of the flag that it wrapped.
fn passed(flag: impl Fn() -> u32, value: impl Fn() -> u32) -> u64 {
    // The flag is read on both sides of the value, lest the value wraps between the two.
    let before = flag() & 1;
    let value = value();
    let after = flag() & 1;
    let wrapped = if before == after { before } else { u32::from(value > u32::MAX / 2) };
    (u64::from(wrapped) << 32) + u64::from(u32::MAX - value)
}

/// APB watchdog (Arm DDI 0479, section 4.6) as a stopwatch: it never bites, since its reset stays
/// disabled. 33 bits like the [`Timer`].
pub struct Watchdog {
    load: Register,
    value: Register,
    clear: Register,
    status: Register,
    frequency: u32,
}

mod watchdog {
    pub const LOAD: usize = 0x00;
    pub const VALUE: usize = 0x04;
    pub const CONTROL: usize = 0x08;
    pub const CONTROL_INTERRUPT_ENABLE: u32 = 1 << 0;
    pub const CLEAR: usize = 0x0c;
    pub const STATUS: usize = 0x10;
}

impl Watchdog {
    /// The watchdog at a base address, counting at `frequency` Hz.
    ///
    /// # Safety
    /// A CMSDK watchdog that nobody else uses lies at `base`, and its interrupt stays masked.
    pub unsafe fn new(base: usize, frequency: u32) -> Self {
        // SAFETY: as the caller promises.
        let register = |offset| unsafe { Register::new(base + offset) };
        register(watchdog::LOAD).write(u32::MAX);
        register(watchdog::CONTROL).write(watchdog::CONTROL_INTERRUPT_ENABLE);
        Self {
            load: register(watchdog::LOAD),
            value: register(watchdog::VALUE),
            clear: register(watchdog::CLEAR),
            status: register(watchdog::STATUS),
            frequency,
        }
    }
}

impl Stopwatch for Watchdog {
    fn frequency(&self) -> u32 {
        self.frequency
    }

    fn start(&mut self) {
        self.clear.write(1);
        self.load.write(u32::MAX);
    }

    fn ticks(&self) -> u64 {
        passed(|| self.status.read(), || self.value.read())
    }
}
