//! The arguments of every subcommand that packs a model.

use goldcrest_engine::kernels::Family;
use goldcrest_quantize::pack::{Optimize, PackOptions, Winograd};

/// How to pack.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PackingArgs {
    /// What to prefer where there is a choice
    #[arg(long, value_enum, default_value = "speed")]
    pub optimize: Prefer,
    /// Maximum RAM for activations, in bytes
    #[arg(long, value_name = "BYTES")]
    pub ram_budget: Option<usize>,
    /// Maximum flash for the device image, in bytes
    #[arg(long, value_name = "BYTES")]
    pub flash_budget: Option<usize>,
    /// Winograd's kernel for 3 x 3 convolutions: half the instructions for 3.6 times their weights
    #[arg(long, value_enum, default_value = "auto")]
    pub winograd: WinogradUse,
}

/// Whether Winograd's kernel may run convolutions.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub enum WinogradUse {
    /// Where the core has it and the budgets allow it
    #[default]
    Auto,
    /// Never
    Off,
}

impl From<WinogradUse> for Winograd {
    fn from(winograd: WinogradUse) -> Self {
        match winograd {
            WinogradUse::Auto => Self::Auto,
            WinogradUse::Off => Self::Off,
        }
    }
}

/// What to prefer.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub enum Prefer {
    /// Few instructions
    #[default]
    Speed,
    /// A small arena
    Ram,
    /// Small weights and little code
    Flash,
}

impl From<Prefer> for Optimize {
    fn from(prefer: Prefer) -> Self {
        match prefer {
            Prefer::Speed => Self::Speed,
            Prefer::Ram => Self::Ram,
            Prefer::Flash => Self::Flash,
        }
    }
}

impl PackingArgs {
    /// The options for a family of kernels.
    pub fn options(&self, family: Family) -> PackOptions {
        PackOptions {
            family,
            optimize: self.optimize.into(),
            ram_budget: self.ram_budget,
            flash_budget: self.flash_budget,
            winograd: self.winograd.into(),
            ..PackOptions::default()
        }
    }
}
