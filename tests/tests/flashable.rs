//! The firmware of every board that can be flashed: it builds, it lies where the part has memory, and the
//! processor finds its start.

use goldcrest_board::boot::Boot;
use goldcrest_board::firmware::{self, Program, Recipe};
use goldcrest_board::placement::{self, PlacementError};
use goldcrest_board::table::{self, Flash};
use goldcrest_board::{BOARDS, Board, Firmware};

fn build(board: &Board) -> Firmware {
    let recipe = Recipe { program: Program::Flashed, ..Recipe::default() };
    firmware::build_as(board, &recipe).unwrap_or_else(|error| panic!("{}: {error}", board.name))
}

#[test]
fn every_flashable_firmware_fits_its_part() {
    for board in BOARDS.iter().filter(|board| board.flash.is_some()) {
        let (start, firmware) = (std::time::Instant::now(), build(board));
        let built = start.elapsed().as_secs_f32();
        let placement =
            placement::check(board, &firmware).unwrap_or_else(|error| panic!("{}: {error}", board.name));
        let (first, last) = (&placement.segments[0], placement.segments.last().expect("something to write"));
        let written = match board.flash.as_ref().map(|flash| flash.boot) {
            // Its tool packs what the processor sees far apart.
            Some(Boot::Espressif) => placement.segments.iter().map(|segment| segment.bytes.len()).sum(),
            _ => (last.address - first.address) as usize + last.bytes.len(),
        };
        assert_eq!(written as u64, firmware.flash_bytes, "{}", board.name);
        let arena = firmware.arena_bytes.expect("the application divides its RAM");
        eprintln!(
            "{:18} firmware {:6} of {:7}, variables {:5}, arena {arena:6}, slots {}, built in {built:.1} s",
            board.name,
            firmware.flash_bytes,
            firmware.slot_start - u64::from(first.address),
            placement.variables.len(),
            firmware.slots().count(),
        );
        let told = u64::from(board.arena_bytes);
        assert!(
            (told..told + 2048).contains(&arena),
            "{}: an arena of {arena}, not {told} bytes",
            board.name
        );
    }
}

#[test]
fn boards_of_one_target_that_are_built_at_once_are_not_mixed_up() {
    let target = table::find("nucleo-f446re").unwrap().target;
    let boards: Vec<_> =
        BOARDS.iter().filter(|board| board.flash.is_some() && board.target == target).collect();
    assert!(boards.len() >= 3);
    let bytes = |board| std::fs::read(build(board).elf).unwrap();
    let alone: Vec<_> = boards.iter().map(|board| bytes(board)).collect();
    std::thread::scope(|scope| {
        for (board, alone) in boards.iter().zip(&alone) {
            scope.spawn(move || {
                for _ in 0..3 {
                    assert!(bytes(board) == *alone, "{}: another board's program", board.name);
                }
            });
        }
    });
}

#[test]
fn a_firmware_for_a_larger_part_is_refused() {
    let board = table::find("nucleo-f446re").unwrap();
    let firmware = build(board);
    let refused = |wrong: Board| placement::check(&wrong, &firmware).unwrap_err().to_string();
    let flash = || board.flash.clone().unwrap();
    let half_ram = refused(Board { ram_bytes: board.ram_bytes / 2, ..board.clone() });
    assert!(half_ram.contains("initial stack pointer"), "{half_ram}");
    let half_flash = refused(Board { flash_bytes: board.flash_bytes / 2, ..board.clone() });
    assert!(half_flash.contains("a slot lies at 0x08040000..0x08060000, outside flash"), "{half_flash}");
    let sectors = &[(2, 256 << 10)];
    let sector = refused(Board { flash: Some(Flash { sectors, ..flash() }), ..board.clone() });
    assert!(sector.contains("does not begin and end with sectors"), "{sector}");
    let elsewhere = Board { flash: Some(Flash { ram_start: 0x1000_0000, ..flash() }), ..board.clone() };
    assert!(refused(elsewhere).contains("outside RAM"));
    let emulated = Board { flash: None, ..board.clone() };
    assert_eq!(placement::check(&emulated, &firmware), Err(PlacementError::NoFlash { board: board.name }));
}
