//! `goldcrest doctor`: is all there that Goldcrest needs?

use std::process::ExitCode;

use serde_json::json;

use super::Output;
use crate::doctor::PARTS;

/// Check this machine for what Goldcrest needs, and install what is missing
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  goldcrest doctor\n  goldcrest doctor --fix\n  goldcrest doctor --json")]
pub struct Args {
    /// Install what is missing (never asks for a password)
    #[arg(long)]
    pub fix: bool,
}

/// Exit code 0 when every part was found, 2 when one is missing.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let mut say = |line: &str| eprintln!("{line}");
    let findings: Vec<_> = PARTS.iter().map(|part| part.examine(args.fix, &mut say)).collect();
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
