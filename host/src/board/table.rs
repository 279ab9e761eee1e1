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
    /// Kernels to pack models for.
    pub family: Family,
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
    /// Serial ports of the machine in front of the one that the firmware uses.
    pub serial_port: usize,
    /// Hz of the firmware's stopwatch, where QEMU's differs from the part's.
    pub ticks_per_second: Option<u32>,
}

impl Machine {
    const fn new(program: &'static str, arguments: &'static [&'static str], since: [u32; 2]) -> Self {
        Self { program, arguments, since, serial_port: 0, ticks_per_second: None }
    }
}

/// The STM32F405 of QEMU, whose timers count a gigahertz: by the firmware's divider of 16 for a
/// microsecond at 16 MHz.
const fn stm32f405(arguments: &'static [&'static str], since: [u32; 2]) -> Machine {
    Machine {
        serial_port: 1,
        ticks_per_second: Some(1_000_000_000 / 16),
        ..Machine::new(ARM, arguments, since)
    }
}

const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;
const ARM: &str = "qemu-system-arm";
const RISCV: &str = "qemu-system-riscv32";

/// All boards.
pub static BOARDS: &[Board] = &[
    Board {
        name: "lm3s6965evb",
        core: "Cortex-M3",
        target: "thumbv7m-none-eabi",
        rustflags: &[],
        family: Family::Portable,
        flash_bytes: 256 * KIB,
        slot_bytes: 160 * KIB,
        ram_bytes: 64 * KIB,
        machine: Machine::new(ARM, &["-machine", "lm3s6965evb"], [6, 0]),
    },
    Board {
        name: "mps2-an385",
        core: "Cortex-M3",
        target: "thumbv7m-none-eabi",
        rustflags: &[],
        family: Family::Portable,
        flash_bytes: 4 * MIB,
        slot_bytes: 3 * MIB,
        ram_bytes: 4 * MIB,
        machine: Machine::new(ARM, &["-machine", "mps2-an385"], [6, 0]),
    },
    Board {
        name: "mps2-an385-v6m",
        // Armv6-M code on the AN385's Cortex-M3, which runs it instruction by instruction.
        core: "Cortex-M0+",
        target: "thumbv6m-none-eabi",
        rustflags: &[],
        family: Family::Portable,
        flash_bytes: 4 * MIB,
        slot_bytes: 3 * MIB,
        ram_bytes: 4 * MIB,
        machine: Machine::new(ARM, &["-machine", "mps2-an385"], [6, 0]),
    },
    Board {
        name: "mps2-an386",
        core: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        rustflags: &[],
        family: Family::Dsp,
        flash_bytes: 4 * MIB,
        slot_bytes: 3 * MIB,
        ram_bytes: 4 * MIB,
        machine: Machine::new(ARM, &["-machine", "mps2-an386"], [6, 0]),
    },
    Board {
        name: "mps2-an500",
        core: "Cortex-M7",
        target: "thumbv7em-none-eabihf",
        rustflags: &["-Ctarget-cpu=cortex-m7"],
        family: Family::Dsp,
        flash_bytes: 4 * MIB,
        slot_bytes: 3 * MIB,
        ram_bytes: 4 * MIB,
        machine: Machine::new(ARM, &["-machine", "mps2-an500"], [6, 0]),
    },
    Board {
        name: "mps2-an505",
        core: "Cortex-M33",
        target: "thumbv8m.main-none-eabihf",
        rustflags: &["-Ctarget-cpu=cortex-m33"],
        family: Family::Dsp,
        flash_bytes: 4 * MIB,
        slot_bytes: 3 * MIB,
        ram_bytes: 4 * MIB,
        machine: Machine::new(ARM, &["-machine", "mps2-an505"], [6, 0]),
    },
    Board {
        name: "mps3-an547",
        core: "Cortex-M55",
        target: "thumbv8m.main-none-eabihf",
        rustflags: &["-Ctarget-cpu=cortex-m55"],
        family: Family::Mve,
        flash_bytes: 512 * KIB,
        slot_bytes: 384 * KIB,
        ram_bytes: 512 * KIB,
        machine: Machine::new(ARM, &["-machine", "mps3-an547"], [7, 2]),
    },
    Board {
        name: "netduinoplus2",
        core: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        rustflags: &[],
        family: Family::Dsp,
        flash_bytes: MIB,
        slot_bytes: 384 * KIB,
        ram_bytes: 128 * KIB,
        machine: stm32f405(&["-machine", "netduinoplus2"], [7, 2]),
    },
    Board {
        name: "olimex-stm32-h405",
        core: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        rustflags: &[],
        family: Family::Dsp,
        flash_bytes: MIB,
        slot_bytes: 384 * KIB,
        ram_bytes: 128 * KIB,
        machine: stm32f405(&["-machine", "olimex-stm32-h405"], [8, 0]),
    },
    Board {
        name: "riscv-virt",
        core: "RV32IMAC",
        target: "riscv32imac-unknown-none-elf",
        rustflags: &[],
        family: Family::Portable,
        flash_bytes: 2 * MIB,
        slot_bytes: 1536 * KIB,
        ram_bytes: 4 * MIB,
        machine: Machine::new(RISCV, &["-machine", "virt", "-bios", "none"], [7, 2]),
    },
];

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
        digits.trim().parse::<u32>().unwrap() * if unit == "M" { MIB } else { KIB }
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
