//! The programs without a host: they classify the pictures of a source for ever, and log class and logits.

use core::fmt::Debug;

use embedded_hal::digital::OutputPin;

use super::memory::Memory;
use crate::app::classify::Classifier;
use crate::app::update;
use crate::log::{info, warn};
use crate::source::ImageSource;

/// Classifies the pictures of a source. `start` switches the board on and gives the source, which may use the
/// sums, 24 bytes for each column of the model's input, and the light, which is on while the board has a
/// picture in hand.
///
/// # Panics
/// When the current slot holds no model that fits; the program then ends as `start::fault` says.
pub fn run<S: ImageSource<Error: Debug>, D: OutputPin>(
    board: &str,
    start: impl FnOnce(&'static mut [u64]) -> (S, D),
) -> ! {
    // SAFETY: called once, by the entry point, before anything else looks at free memory.
    let Memory { slots, frame, arena, .. } = unsafe { Memory::take(Memory::frame_bytes()) };
    // SAFETY: this program writes no slot.
    let [first, second] = slots.map(|slot| unsafe { slot.bytes() });
    let slot = if update::current([first, second]) == 0 { first } else { second };
    let (_, sums, _) = bytemuck::pod_align_to_mut::<u8, u64>(frame);
    info!("{}: arena {} bytes, sums for {} columns", board, size_of_val(arena), sums.len() / 3);
    let mut classifier = Classifier::new(slot, arena).unwrap_or_else(|fault| {
        panic!("no model that runs here: {fault:?}; write one with `goldcrest flash`")
    });
    let (mut source, mut led) = start(sums);
    let mut picture = 0u32;
    loop {
        // A light that fails is not a reason to stop.
        let _ = led.set_high();
        match classifier.next(&mut source) {
            Ok((class, logits)) => info!("picture {}: class {}, logits {}", picture, class, logits),
            Err(error) => warn!("picture {}: {}", picture, defmt::Debug2Format(&error)),
        }
        let _ = led.set_low();
        picture = picture.wrapping_add(1);
    }
}
