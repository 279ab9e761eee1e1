//! Classifies one picture. Made by `goldcrest export`; yours to change.
{%- if machine %}
#![no_std]
#![no_main]

use semihosting::{println, process};
{%- endif %}

use goldcrest_engine::{Model, model};

/// The device image, and the kernels that it needs: the linker leaves out the others.
static MODEL: Model = model!("../{{ name }}.gci", [{{ rust_kernels | join(", ") }}]);
/// A picture to try the model with: {{ picture_is }}.
static PICTURE: &[u8; MODEL.input_len()] = include_bytes!("../picture.bin");
{% if machine %}
#[cortex_m_rt::entry]
fn main() -> ! {
    static mut ARENA: [u32; MODEL.arena_words()] = [0; MODEL.arena_words()];
    println!("{}", classify(ARENA));
    process::exit(0)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    println!("{info}");
    process::exit(70)
}
{% else %}
fn main() {
    println!("{}", classify(&mut vec![0; MODEL.arena_words()]));
}
{% endif %}
fn classify(arena: &mut [u32]) -> &str {
    let mut engine = MODEL.engine(arena).expect("a device image as it was exported");
    {%- if golden %}
    engine.selftest().expect("the logits of the golden vectors");
    {%- endif %}
    engine.input_u8().copy_from_slice(PICTURE);
    while engine.step() {
        // Between two layers: feed a watchdog, let other tasks run.
    }
    engine.best().map_or("", |(_, label)| label)
}
