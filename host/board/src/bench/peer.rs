//! CMSIS-NN inside TFLite Micro, measured in QEMU as our own numbers are: instructions of one inference
//! of MLPerf Tiny's ResNet-8 and of LeNet-5 on 32x32x3.

/// What the peer takes for one model on one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Instructions of one inference.
    pub instructions: u64,
    /// Modelled cycles.
    pub cycles: Option<u64>,
    /// Bytes of TFLite Micro's arena.
    pub arena_bytes: Option<u64>,
    /// Bytes of code that TFLite Micro adds.
    pub code_bytes: Option<u64>,
}

/// Multiply-accumulates by which the models are known.
const RESNET8: u64 = 12_501_632;
const LENET5: u64 = 651_720;

/// Core, instructions of ResNet-8, instructions of LeNet-5.
const INSTRUCTIONS: &[(&str, u64, u64)] = &[
    ("Cortex-M4F", 28_500_000, 2_650_000),
    ("Cortex-M7", 29_900_000, 2_710_000),
    ("Cortex-M33", 28_500_000, 2_650_000),
    ("Cortex-M55", 4_810_000, 750_000),
    ("Cortex-M3", 41_750_000, 3_370_000),
    ("Cortex-M0+", 97_600_000, 6_710_000),
    ("RV32IMAC", 65_300_000, 4_600_000),
];

/// The peer of a model with that many multiply-accumulates on a core.
pub fn find(core: &str, macs: u64) -> Option<Peer> {
    let (_, resnet8, lenet5) = INSTRUCTIONS.iter().find(|(name, ..)| *name == core)?;
    let m4 = core == "Cortex-M4F";
    match macs {
        RESNET8 => Some(Peer {
            instructions: *resnet8,
            cycles: m4.then_some(35_300_000),
            arena_bytes: m4.then_some(54_996),
            code_bytes: m4.then_some(54 * 1024),
        }),
        LENET5 => Some(Peer { instructions: *lenet5, cycles: None, arena_bytes: None, code_bytes: None }),
        _ => None,
    }
}
