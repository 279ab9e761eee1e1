//! Two models with two lists of kernels, in turn in one arena.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use goldcrest_engine::{Engine, Model, model};
use goldcrest_firmware_examples::{capture, exit, say_answer};

static LENET5: Model =
    model!("../../lenet5.gci", [DSP_CONV, DSP_FULLY_CONNECTED, DSP_SMALL_FULLY_CONNECTED, MAX_POOL]);
static SIGNS: Model =
    model!("../../../../shared/engine/signs.gci", [PIXEL_PAIR_CONV, FULLY_CONNECTED, MAX_POOL]);

/// As large as the larger one needs.
const WORDS: usize = {
    let (a, b) = (LENET5.arena_words(), SIGNS.arena_words());
    if a > b { a } else { b }
};

#[entry]
fn main() -> ! {
    static mut ARENA: [u32; WORDS] = [0; WORDS];
    // Checked once each; the engines below check nothing.
    let (Ok(lenet5), Ok(signs)) = (LENET5.open(), SIGNS.open()) else { exit(1) };
    for number in 0..20 {
        for (name, image) in [("lenet5", &lenet5), ("signs", &signs)] {
            let Ok(mut engine) = Engine::new(image, ARENA) else { exit(2) };
            capture(number, engine.input_u8());
            engine.run();
            let (_, label) = engine.best().unwrap_or_default();
            say_answer(name, label, engine.logits());
        }
    }
    exit(0)
}
