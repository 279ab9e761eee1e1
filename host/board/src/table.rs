//! The table of boards. A new board is a row here, and in the firmware a board file, a memory map and a
//! feature, all of the row's name.

use goldcrest_engine::kernels::Family;

use super::boot::Boot;

/// A board that the firmware runs on: in an emulator, on a desk, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// Name, also of the firmware's feature, board file and memory map.
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
    /// Bytes of flash for the device image, each time where there are two slots.
    pub slot_bytes: u32,
    /// Bytes of RAM.
    pub ram_bytes: u32,
    /// Bytes of RAM that the application leaves a model, in whole KiB.
    pub arena_bytes: u32,
    /// How QEMU emulates it; none where it cannot.
    pub machine: Option<Machine>,
    /// How the firmware gets onto a real one; none for those that are only emulated.
    pub flash: Option<Flash>,
}

/// How to write a real board's flash, and what the firmware must not go beyond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flash {
    /// The part's name in probe-rs, or in espflash.
    pub chip: &'static str,
    /// What can write it, the usual one first.
    pub methods: &'static [Method],
    /// First address of the part's flash.
    pub start: u32,
    /// First address of the part's RAM.
    pub ram_start: u32,
    /// Flash that comes in units of erasure of one size, from `start` up: how many, of how many bytes.
    pub sectors: &'static [(u32, u32)],
    /// How the part starts a program.
    pub boot: Boot,
    /// Bits per second of the serial line.
    pub baud: u32,
}

/// A way to write a real board's flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A debug probe, often on the board itself, through probe-rs.
    Probe,
    /// A file on the drive that the board's boot loader shows.
    Uf2 {
        /// The part's family in the file.
        family: u32,
    },
    /// A HEX file on the drive that the DAPLink on the board shows.
    Hex,
    /// The serial boot loader of Espressif's parts.
    Espflash,
}

impl Method {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Probe => "probe",
            Method::Uf2 { .. } => "uf2",
            Method::Hex => "hex",
            Method::Espflash => "espflash",
        }
    }

    /// The program that does it; none where a file on a drive is enough.
    pub fn program(self) -> Option<&'static str> {
        match self {
            Method::Probe => Some("probe-rs"),
            Method::Uf2 { .. } | Method::Hex => None,
            Method::Espflash => Some("espflash"),
        }
    }
}

/// A QEMU machine.
#[derive(Clone, Debug, PartialEq, Eq)]
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

const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;

/// Arm's MPS2 with any FPGA image; emulated only.
const MPS2: Board = Board {
    name: "",
    core: "",
    target: "",
    rustflags: &[],
    family: Family::Portable,
    flash_bytes: 4 * MIB,
    slot_bytes: 3 * MIB,
    ram_bytes: 4 * MIB,
    arena_bytes: 4071 * KIB,
    machine: None,
    flash: None,
};

/// The STM32F405 of QEMU, whose timers count a gigahertz: by the firmware's divider of 16 for a
/// microsecond at 16 MHz.
const fn stm32f405(arguments: &'static [&'static str], since: [u32; 2]) -> Machine {
    Machine {
        serial_port: 1,
        ticks_per_second: Some(1_000_000_000 / 16),
        ..Machine::new(ARM, arguments, since)
    }
}

/// The STM32F405RG (RM0090, chapters 2 and 3): the RAM that every bus master reaches.
const STM32F405: Flash = Flash {
    chip: "STM32F405RGTx",
    methods: &[Method::Probe],
    start: 0x0800_0000,
    ram_start: 0x2000_0000,
    sectors: &[(4, 16 * KIB), (1, 64 * KIB), (7, 128 * KIB)],
    boot: Boot::Vectors,
    baud: 115_200,
};

/// The ESP32-C3 with 4 MiB of flash, which the processor sees from `start` on (technical reference manual,
/// chapter 3).
const ESP32C3: Flash = Flash {
    chip: "esp32c3",
    methods: &[Method::Espflash, Method::Probe],
    start: 0x3c00_0000,
    ram_start: 0x3fc8_0000,
    sectors: &[(1024, 4 * KIB)],
    boot: Boot::Espressif,
    baud: 115_200,
};

/// The nRF52840 (product specification, section 4.2).
const NRF52840: Flash = Flash {
    chip: "nRF52840_xxAA",
    methods: &[Method::Probe],
    start: 0,
    ram_start: 0x2000_0000,
    sectors: &[(256, 4 * KIB)],
    boot: Boot::Vectors,
    baud: 115_200,
};

/// The RP2040 with the 2 MiB of flash of a Pico (datasheet, section 2.2).
const RP2040: Flash = Flash {
    chip: "RP2040",
    methods: &[Method::Uf2 { family: 0xe48b_ff56 }, Method::Probe],
    start: 0x1000_0000,
    ram_start: 0x2000_0000,
    sectors: &[(512, 4 * KIB)],
    boot: Boot::Rp2040,
    baud: 115_200,
};

