//! Inference cannot panic: the linker found no way from it to a panic. Shown for the DSP kernels on the Cortex-M4F;
//! on other cores the compiler keeps checks of bounds that it cannot prove.

use goldcrest::board::firmware::{self, Program, Recipe, panic_paths};
use goldcrest::board::table;

#[test]
fn the_program_of_inference_has_no_panic_in_it() {
    let board = table::find("mps2-an386").unwrap();
    let recipe = Recipe { program: Program::Inference, kernels: None, small: false };
    let firmware = firmware::build_as(board, &recipe).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(panic_paths(&firmware.elf).unwrap(), Vec::<String>::new());
}

#[test]
fn the_search_finds_a_panic_where_one_is() {
    // The application logs and checks, and does hold a panic handler.
    let firmware =
        firmware::build(table::find("mps2-an386").unwrap()).unwrap_or_else(|error| panic!("{error}"));
    assert!(!panic_paths(&firmware.elf).unwrap().is_empty());
}
