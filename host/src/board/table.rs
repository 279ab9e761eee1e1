//! The table of boards. A new board is a row here, and in the firmware a board file, a memory map,
//! a feature and a binary, all of the row's name.

use goldcrest_shared::kernels::Family;

/// A board that the firmware runs on.
#[derive(Debug, PartialEq, Eq)]
pub struct Board {
    /// Name, also of the firmware's feature and binary.
    pub name: &'static str,
    /// Processor core.
    pub core: &'static str,
    /// Target triple of the firmware.
    pub target: &'static str,
    /// Compiler flags beyond the target's own.
    pub rustflags: &'static [&'static str],
    /// Bytes of flash, the model's slot included.
    pub flash_bytes: u32,
    /// Bytes of flash for the device image.
    pub slot_bytes: u32,
    /// Bytes of RAM.
    pub ram_bytes: u32,
    /// How QEMU emulates it.
    pub machine: Machine,
}

/// A QEMU machine.
#[derive(Debug, PartialEq, Eq)]
pub struct Machine {
    /// The emulator's program.
    pub program: &'static str,
    /// Arguments that choose the machine.
    pub arguments: &'static [&'static str],
    /// First version of QEMU that runs it.
    pub since: [u32; 2],
}

const MIB: u32 = 1 << 20;

/// All boards.
pub static BOARDS: &[Board] = &[Board {
    name: "mps2-an386",
    core: "Cortex-M4F",
    target: "thumbv7em-none-eabihf",
    rustflags: &[],
    flash_bytes: 4 * MIB,
    slot_bytes: 3 * MIB,
    ram_bytes: 4 * MIB,
    machine: Machine { program: "qemu-system-arm", arguments: &["-machine", "mps2-an386"], since: [6, 0] },
}];

impl Board {
    /// The kernels of its firmware: the order of the weights that they read fastest.
    pub fn family(&self) -> Family {
        if self.target.starts_with("thumbv7em") { Family::Dsp } else { Family::Portable }
    }
}

/// A name that no board has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no board is called {name:?}; known: {}", names())]
pub struct UnknownBoard {
    /// The name asked for.
    pub name: String,
}

/// The board of a name.
pub fn find(name: &str) -> Result<&'static Board, UnknownBoard> {
    BOARDS.iter().find(|board| board.name == name).ok_or_else(|| UnknownBoard { name: name.to_string() })
}

fn names() -> String {
    BOARDS.iter().map(|board| board.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn an_unknown_name_lists_the_known() {
        assert!(find("mps2-an386").is_ok());
        let message = find("arduino").unwrap_err().to_string();
        assert!(message.contains("\"arduino\"") && message.contains("mps2-an386"), "{message}");
    }

    /// `LENGTH = 3M` of a region in a memory map.
    fn length(script: &str, region: &str) -> u32 {
        let line = script.lines().find(|line| line.trim_start().starts_with(region)).expect(region);
        let text = line.rsplit("LENGTH =").next().unwrap().trim();
        let (digits, unit) = text.split_at(text.len() - 1);
        digits.trim().parse::<u32>().unwrap() * if unit == "M" { MIB } else { 1024 }
    }

    #[test]
    fn rows_agree_with_the_memory_maps() {
        let memory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/memory");
        for board in BOARDS {
            let script = std::fs::read_to_string(memory.join(format!("{}.x", board.name))).unwrap();
            assert_eq!(length(&script, "MODEL"), board.slot_bytes, "{}", board.name);
            assert_eq!(length(&script, "RAM"), board.ram_bytes, "{}", board.name);
            assert!(length(&script, "FLASH") + board.slot_bytes <= board.flash_bytes, "{}", board.name);
        }
    }
}
