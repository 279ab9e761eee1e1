//! `goldcrest flash`: firmware and model onto a real board.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use goldcrest_board::firmware::{self, BuildError, Firmware, Program, Recipe};
use goldcrest_board::fit::{Fit, Size};
use goldcrest_board::flash::steps::{Ends, Order, plan};
use goldcrest_board::flash::{self, Contents, FlashError, Plan};
use goldcrest_board::keys::PublicKey;
use goldcrest_board::payload::{Payload, self_test_pictures};
use goldcrest_board::port::Port;
use goldcrest_board::{Board, placement, table, update_key};
use goldcrest_link::message::Updates;
use goldcrest_prove::board_model::BoardModel;
use goldcrest_quantize::pack::PackOptions;
use serde_json::json;

use super::infer::PortArgs;
use super::packing::{PackingArgs, Prefer};
use super::table::Table;
use super::{Output, Usage};

/// Build the firmware for a board and write it, with a model
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  goldcrest flash --board nucleo-f446re --model model.int8.onnx
  goldcrest flash --board nucleo-f446re --model model.int8.onnx --dry-run
  goldcrest flash --board nucleo-f446re --model model.int8.onnx --verify-only
  goldcrest flash --board nucleo-f446re --model new.int8.onnx --model-only --port /dev/ttyACM0
  goldcrest flash --board pico --model model.int8.onnx --drive /media/RPI-RP2
`goldcrest boards` lists the boards. Without a model, the one on the board stays. --model-only writes the \
model's place alone: over the
link to the running firmware with --port, which tests the model before it replaces the old one, else as the \
firmware is written.
Exit code 0: written and read back, or the same with --verify-only. 1: it failed, or the flash holds \
something else. 2: wrong usage, or a
board, a tool or a permission is missing.")]
pub struct Args {
    /// The board
    #[arg(long, value_name = "BOARD")]
    pub board: String,
    /// The model: an int8 ONNX file, or a device image (.gci)
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub packing: PackingArgs,
    /// How to write: probe, uf2, hex or espflash; the board's usual way without it
    #[arg(long)]
    pub method: Option<String>,
    /// Which debug probe, where there are several
    #[arg(long, value_name = "VID:PID[:SERIAL]")]
    pub probe: Option<String>,
    /// Serial port or socket of the board: for espflash, and for --model-only over the link
    #[arg(long)]
    pub port: Option<Port>,
    /// Speed of the serial port for the link; the board's own without it
    #[arg(long, value_name = "BAUD", value_parser = clap::value_parser!(u32).range(300..))]
    pub baud: Option<u32>,
    /// The folder where the boot loader's drive is mounted
    #[arg(long, value_name = "FOLDER")]
    pub drive: Option<PathBuf>,
    /// Write only the model's place
    #[arg(long, requires = "model")]
    pub model_only: bool,
    /// Write nothing, compare the flash
    #[arg(long)]
    pub verify_only: bool,
    /// Touch no board: show the memory map, make the files
    #[arg(long)]
    pub dry_run: bool,
}

