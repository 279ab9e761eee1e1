//! UART0 of the ESP32-C3 at 115,200 baud: what the line brings while the application computes waits in a
//! queue.

use core::cell::RefCell;

use critical_section::Mutex;
use embedded_io::{ErrorType, Read, Write};
use esp_hal::Blocking;
use esp_hal::handler;
use esp_hal::peripherals::{GPIO20, GPIO21, UART0};
use esp_hal::uart::{Config, TxError, Uart, UartInterrupt, UartRx, UartTx};
use heapless::Deque;

/// Bytes that wait while nobody reads.
pub const AHEAD_BYTES: u32 = QUEUE as u32;
const QUEUE: usize = 4096;

struct Reception {
    uart: Option<UartRx<'static, Blocking>>,
    queue: Deque<u8, QUEUE>,
}

static RECEPTION: Mutex<RefCell<Reception>> =
    Mutex::new(RefCell::new(Reception { uart: None, queue: Deque::new() }));

/// UART0.
pub struct Line {
    uart: UartTx<'static, Blocking>,
}

impl Line {
    /// UART0 on the pins of its boot loader: GPIO21 sends, GPIO20 receives.
    ///
    /// # Panics
    /// When the HAL cannot divide its clock into 115,200 baud.
    pub fn new(uart: UART0<'static>, send: GPIO21<'static>, receive: GPIO20<'static>) -> Self {
        let config = Config::default().with_baudrate(115_200);
        let uart = Uart::new(uart, config).expect("115,200 baud can be divided from 80 MHz");
        let mut uart = uart.with_tx(send).with_rx(receive);
        uart.set_interrupt_handler(receive_bytes);
        uart.listen(UartInterrupt::RxFifoFull | UartInterrupt::RxTimeout);
        let (receiver, sender) = uart.split();
        critical_section::with(|section| RECEPTION.borrow_ref_mut(section).uart = Some(receiver));
        Self { uart: sender }
    }
}

/// Runs when the UART's buffer of 128 bytes fills, or when nothing more has come for ten bytes' time.
#[handler]
fn receive_bytes() {
    critical_section::with(|section| RECEPTION.borrow_ref_mut(section).fetch());
}

impl Reception {
    /// Takes what the UART has. When the queue is full the interrupt stays off until somebody has read; what
    /// comes then the line loses.
    fn fetch(&mut self) {
        let Some(uart) = &mut self.uart else { return };
        let mut bytes = [0; 64];
        while !self.queue.is_full() && uart.read_ready() {
            let room = bytes.len().min(self.queue.capacity() - self.queue.len());
            let space = &mut bytes[..room];
            // An error is told once, and costs the frame that it hit.
            let count = uart.read_buffered(space).unwrap_or(0);
            self.queue.extend(space.iter().take(count).copied());
        }
        let registers = UART0::regs();
        registers.int_clr().write(|w| w.rxfifo_full().clear_bit_by_one().rxfifo_tout().clear_bit_by_one());
        let more = !self.queue.is_full();
        registers.int_ena().modify(|_, w| w.rxfifo_full().bit(more).rxfifo_tout().bit(more));
    }
}

impl ErrorType for Line {
    type Error = TxError;
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TxError> {
        let mut count = 0;
        while count == 0 && !buffer.is_empty() {
            critical_section::with(|section| {
                let mut reception = RECEPTION.borrow_ref_mut(section);
                reception.fetch();
                for place in buffer.iter_mut() {
                    let Some(byte) = reception.queue.pop_front() else { break };
                    *place = byte;
                    count += 1;
                }
            });
        }
        Ok(count)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, TxError> {
        self.uart.write(bytes)
    }

    fn flush(&mut self) -> Result<(), TxError> {
        self.uart.flush()
    }
}
