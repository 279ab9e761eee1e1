//! `goldcrest completions`: what a shell needs to complete commands and flags.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::json;

use super::{Cli, Output};

/// Print a script that completes commands and flags in a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  goldcrest completions bash > ~/.local/share/bash-completion/completions/goldcrest
  goldcrest completions zsh > ~/.zfunc/_goldcrest
  goldcrest completions fish > ~/.config/fish/completions/goldcrest.fish")]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Exit code 0.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "goldcrest", &mut script);
    let script = String::from_utf8(script)?;
    output.print(&json!({ "shell": args.shell.to_string(), "script": script }), || &script);
    Ok(ExitCode::SUCCESS)
}
