//! Inference alone: checks the model in its slot and runs the model's golden vectors.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
#[goldcrest_firmware::start::entry]
fn main() -> ! {
    goldcrest_firmware::start::inference::run()
}

#[cfg(not(target_os = "none"))]
fn main() {}
