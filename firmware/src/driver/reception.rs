//! Reception by interrupt: what the line brings while the application computes waits in a queue.
//!
//! The handler knows no more of a UART than most have in common, so one serves them all, through the
//! default handler of interrupts. When the queue is full the interrupt is masked until there is room again:
//! an emulator's line then holds back its bytes, and a real one loses them, as without a queue.

use core::cell::RefCell;

use cortex_m::peripheral::NVIC;
use critical_section::{CriticalSection, Mutex};
use heapless::Deque;

use super::{Irq, Register};

/// Bytes that wait while nobody reads.
pub const BYTES: usize = 4096;

/// What the handler knows of a UART.
pub struct Receiver {
    /// Its interrupt.
    pub interrupt: Irq,
    /// Register of flags.
    pub status: Register,
    /// Flag: a byte is there.
    pub ready: u32,
    /// Flags that raise the interrupt without a byte, and that reading the data or acknowledging ends.
    pub errors: u32,
    /// Register of the byte.
    pub data: Register,
    /// What else to write, and where, so that the interrupt ends.
    pub acknowledge: Option<(Register, u32)>,
}

// SAFETY: its registers are this object's alone, and it is used in critical sections only.
unsafe impl Send for Receiver {}

struct Reception {
    receiver: Option<Receiver>,
    queue: Deque<u8, BYTES>,
}

static RECEPTION: Mutex<RefCell<Reception>> =
    Mutex::new(RefCell::new(Reception { receiver: None, queue: Deque::new() }));

/// The board's end of the queue.
pub struct Queue(());

impl Queue {
    /// Begins to receive. A board has one line, so only the last receiver given here is heard.
    pub fn start(receiver: Receiver) -> Self {
        let interrupt = receiver.interrupt;
        critical_section::with(|section| RECEPTION.borrow_ref_mut(section).receiver = Some(receiver));
        // SAFETY: the handler is ready, and takes the data in critical sections as everybody does.
        unsafe { NVIC::unmask(interrupt) };
        Self(())
    }

    /// Takes what has come, at least one byte; sleeps until there is one.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            let count = critical_section::with(|section| {
                let count = take(section, buffer);
                if count == 0 && !buffer.is_empty() {
                    // An interrupt ends the sleep also in a critical section, and is handled after it.
                    cortex_m::asm::wfi();
                }
                count
            });
            if count > 0 || buffer.is_empty() {
                return count;
            }
            // Without a barrier the next section may begin before the interrupt is taken, for ever.
            cortex_m::asm::isb();
        }
    }
}

fn take(section: CriticalSection, buffer: &mut [u8]) -> usize {
    let mut reception = RECEPTION.borrow_ref_mut(section);
    let mut count = 0;
    for place in buffer {
        let Some(byte) = reception.queue.pop_front() else { break };
        *place = byte;
        count += 1;
    }
    if let Some(receiver) = reception.receiver.as_ref().filter(|_| count > 0) {
        // SAFETY: as in `start`.
        unsafe { NVIC::unmask(receiver.interrupt) };
    }
    count
}

/// Handles an interrupt: whether it was the receiver's.
pub fn handle(number: u16) -> bool {
    critical_section::with(|section| {
        let reception = &mut *RECEPTION.borrow_ref_mut(section);
        let Some(receiver) = reception.receiver.as_ref().filter(|receiver| receiver.interrupt == Irq(number))
        else {
            return false;
        };
        loop {
            if reception.queue.is_full() {
                NVIC::mask(receiver.interrupt);
                return true;
            }
            let status = receiver.status.read();
            if status & (receiver.ready | receiver.errors) == 0 {
                return true;
            }
            let byte = receiver.data.read() as u8;
            if status & receiver.ready != 0 {
                // There is room, by the look above.
                let _ = reception.queue.push_back(byte);
            }
            // Before the next look at the flags, so that a byte that comes in now is seen there.
            if let Some((register, value)) = receiver.acknowledge {
                register.write(value);
            }
        }
    })
}