const ARM: &str = "qemu-system-arm";
const RISCV: &str = "qemu-system-riscv32";

/// The board that is emulated when none is named.
pub const DEFAULT: &str = "mps2-an386";

/// All boards.
pub static BOARDS: &[Board] = &[
    Board {
        name: "b-l475e-iot01a",
        core: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        rustflags: &[],
        family: Family::Dsp,
        flash_bytes: MIB,
        slot_bytes: 384 * KIB,
        ram_bytes: 96 * KIB,
        arena_bytes: 74 * KIB,
        machine: Some(Machine::new(ARM, &["-machine", "b-l475e-iot01a"], [9, 0])),
        // RM0351, chapters 2 and 3; SRAM1 alone.
        flash: Some(Flash { chip: "STM32L475VGTx", sectors: &[(512, 2 * KIB)], ..STM32F405 }),
    },
    Board {
        name: "esp32c3-devkit",
        core: "RV32IMC",
        target: "riscv32imc-unknown-none-elf",
        rustflags: &[],
        family: Family::Portable,
        flash_bytes: 4 * MIB,
        slot_bytes: 1536 * KIB,
        ram_bytes: 313 * KIB,
        arena_bytes: 283 * KIB,
        machine: None,
        flash: Some(ESP32C3),
    },
    Board {
        name: "lm3s6965evb",
        core: "Cortex-M3",
        target: "thumbv7m-none-eabi",
        rustflags: &[],
        family: Family::Portable,
        flash_bytes: 256 * KIB,
        slot_bytes: 160 * KIB,
        ram_bytes: 64 * KIB,
        arena_bytes: 51 * KIB,
        machine: Some(Machine::new(ARM, &["-machine", "lm3s6965evb"], [6, 0])),
        flash: None,
    },
    Board {
        name: "microbit-v2",
        core: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        rustflags: &[],
        family: Family::Dsp,
        flash_bytes: 512 * KIB,
        slot_bytes: 192 * KIB,
        ram_bytes: 128 * KIB,
        arena_bytes: 102 * KIB,
        machine: None,
        flash: Some(Flash {
            chip: "nRF52833_xxAA",
            methods: &[Method::Probe, Method::Hex],
            sectors: &[(128, 4 * KIB)],
            ..NRF52840
        }),
    },
    Board {
        name: "mps2-an385",
        core: "Cortex-M3",
        target: "thumbv7m-none-eabi",
        machine: Some(Machine::new(ARM, &["-machine", "mps2-an385"], [6, 0])),
        ..MPS2
    },
    Board {
        name: "mps2-an385-v6m",
        // Armv6-M code on the AN385's Cortex-M3, which runs it instruction by instruction.
        core: "Cortex-M0+",
        target: "thumbv6m-none-eabi",
        machine: Some(Machine::new(ARM, &["-machine", "mps2-an385"], [6, 0])),
        ..MPS2
    },
    Board {
        name: "mps2-an386",
        core: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        family: Family::Dsp,
        machine: Some(Machine::new(ARM, &["-machine", "mps2-an386"], [6, 0])),
        ..MPS2
    },
    Board {
        name: "mps2-an500",
        core: "Cortex-M7",
        target: "thumbv7em-none-eabihf",
        rustflags: &["-Ctarget-cpu=cortex-m7"],
        family: Family::Dsp,
        machine: Some(Machine::new(ARM, &["-machine", "mps2-an500"], [6, 0])),
        ..MPS2
    },
    Board {
        name: "mps2-an505",
        core: "Cortex-M33",
        target: "thumbv8m.main-none-eabihf",
        rustflags: &["-Ctarget-cpu=cortex-m33"],
        family: Family::Dsp,
        machine: Some(Machine::new(ARM, &["-machine", "mps2-an505"], [6, 0])),
        ..MPS2
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
        arena_bytes: 487 * KIB,
        machine: Some(Machine::new(ARM, &["-machine", "mps3-an547"], [7, 2])),
        flash: None,
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
        arena_bytes: 106 * KIB,
        machine: Some(stm32f405(&["-machine", "netduinoplus2"], [7, 2])),
        flash: Some(STM32F405),
    },
    Board {
        name: "nrf52840-dk",
        core: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        rustflags: &[],
        family: Family::Dsp,
        flash_bytes: MIB,
        slot_bytes: 384 * KIB,
        ram_bytes: 256 * KIB,
        arena_bytes: 230 * KIB,
        machine: None,
        flash: Some(NRF52840),
    },
    Board {
        name: "nucleo-f446re",
        core: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        rustflags: &[],
        family: Family::Dsp,
        flash_bytes: 512 * KIB,
        slot_bytes: 128 * KIB,
        ram_bytes: 128 * KIB,
        arena_bytes: 106 * KIB,
        machine: None,
        // RM0390, chapters 2 and 3.
        flash: Some(Flash {
            chip: "STM32F446RETx",
            sectors: &[(4, 16 * KIB), (1, 64 * KIB), (3, 128 * KIB)],
            ..STM32F405
        }),
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
        arena_bytes: 106 * KIB,
        machine: Some(stm32f405(&["-machine", "olimex-stm32-h405"], [8, 0])),
        flash: Some(STM32F405),
    },
    Board {
        name: "pico",
        core: "Cortex-M0+",
        target: "thumbv6m-none-eabi",
        rustflags: &[],
        family: Family::Portable,
        flash_bytes: 2 * MIB,
        slot_bytes: 768 * KIB,
        ram_bytes: 264 * KIB,
        arena_bytes: 236 * KIB,
        machine: None,
        flash: Some(RP2040),
    },
    Board {
        name: "pico2",
        core: "Cortex-M33",
        target: "thumbv8m.main-none-eabihf",
        rustflags: &["-Ctarget-cpu=cortex-m33"],
        family: Family::Dsp,
        flash_bytes: 4 * MIB,
        slot_bytes: 1536 * KIB,
        ram_bytes: 520 * KIB,
        arena_bytes: 492 * KIB,
        machine: None,
        flash: Some(Flash {
            chip: "RP235x",
            methods: &[Method::Uf2 { family: 0xe48b_ff59 }, Method::Probe],
            sectors: &[(1024, 4 * KIB)],
            boot: Boot::Rp2350,
            ..RP2040
        }),
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
        arena_bytes: 4075 * KIB,
        machine: Some(Machine::new(RISCV, &["-machine", "virt", "-bios", "none"], [7, 2])),
        flash: None,
    },
    Board {
        name: "sifive-e",
        core: "RV32IMAC",
        target: "riscv32imac-unknown-none-elf",
        rustflags: &[],
        family: Family::Portable,
        // The first of the 12 MiB that are left of the board's flash.
        flash_bytes: MIB,
        slot_bytes: 768 * KIB,
        ram_bytes: 16 * KIB,
        arena_bytes: 10 * KIB,
        // Before 9.2, QEMU drops what its UART sends faster than the host reads.
        machine: Some(Machine::new(RISCV, &["-machine", "sifive_e"], [9, 2])),
        flash: None,
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
        assert!(find(DEFAULT).is_ok_and(|board| board.machine.is_some()));
        let message = find("arduino").unwrap_err().to_string();
        assert!(message.contains("\"arduino\"") && message.contains(DEFAULT), "{message}");
    }

    /// `LENGTH = 3M` of a region in a memory map.
    fn length(script: &str, region: &str) -> u32 {
        let line = script.lines().find(|line| line.trim_start().starts_with(region)).expect(region);
        let text = line.rsplit("LENGTH =").next().unwrap().trim();
        let (digits, unit) = text.split_at(text.len() - 1);
        digits.trim().parse::<u32>().unwrap() * if unit == "M" { MIB } else { KIB }
    }

    #[test]
    fn every_board_has_its_files_and_its_feature() {
        let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware");
        let manifest = std::fs::read_to_string(firmware.join("Cargo.toml")).unwrap();
        let mut features = manifest.lines().skip_while(|line| *line != "[features]").skip(1);
        let features: Vec<_> = features.by_ref().take_while(|line| !line.starts_with('[')).collect();
        for Board { name, .. } in BOARDS {
            assert!(features.iter().any(|line| line.starts_with(&format!("{name} ="))), "{name}: no feature");
            let source = std::fs::read_to_string(firmware.join(format!("src/board/{name}.rs")));
            let source = source.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(source.contains(&format!("const NAME: &'static str = \"{name}\";")), "{name}");
        }
        let files = std::fs::read_dir(firmware.join("src/board")).unwrap().count();
        assert_eq!(files, BOARDS.len() + 1, "a file of a board without a row, beside mod.rs");
    }

    #[test]
    fn rows_agree_with_the_memory_maps() {
        let memory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/memory");
        for board in BOARDS {
            assert!(board.machine.is_some() || board.flash.is_some(), "{}", board.name);
            let script = std::fs::read_to_string(memory.join(format!("{}.x", board.name))).unwrap();
            assert_eq!(length(&script, "MODEL"), board.slot_bytes, "{}", board.name);
            assert_eq!(length(&script, "RAM"), board.ram_bytes, "{}", board.name);
            let spare = length(&script, "SPARE");
            assert!(spare == 0 || spare == board.slot_bytes, "{}", board.name);
            let firmware_and_slot = length(&script, "FLASH") + board.slot_bytes;
            assert!(firmware_and_slot <= board.flash_bytes, "{}", board.name);
        }
    }
}
