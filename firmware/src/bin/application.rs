//! The application: receives pixels over the board's line and answers with classes and logits.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", not(board)))]
compile_error!("choose a board: pass the name of a file of firmware/src/board, without .rs, with --features");

#[cfg(all(target_os = "none", board))]
#[goldcrest_firmware::start::entry]
fn main() -> ! {
    goldcrest_firmware::start::run::<goldcrest_firmware::board::Chosen>()
}

#[cfg(not(target_os = "none"))]
fn main() {}
