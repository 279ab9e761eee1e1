//! The table of cores: a new one is a row here.

use goldcrest_engine::kernels::Family;

/// A processor core that the C library is built for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// Its name on the command line and in the library's.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// Rust's target triple. On Arm the one without floating point in its interface: neither the engine nor its
    /// interface has any, so the library fits callers of all three conventions.
    pub target: &'static str,
    /// Compiler flags beyond the target's own.
    pub rustflags: &'static [&'static str],
    /// Kernels to pack models for.
    pub family: Family,
    /// Prefix of a GCC for it, without `gcc`; empty where the machine's own is meant.
    pub gcc: &'static str,
    /// What that GCC must be told.
    pub gcc_flags: &'static [&'static str],
    /// Whether there is no operating system.
    pub is_bare: bool,
}

const BARE: Core = Core {
    name: "",
    title: "",
    target: "",
    rustflags: &[],
    family: Family::Portable,
    gcc: "arm-none-eabi-",
    gcc_flags: &[],
    is_bare: true,
};

const RISCV: Core = Core { gcc: "riscv64-unknown-elf-", ..BARE };

/// Every core.
pub const CORES: &[Core] = &[
    Core {
        name: "cortex-m0plus",
        title: "Cortex-M0, M0+ and M1",
        target: "thumbv6m-none-eabi",
        gcc_flags: &["-mcpu=cortex-m0plus", "-mthumb"],
        ..BARE
    },
    Core {
        name: "cortex-m3",
        title: "Cortex-M3",
        target: "thumbv7m-none-eabi",
        gcc_flags: &["-mcpu=cortex-m3", "-mthumb"],
        ..BARE
    },
    Core {
        name: "cortex-m4",
        title: "Cortex-M4, with and without a floating-point unit",
        target: "thumbv7em-none-eabi",
        family: Family::Dsp,
        gcc_flags: &["-mcpu=cortex-m4", "-mthumb"],
        ..BARE
    },
    Core {
        name: "cortex-m7",
        title: "Cortex-M7",
        target: "thumbv7em-none-eabi",
        rustflags: &["-Ctarget-cpu=cortex-m7"],
        family: Family::Dsp,
        gcc_flags: &["-mcpu=cortex-m7", "-mthumb"],
        ..BARE
    },
    Core {
        name: "cortex-m33",
        title: "Cortex-M33 with DSP instructions",
        target: "thumbv8m.main-none-eabi",
        rustflags: &["-Ctarget-cpu=cortex-m33"],
        family: Family::Dsp,
        gcc_flags: &["-mcpu=cortex-m33", "-mthumb"],
        ..BARE
    },
    Core {
        name: "cortex-m55",
        title: "Cortex-M55 and M85 with vector instructions",
        target: "thumbv8m.main-none-eabi",
        rustflags: &["-Ctarget-cpu=cortex-m55"],
        family: Family::Mve,
        gcc_flags: &["-mcpu=cortex-m55", "-mthumb"],
        ..BARE
    },
    Core {
        name: "rv32imc",
        title: "RV32IMC, such as ESP32-C3",
        target: "riscv32imc-unknown-none-elf",
        gcc_flags: &["-march=rv32imc", "-mabi=ilp32"],
        ..RISCV
    },
    Core {
        name: "rv32imac",
        title: "RV32IMAC, such as ESP32-C6, CH32V, GD32V",
        target: "riscv32imac-unknown-none-elf",
        gcc_flags: &["-march=rv32imac", "-mabi=ilp32"],
        ..RISCV
    },
    Core {
        name: "x86-64",
        title: "Linux on x86-64",
        target: "x86_64-unknown-linux-gnu",
        gcc: "",
        is_bare: false,
        ..BARE
    },
    Core {
        name: "aarch64",
        title: "Linux on 64-bit Arm",
        target: "aarch64-unknown-linux-gnu",
        gcc: "aarch64-linux-gnu-",
        is_bare: false,
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
