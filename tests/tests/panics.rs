//! Inference cannot panic: the linker found no way from it to a panic, on any core and with every kernel
//! built in.

use goldcrest_board::firmware::{self, Program, Recipe, panic_paths};
use goldcrest_board::table;

/// A board of each core that is emulated; the others have the same instructions.
const CORES: [&str; 7] =
    ["mps2-an385-v6m", "mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547", "riscv-virt"];

#[test]
fn the_program_of_inference_has_no_panic_in_it() {
    for board in table::BOARDS.iter().filter(|board| board.machine.is_some()) {
        assert!(
            CORES.iter().any(|name| {
                let core = table::find(name).unwrap();
                (core.core, core.target, core.rustflags) == (board.core, board.target, board.rustflags)
            }),
            "no board of {} is looked at; add one to CORES",
            board.core
        );
    }
    for name in CORES {
        let recipe = Recipe { program: Program::Inference, ..Recipe::default() };
        let firmware =
            firmware::build_as(table::find(name).unwrap(), &recipe).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(panic_paths(&firmware.elf).unwrap(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn the_search_finds_a_panic_where_one_is() {
    // The application logs and checks, and does hold a panic handler.
    let firmware =
        firmware::build(table::find("mps2-an386").unwrap()).unwrap_or_else(|error| panic!("{error}"));
    assert!(!panic_paths(&firmware.elf).unwrap().is_empty());
}
