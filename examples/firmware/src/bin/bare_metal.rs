//! A classifier without an operating system: LeNet-5 on 20 pictures of a camera.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use goldcrest_engine::{Engine, Model, model};
use goldcrest_firmware_examples::{capture, exit, instructions, say, say_answer, say_number, start_clock};

/// A file of `goldcrest pack --board mps2-an386 --golden 2`, and the kernels that it prints.
static LENET5: Model =
    model!("../../lenet5.gci", [DSP_CONV, DSP_FULLY_CONNECTED, DSP_SMALL_FULLY_CONNECTED, MAX_POOL]);

#[entry]
fn main() -> ! {
    static mut ARENA: [u32; LENET5.arena_words()] = [0; LENET5.arena_words()];
    start_clock(&mut cortex_m::Peripherals::take().unwrap().SYST);

    // The image is checked here, once; an engine checks nothing but the length of the arena.
    let (mut image, mut engine) = (None, None);
    let opening = instructions(|| image = LENET5.open().ok());
    let Some(image) = image else { exit(1) };
    let making = instructions(|| engine = Engine::new(&image, ARENA).ok());
    let Some(mut engine) = engine else { exit(2) };
    if engine.selftest().is_err() {
        exit(3);
    }
    for (name, count) in [("opening", opening), ("making", making)] {
        say(name);
        say(" instructions ");
        say_number(count as i32);
        say("\n");
    }
    for number in 0..20 {
        capture(number, engine.input_u8());
        engine.prepare();
        let running = instructions(|| {
            engine.run();
        });
        let (_, label) = engine.best().unwrap_or_default();
        say_answer("lenet5", label, engine.logits());
        say("running instructions ");
        say_number(running as i32);
        say("\n");
    }
    exit(0)
}
