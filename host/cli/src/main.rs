//! The `goldcrest` command.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    goldcrest::Cli::parse().run()
}
