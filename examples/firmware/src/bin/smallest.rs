//! As little flash as possible: an image of `goldcrest pack --optimize flash`, which needs two kernels,
//! and, with
//! `--features small`, their smaller forms.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use goldcrest_engine::{Model, model};
use goldcrest_firmware_examples::{capture, exit, say_answer};

static LENET5: Model = model!("../../lenet5-small.gci", [DSP_CONV, MAX_POOL]);

#[entry]
fn main() -> ! {
    static mut ARENA: [u32; LENET5.arena_words()] = [0; LENET5.arena_words()];
    let Ok(mut engine) = LENET5.engine(ARENA) else { exit(1) };
    for number in 0..20 {
        capture(number, engine.input_u8());
        engine.run();
        let (_, label) = engine.best().unwrap_or_default();
        say_answer("lenet5", label, engine.logits());
    }
    exit(0)
}
