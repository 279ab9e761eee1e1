//! The table of cores: a new one is a row here.

use goldcrest_engine::kernels::Family;

/// A processor core that the C library is built for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// Its name on the command line and in the library's.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// Rust's target triple. On Arm the one without floating point in its interface: neither the engine nor
    /// its interface has any, so the library fits callers of all three conventions.
    pub target: &'static str,
    /// Compiler flags beyond the target's own.
    pub rustflags: &'static [&'static str],
    /// Kernels to pack models for.
    pub family: Family,
    /// Prefix of a GCC for it, without `gcc`; empty where the machine's own is meant.
    pub gcc: &'static str,
    /// What that GCC must be told.
    pub gcc_flags: &'static [&'static str],
    /// That GCC's name for its floating-point unit, where it may have one.
    pub fpu: Option<&'static str>,
    /// How QEMU emulates it, for programs without an operating system.
    pub machine: Option<Machine>,
    /// Names of its boards in ecosystems that have some.
    pub boards: Boards,
}

/// An emulated machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Machine {
    /// QEMU's name for it.
    pub board: &'static str,
    /// The emulator.
    pub program: &'static str,
    /// First address of flash.
    pub flash: &'static str,
    /// Bytes of flash.
    pub flash_bytes: u32,
    /// First address of RAM.
    pub ram: &'static str,
    /// Bytes of RAM.
    pub ram_bytes: u32,
}

/// Names of a core's boards in ecosystems; none where it has no board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Boards {
    /// Zephyr's board.
    pub zephyr: Option<&'static str>,
    /// ESP-IDF's target.
    pub esp_idf: Option<&'static str>,
    /// Arduino's `build.mcu`, the folder of precompiled libraries.
    pub arduino: Option<&'static str>,
    /// PlatformIO's platform and board.
    pub platformio: Option<[&'static str; 2]>,
}

impl Core {
    /// Whether there is no operating system.
    pub fn is_bare(&self) -> bool {
        self.machine.is_some()
    }
}

const MIB: u32 = 1 << 20;

const MPS2: Machine = Machine {
    board: "",
    program: "qemu-system-arm",
    flash: "0x00000000",
    flash_bytes: 4 * MIB,
    ram: "0x20000000",
    ram_bytes: 4 * MIB,
};

const VIRT: Machine = Machine {
    board: "virt",
    program: "qemu-system-riscv32",
    flash: "0x80000000",
    flash_bytes: 4 * MIB,
    ram: "0x80400000",
    ram_bytes: 4 * MIB,
};

const NO_BOARDS: Boards = Boards { zephyr: None, esp_idf: None, arduino: None, platformio: None };

const BARE: Core = Core {
    name: "",
    title: "",
    target: "",
    rustflags: &[],
    family: Family::Portable,
    gcc: "arm-none-eabi-",
    gcc_flags: &[],
    fpu: None,
    machine: None,
    boards: NO_BOARDS,
};

const RISCV: Core = Core { gcc: "riscv64-unknown-elf-", machine: Some(VIRT), ..BARE };

