//! `goldcrest man`: manual pages, for who packages the command.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;
use serde_json::json;

use super::{Cli, Output};

/// Write the manual pages, one for each command, into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  goldcrest man ~/.local/share/man/man1")]
pub struct Args {
    /// The folder, which is made when missing
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// Exit code 0 when the pages were written.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let place = || args.folder.display().to_string();
    std::fs::create_dir_all(&args.folder).with_context(place)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = vec![page(&command)?];
    for command in command.get_subcommands() {
        pages.push(page(command)?);
    }
    for (name, text) in &pages {
        let path = args.folder.join(name);
        goldcrest_files::write(&path, text).with_context(|| path.display().to_string())?;
    }
    let names: Vec<&String> = pages.iter().map(|(name, _)| name).collect();
    output.print(&json!({ "folder": args.folder, "pages": names }), || {
        format!("{} pages in {}\n", names.len(), args.folder.display())
    });
    Ok(ExitCode::SUCCESS)
}

/// A page's file name and text; `goldcrest train` is told of in `goldcrest-train.1`.
fn page(command: &clap::Command) -> anyhow::Result<(String, Vec<u8>)> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone().name(name.clone())).render(&mut text)?;
    Ok((format!("{name}.1"), text))
}
