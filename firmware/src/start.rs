//! From reset to [`App::serve`]: the part of the program that only exists on a board.

mod fault;
#[cfg(feature = "inference")]
pub mod inference;
pub(crate) mod known;
mod memory;
#[cfg(any(feature = "camera", feature = "stored"))]
pub mod pictures;

use crate::app::{App, KEY, Site, Stopped, time, update};
use crate::board::{Board, Peripherals};
use crate::clock::Stopwatch;
use crate::log::info;
use memory::Memory;
pub use memory::Region;

#[cfg(target_arch = "arm")]
#[doc(hidden)]
pub use cortex_m_rt::entry;
#[cfg(target_arch = "riscv32")]
#[doc(hidden)]
pub use riscv_rt::entry;

/// Takes the board's peripherals and memory and serves for ever.
pub fn run<B: Board>() -> ! {
    // SAFETY: called once, by the entry point, before anything else looks at free memory.
    let Memory { slots, frame, arena, stack, firmware_bytes } =
        unsafe { Memory::take(Memory::frame_bytes()) };
    // SAFETY: nobody else uses the place now; a fault that comes later writes to it and does not return.
    let last_words = unsafe { fault::last_words() }.take().unwrap_or_default();
    let Peripherals { mut line, mut watch, mut led } = B::take();
    let ticks = ticks_of_10_000_instructions(&mut watch);
    info!("10000 instructions take {} ticks of {} Hz", ticks, watch.frequency());
    loop {
        // SAFETY: no application runs, so nobody writes a slot.
        let current = update::current(slots.map(|slot| unsafe { slot.bytes() }));
        let [first, second] = slots;
        let (used, other) = if current == 0 { (first, second) } else { (second, first) };
        // SAFETY: while this application runs, the slot in use is not written.
        let slot = unsafe { used.bytes() };
        info!("{}: arena {} bytes, slot {} of {} bytes", B::NAME, size_of_val(arena), current, slot.len());
        // SAFETY: the other slot is this object's alone, which is gone before the slots are looked at again.
        let spare = if other.exists() { unsafe { B::spare(other) } } else { None };
        let site = Site {
            board: B::NAME,
            slot,
            spare,
            key: KEY,
            arena: &mut *arena,
            frame: &mut *frame,
            ahead_bytes: B::AHEAD_BYTES,
            stack: &stack,
            firmware_bytes,
            last_words: &last_words,
        };
        let mut app = App::new(site, &mut line, &mut led, &mut watch);
        // A failed line (a full buffer, a framing error) costs a frame, which the host sends again.
        while !matches!(app.serve(), Ok(Stopped::NewModel)) {}
    }
}

/// Ticks of 10,000 instructions: a stopwatch that is wrong shows here, in the log.
fn ticks_of_10_000_instructions(watch: &mut impl Stopwatch) -> u64 {
    // A host that speaks already would add the instructions that receive it.
    critical_section::with(|_| {
        let mut ticks = |rounds| time(watch, &mut || known::rounds(rounds));
        let few = ticks(1);
        ticks(5001) - few
    })
}
