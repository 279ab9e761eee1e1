//! `goldcrest doctor`: is all there that Goldcrest needs?

use std::process::ExitCode;

use serde_json::json;

use super::Output;
use crate::parts::{CUDA_PARTS, PARTS};

/// Check this machine for what Goldcrest needs, and install what is missing
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  goldcrest doctor\n  goldcrest doctor --fix\n  goldcrest doctor --cuda\n  \
         goldcrest doctor --json"
)]
pub struct Args {
    /// Install what is missing (never asks for a password)
    #[arg(long)]
    pub fix: bool,
    /// Also what training on an NVIDIA GPU needs: fetched with pip (1.7 GB) where there is a driver and a
    /// GPU, with --fix in any case
    #[arg(long)]
    pub cuda: bool,
}

/// Exit code 0 when every part was found, 2 when one is missing.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let mut say = |line: &str| say!("{line}");
    let mut findings: Vec<_> = PARTS.iter().map(|part| part.examine(args.fix, &mut say)).collect();
    if args.cuda {
        let mut fix = args.fix;
        for part in CUDA_PARTS {
            let finding = part.examine(fix, &mut say);
            // With a GPU, what it needs is worth the download.
            fix |= finding.found;
            findings.push(finding);
        }
    }
    output.print(&json!({ "parts": findings }), || {
        let mut table = super::table::Table::new(&["part", "found", ""]);
        for finding in &findings {
            let detail = finding.version.as_ref().or(finding.hint.as_ref()).cloned().unwrap_or_default();
            table.row([finding.name.to_owned(), if finding.found { "yes" } else { "NO" }.into(), detail]);
        }
        table
    });
    Ok(ExitCode::from(if findings.iter().all(|finding| finding.found) { 0 } else { 2 }))
}