/// Every core.
pub const CORES: &[Core] = &[
    Core {
        name: "cortex-m0plus",
        title: "Cortex-M0, M0+ and M1",
        target: "thumbv6m-none-eabi",
        gcc_flags: &["-mcpu=cortex-m0plus", "-mthumb"],
        machine: Some(Machine { board: "mps2-an385", ..MPS2 }),
        boards: Boards {
            zephyr: Some("rpi_pico"),
            esp_idf: None,
            arduino: Some("cortex-m0plus"),
            platformio: Some(["raspberrypi", "pico"]),
        },
        ..BARE
    },
    Core {
        name: "cortex-m3",
        title: "Cortex-M3",
        target: "thumbv7m-none-eabi",
        gcc_flags: &["-mcpu=cortex-m3", "-mthumb"],
        machine: Some(Machine { board: "mps2-an385", ..MPS2 }),
        boards: Boards {
            zephyr: Some("mps2/an385"),
            esp_idf: None,
            arduino: Some("cortex-m3"),
            platformio: Some(["ststm32", "bluepill_f103c8"]),
        },
        ..BARE
    },
    Core {
        name: "cortex-m4",
        title: "Cortex-M4, with and without a floating-point unit",
        target: "thumbv7em-none-eabi",
        family: Family::Dsp,
        gcc_flags: &["-mcpu=cortex-m4", "-mthumb"],
        fpu: Some("fpv4-sp-d16"),
        machine: Some(Machine { board: "mps2-an386", ..MPS2 }),
        boards: Boards {
            zephyr: Some("mps2/an386"),
            esp_idf: None,
            arduino: Some("cortex-m4"),
            platformio: Some(["ststm32", "nucleo_f446re"]),
        },
        ..BARE
    },
    Core {
        name: "cortex-m7",
        title: "Cortex-M7",
        target: "thumbv7em-none-eabi",
        rustflags: &["-Ctarget-cpu=cortex-m7"],
        family: Family::Dsp,
        gcc_flags: &["-mcpu=cortex-m7", "-mthumb"],
        fpu: Some("fpv5-sp-d16"),
        machine: Some(Machine { board: "mps2-an500", ..MPS2 }),
        boards: Boards {
            zephyr: Some("mps2/an500"),
            esp_idf: None,
            arduino: Some("cortex-m7"),
            platformio: Some(["ststm32", "nucleo_f746zg"]),
        },
        ..BARE
    },
    Core {
        name: "cortex-m33",
        title: "Cortex-M33 with DSP instructions",
        target: "thumbv8m.main-none-eabi",
        rustflags: &["-Ctarget-cpu=cortex-m33"],
        family: Family::Dsp,
        gcc_flags: &["-mcpu=cortex-m33", "-mthumb"],
        fpu: Some("fpv5-sp-d16"),
        machine: Some(Machine { board: "mps2-an505", flash: "0x10000000", ram: "0x38000000", ..MPS2 }),
        boards: Boards {
            zephyr: Some("mps2/an521/cpu0"),
            esp_idf: None,
            arduino: Some("cortex-m33"),
            platformio: Some(["ststm32", "nucleo_l552ze_q"]),
        },
        ..BARE
    },
    Core {
        name: "cortex-m55",
        title: "Cortex-M55 and M85 with vector instructions",
        target: "thumbv8m.main-none-eabi",
        rustflags: &["-Ctarget-cpu=cortex-m55"],
        family: Family::Mve,
        gcc_flags: &["-mcpu=cortex-m55", "-mthumb"],
        fpu: Some("auto"),
        machine: Some(Machine { board: "mps3-an547", flash_bytes: MIB / 2, ram_bytes: MIB / 2, ..MPS2 }),
        boards: Boards {
            zephyr: Some("mps3/corstone300/an547"),
            esp_idf: None,
            arduino: None,
            platformio: None,
        },
        ..BARE
    },
    Core {
        name: "rv32imc",
        title: "RV32IMC, such as ESP32-C3",
        target: "riscv32imc-unknown-none-elf",
        gcc_flags: &["-march=rv32imc", "-mabi=ilp32"],
        boards: Boards {
            zephyr: None,
            esp_idf: Some("esp32c3"),
            arduino: Some("esp32c3"),
            platformio: Some(["espressif32", "esp32-c3-devkitm-1"]),
        },
        ..RISCV
    },
    Core {
        name: "rv32imac",
        title: "RV32IMAC, such as ESP32-C6, CH32V, GD32V",
        target: "riscv32imac-unknown-none-elf",
        gcc_flags: &["-march=rv32imac", "-mabi=ilp32"],
        boards: Boards {
            zephyr: Some("qemu_riscv32"),
            esp_idf: Some("esp32c6"),
            arduino: Some("esp32c6"),
            platformio: None,
        },
        ..RISCV
    },
    Core { name: "x86-64", title: "Linux on x86-64", target: "x86_64-unknown-linux-gnu", gcc: "", ..BARE },
    Core {
        name: "aarch64",
        title: "Linux on 64-bit Arm",
        target: "aarch64-unknown-linux-gnu",
        gcc: "aarch64-linux-gnu-",
        ..BARE
    },
];

/// A name that no core has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no core is called {name:?}; known: {}", names().collect::<Vec<_>>().join(", "))]
pub struct UnknownCore {
    /// The name asked for.
    pub name: String,
}

/// The core of a name.
///
/// # Errors
/// When there is none.
pub fn find(name: &str) -> Result<&'static Core, UnknownCore> {
    CORES.iter().find(|core| core.name == name).ok_or_else(|| UnknownCore { name: name.to_string() })
}

/// Every core's name.
pub fn names() -> impl Iterator<Item = &'static str> {
    CORES.iter().map(|core| core.name)
}