/// Runs the subcommand.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let board = table::find(&args.board).map_err(|error| Usage(error.to_string()))?;
    let model = args.model.as_deref().map(|path| payload(path, board, &args.packing)).transpose()?;
    let (payload, manifest) = model.map_or((None, None), |(payload, manifest)| (Some(payload), manifest));
    if let (true, Some(port), Some(payload)) = (args.model_only, &args.port, &payload)
        && !args.dry_run
        && !args.verify_only
        && args.method.is_none()
    {
        return over_the_link(args, board, port, payload, manifest.as_deref(), output);
    }

    let method = flash::method(board, args.method.as_deref()).map_err(flash_error)?;
    if !args.dry_run {
        // Before minutes of building.
        flash::tool::find(method).map_err(|error| flash_error(error.into()))?;
    }
    say!("building the firmware of {}", board.name);
    let recipe = match (&payload, args.packing.optimize) {
        (Some(payload), Prefer::Flash) => Recipe::for_model(Program::Flashed, payload, true),
        _ => Recipe { program: Program::Flashed, ..Recipe::default() },
    };
    let key = update_key::chosen().map_err(|error| Usage(error.to_string()))?;
    let firmware = firmware::build_as(board, &recipe).map_err(build_error)?;
    if let Some(key) = key {
        say!("this firmware takes over the line only models signed with {}", key.fingerprint());
        if let Some(path) = update_key::remember(key).map_err(|error| Usage(error.to_string()))? {
            say!("{} remembers the key: later builds have it too, without the variable", path.display());
        }
    }
    let placement = placement::check(board, &firmware)?;
    let segments = if args.model_only { &[][..] } else { &placement.segments[..] };
    // The firmware finds the model's version in the manifest behind it.
    let image =
        payload.as_ref().map(|payload| [payload.image.bytes(), manifest.as_deref().unwrap_or_default()]);
    let image = image.map(|parts| parts.concat());
    let contents = Contents::new(board, &firmware, segments, image.as_deref()).map_err(flash_error)?;
    let (with_firmware, verify_only) = (!args.model_only, args.verify_only);
    let order = Order { board, method, firmware: &firmware, contents: &contents, with_firmware, verify_only };
    // What is only shown needs no board: the reader puts in the port.
    let port = args.port.as_ref().map(ToString::to_string).or(args.dry_run.then(|| "PORT".to_owned()));
    let ends = Ends { probe: args.probe.clone(), port, drive: args.drive.clone() };
    let plan = plan(order, ends).map_err(flash_error)?;

    let start = Instant::now();
    if args.dry_run {
        plan.make_files().map_err(flash_error)?;
    } else {
        plan.execute(&mut |action| say!("{action}")).map_err(flash_error)?;
    }
    let (firmware, contents, plan) = (&firmware, &contents, &plan);
    let report = Report { args, board, method: method.name(), firmware, contents, plan, key };
    output.print(&report.json(start.elapsed().as_secs_f64()), || report.text());
    Ok(ExitCode::SUCCESS)
}

/// The device image of a model, and the signed manifest behind it. The board tests itself with two pictures
/// of noise, which reach every value.
fn payload(path: &Path, board: &Board, packing: &PackingArgs) -> anyhow::Result<(Payload, Option<Vec<u8>>)> {
    let options = packing.options(board.family);
    let file = BoardModel::read(path)?;
    let place = || path.display().to_string();
    let payload = file.pack(&options).with_context(place)?;
    let fit = Size::of(&payload).fit(board);
    if fit != Fit::Fits {
        anyhow::bail!("{}: {fit} for {}; try --optimize ram or flash", path.display(), board.name);
    }
    if payload.golden() > 0 {
        return Ok((payload, file.manifest));
    }
    let golden = self_test_pictures(payload.image.image().input_shape().len());
    let payload = file.pack(&PackOptions { golden, ..options }).with_context(place)?;
    Ok((payload, file.manifest))
}

