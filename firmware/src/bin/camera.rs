//! Classifies what a camera sees, without a host: class and logits of every picture are logged.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
#[goldcrest_firmware::start::entry]
fn main() -> ! {
    use goldcrest_firmware::board::{Board, Camera, Chosen};
    goldcrest_firmware::start::pictures::run(Chosen::NAME, Chosen::camera)
}

#[cfg(not(target_os = "none"))]
fn main() {}
