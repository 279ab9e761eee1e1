//! `goldcrest devices`: what is plugged in.

use std::process::ExitCode;

use goldcrest_board::{port, probe};
use serde_json::json;

use super::Output;
use super::table::Table;

/// List debug probes and serial ports
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  goldcrest devices
  goldcrest devices --json
Debug probes are found through probe-rs, where it is installed. Exit code 0, also when nothing is plugged \
in.")]
pub struct Args {}

/// Runs the subcommand.
pub fn run(_: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let (probes, hint) = match probe::list() {
        Ok(probes) => (probes, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let ports = port::list();
    let json = json!({ "probes": probes, "probes_hint": hint, "ports": ports });
    output.print(&json, || {
        let mut text = String::new();
        if probes.is_empty() {
            text += &format!("no debug probe: {}\n", hint.as_deref().unwrap_or("none is plugged in"));
        } else {
            let mut table = Table::new(&["debug probe", "id", ""]);
            for probe in &probes {
                let remark = if probe.accessible { "" } else { "no permission" };
                table.row([probe.name.clone(), probe.id.clone(), remark.to_string()]);
            }
            text += &table.to_string();
        }
        if ports.is_empty() {
            text += "no serial port\n";
        } else {
            let mut table = Table::new(&["serial port", "device", "USB"]);
            for port in &ports {
                let device = port.device.clone().unwrap_or_default();
                table.row([port.name.clone(), device, port.usb.clone().unwrap_or_default()]);
            }
            text += &table.to_string();
        }
        text
    });
    Ok(ExitCode::SUCCESS)
}