/// Sends the model to the running firmware.
fn over_the_link(
    args: &Args,
    board: &Board,
    port: &Port,
    payload: &Payload,
    manifest: Option<&[u8]>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let baud = args.baud.or(board.flash.as_ref().map(|flash| flash.baud)).unwrap_or(115_200);
    let mut client = PortArgs { port: port.clone(), baud }.connect()?;
    let info = client.info().with_context(|| port.to_string())?;
    if info.board != board.name {
        let (found, asked) = (&info.board, board.name);
        return Err(Usage(format!("{port} is a {found}, not a {asked}; pass --board {found}")).into());
    }
    let manifest = wanted(&info.updates, manifest).map_err(|problem| Usage(format!("{port}: {problem}")))?;
    let start = Instant::now();
    // A board with a key takes no version twice.
    let there =
        info.model.ok().filter(|model| manifest.is_some() && model.crc == payload.image.image().crc());
    let written = there.is_none();
    let model = match there {
        Some(model) => model,
        None => {
            say!("sending {} bytes to {}", payload.image.bytes().len(), board.name);
            client.update(payload.image.bytes(), manifest).with_context(|| port.to_string())?
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    let json = json!({
        "board": board.name,
        "method": "link",
        "model_bytes": model.image_bytes,
        "model_crc": format!("{:08x}", model.crc),
        "updates": updates_json(&info.updates),
        "written": written,
        "verified": true,
        "seconds": seconds,
    });
    output.print(&json, || {
        if !written {
            return format!("{}: model {:08x} runs already\n", board.name, model.crc);
        }
        let rate = f64::from(model.image_bytes) / seconds / 1000.0;
        format!(
            "{}: model {:08x} of {} bytes runs; it passed its self-test ({seconds:.1} s, {rate:.1} kB/s)\n",
            board.name, model.crc, model.image_bytes
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// The manifest that a board wants to see, or what is wrong with that of the file.
fn wanted<'m>(updates: &Updates, manifest: Option<&'m [u8]>) -> Result<Option<&'m [u8]>, String> {
    let Updates::Signed { key, .. } = *updates else { return Ok(None) };
    let key = PublicKey(key);
    let fingerprint = key.fingerprint();
    match manifest {
        None => Err(format!(
            "the board takes only models signed with the key {fingerprint}; make one with `goldcrest pack \
             --sign KEY --model-version N`"
        )),
        Some(manifest) if !key.signed(manifest) => Err(format!(
            "the model is signed with another key than {fingerprint}, the board's; `goldcrest keys show` \
             prints a key's fingerprint"
        )),
        Some(manifest) => Ok(Some(manifest)),
    }
}

/// What it takes to update a board, as JSON.
pub fn updates_json(updates: &Updates) -> serde_json::Value {
    match *updates {
        Updates::None => json!({ "policy": "none" }),
        Updates::Unsigned => json!({ "policy": "unsigned" }),
        Updates::Signed { key, version } => json!({
            "policy": "signed", "fingerprint": PublicKey(key).fingerprint(), "model_version": version,
        }),
    }
}

fn flash_error(error: FlashError) -> anyhow::Error {
    if error.is_usage() { Usage(error.to_string()).into() } else { error.into() }
}

/// A missing tool is a missing part; a build that fails is a failed run.
pub fn build_error(error: BuildError) -> anyhow::Error {
    match error {
        BuildError::Failed { .. } | BuildError::Elf { .. } => error.into(),
        missing => Usage(missing.to_string()).into(),
    }
}

struct Report<'a> {
    args: &'a Args,
    board: &'a Board,
    method: &'static str,
    firmware: &'a Firmware,
    contents: &'a Contents,
    plan: &'a Plan,
    /// Whose models the firmware takes.
    key: Option<PublicKey>,
}

impl Report<'_> {
    fn bytes(&self, what: &str) -> usize {
        let pieces = self.contents.pieces().iter().filter(|piece| piece.what == what);
        pieces.map(|piece| piece.bytes.len()).sum()
    }

    fn json(&self, seconds: f64) -> serde_json::Value {
        let pieces = self.contents.pieces().iter();
        let pieces = pieces
            .map(|piece| json!({ "what": piece.what, "address": piece.address, "bytes": piece.bytes.len() }));
        let is_done = !self.args.dry_run;
        json!({
            "board": self.board.name,
            "chip": self.plan.chip,
            "method": self.method,
            "elf": self.firmware.elf,
            "update_key": self.key.map(|key| key.fingerprint()),
            "files": self.plan.files.iter().map(|(file, _)| file).collect::<Vec<_>>(),
            "actions": self.plan.actions.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "pieces": pieces.collect::<Vec<_>>(),
            "firmware_bytes": self.bytes("firmware"),
            "model_bytes": self.bytes("model"),
            "slot_bytes": self.firmware.slot_bytes,
            "written": is_done && !self.args.verify_only,
            // A copy to a drive is not read back.
            "verified": is_done && matches!(self.method, "probe" | "espflash"),
            "seconds": seconds,
        })
    }

    fn text(&self) -> String {
        let mut table = Table::new(&["flash", "bytes", "what"]);
        for piece in self.contents.pieces() {
            let range = format!("{:#010x}..{:#010x}", piece.address, piece.end());
            table.row([range, piece.bytes.len().to_string(), piece.what.to_string()]);
        }
        let mut text = table.to_string();
        if self.args.dry_run {
            text += "nothing was written; it would be done with\n";
            self.plan.actions.iter().for_each(|action| text += &format!("  {action}\n"));
        } else if self.args.verify_only {
            text += &format!("{}: the flash holds this\n", self.board.name);
        } else {
            text += &format!("{}: written by {}\n", self.board.name, self.method);
        }
        text
    }
}
