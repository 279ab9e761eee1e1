//! `goldcrest infer`: pictures to a board at a port, classes back.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use goldcrest_board::client::{BoardInfo, Classification, Client, model_fault};
use goldcrest_board::port::{Line, Port, PortError};
use goldcrest_data::picture::Picture;
use goldcrest_link::{CRC, ModelInfo};
use goldcrest_prove::board_model::BoardModel;
use goldcrest_prove::on_board::{OnBoard, OnBoardError};
use serde_json::json;

use super::data::PictureArgs;
use super::flash::updates_json;
use super::model_side::ModelSide;
use super::table::Table;
use super::{Output, Usage};

/// Classify pictures on a board
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  goldcrest infer --port /dev/ttyACM0 photo.jpg
  goldcrest infer --port /dev/ttyACM0 --model model.int8.onnx *.jpg
  goldcrest infer --port unix:/run/board.sock --model model.gci --check photo.png --json
  goldcrest infer --port /dev/ttyACM0 --board-resizes photo.jpg
`goldcrest devices` lists serial ports. Pictures may have any size: what of them the model sees stands in its
file and on the board.
Exit code 0: all pictures were classified (with --check: as on the host; with --board-resizes: of the host's \
pixels). 1: the board failed, or a
logit or an input differs. 2: wrong usage, or nothing is at the port.")]
pub struct Args {
    /// Pictures: JPEG, PNG, WebP, BMP, GIF or TIFF
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    #[command(flatten)]
    pub port: PortArgs,
    /// The model on the board, int8 ONNX or device image (.gci): class names and probabilities come from it
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Compare every logit with the host's
    #[arg(long, requires = "model")]
    pub check: bool,
    /// Take the names of --model though its checksum is not that of the model on the board
    #[arg(long, requires = "model")]
    pub insist: bool,
    /// Send pictures as they are and let the board crop and resize them, as it does with a camera's; what it
    /// makes of them is compared with what the host makes, byte for byte (by CRC-32)
    #[arg(long)]
    pub board_resizes: bool,
    #[command(flatten)]
    pub pictures: PictureArgs,
}

/// Where the board is.
#[derive(Clone, Debug, clap::Args)]
pub struct PortArgs {
    /// The board's serial port, such as /dev/ttyACM0; or a socket: tcp:HOST:PORT, unix:PATH
    #[arg(long)]
    pub port: Port,
    /// Speed of a serial port, in bits per second
    #[arg(
        long, value_name = "BAUD", default_value_t = 115_200,
        value_parser = clap::value_parser!(u32).range(300..)
    )]
    pub baud: u32,
}

impl PortArgs {
    /// Opens the port and greets the board.
    pub fn connect(&self) -> anyhow::Result<Client<Line>> {
        let line = self.port.open(self.baud).map_err(port_error)?;
        let client = Client::connect(line, self.port.patience(self.baud));
        client.with_context(|| self.port.to_string())
    }
}

/// A port that is not there is a missing part; one that fails is a failed run.
pub fn port_error(error: PortError) -> anyhow::Error {
    match error {
        PortError::Other { .. } => error.into(),
        error => Usage(error.to_string()).into(),
    }
}

/// Another model than the board's is a wrong argument; one that cannot be packed is a failed run.
fn other_model(error: OnBoardError) -> anyhow::Error {
    match error {
        OnBoardError::Pack(_) => error.into(),
        other => Usage(other.to_string()).into(),
    }
}

/// Runs the subcommand.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let file = args.model.as_deref().map(BoardModel::read).transpose()?;
    let side = file.as_ref().map(ModelSide::of_board_model);
    let asked = match &side {
        Some(side) => args.pictures.against(&side.place, &side.asked())?,
        None => args.pictures.asked(),
    };
    let open = |background| {
        args.images.iter().map(|path| Picture::open(path, background)).collect::<Result<Vec<_>, _>>()
    };
    // Before the board is bothered.
    let background = asked.preprocessing().background;
    let pictures = open(background)?;
    let mut client = args.port.connect()?;
    let info = client.info().with_context(|| args.port.port.to_string())?;
    let model = info.model.map_err(|fault| anyhow::anyhow!("{}: {}", info.board, model_fault(&fault)))?;
    let host = match &file {
        Some(file) => Some(OnBoard::identify(file, &info, &model, args.insist).map_err(other_model)?),
        None => None,
    };

    let on_board = ModelSide::of_board(args.port.port.to_string(), &model)?;
    let input = on_board.input;
    let asked = match &side {
        Some(_) => asked,
        None => args.pictures.against(&on_board.place, &on_board.asked())?,
    };
    let is_other =
        |picture: &Picture| picture.shape.width * input.height != picture.shape.height * input.width;
    if asked.fit.is_none() && pictures.iter().any(is_other) {
        say!(
            "warning: pictures have other proportions than the model's input, {}x{}; assumed: it \
             sees the whole, stretched or \
             squeezed. --model FILE.onnx says what it was trained with, --fit states it",
            input.height,
            input.width
        );
    }
    let rule = asked.preprocessing();
    let pictures = if rule.background == background { pictures } else { open(rule.background)? };
    let mut inputs = Vec::with_capacity(pictures.len());
    for (picture, path) in pictures.iter().zip(&args.images) {
        let input = picture.fit(input, &rule);
        inputs.push(input.with_context(|| path.display().to_string())?);
    }

    let start = Instant::now();
    let mut answers = Vec::with_capacity(inputs.len());
    // Pictures of which the board makes another input than the host.
    let mut others = args.board_resizes.then(Vec::new);
    if let Some(others) = &mut others {
        for ((picture, path), input) in pictures.iter().zip(&args.images).zip(&inputs) {
            let answer = client.infer_picture(picture.shape, &picture.pixels);
            let (answer, crc) = answer.with_context(|| format!("{}: {}", args.port.port, path.display()))?;
            answers.push(answer);
            if crc != CRC.checksum(input) {
                others.push(path);
            }
        }
    } else {
        client
            .infer_stream(inputs.iter().map(Vec::as_slice), |answer| answers.push(answer))
            .with_context(|| args.port.port.to_string())?;
    }
    let seconds = start.elapsed().as_secs_f64();

    let mismatches = match &host {
        Some(host) if args.check => Some(host.mismatches(&inputs, &answers)?),
        _ => None,
    };
    let (info, model, host) = (&info, &model, host.as_ref());
    let report = Report { args, info, model, host, answers: &answers, others: others.as_deref() };
    output.print(&report.json(seconds, mismatches), || report.text(mismatches));
    let differs =
        mismatches.is_some_and(|count| count > 0) || others.is_some_and(|others| !others.is_empty());
    Ok(ExitCode::from(u8::from(differs)))
}

struct Report<'a> {
    args: &'a Args,
    info: &'a BoardInfo,
    model: &'a ModelInfo,
    host: Option<&'a OnBoard>,
    answers: &'a [Classification],
    /// Pictures of which the board made another input than the host, where it made them.
    others: Option<&'a [&'a PathBuf]>,
}

impl Report<'_> {
    fn milliseconds(&self, answer: &Classification) -> f64 {
        answer.ticks as f64 * 1e3 / f64::from(self.info.ticks_per_second.max(1))
    }

    fn rows(&self) -> impl Iterator<Item = (&PathBuf, &Classification)> {
        self.args.images.iter().zip(self.answers)
    }

    fn json(&self, seconds: f64, mismatches: Option<u64>) -> serde_json::Value {
        let images = self.rows().map(|(path, answer)| {
            json!({
                "image": path,
                "class": answer.class,
                "name": self.host.and_then(|host| host.label(answer.class)),
                "probability": self.host.map(|host| host.probability(&answer.logits, answer.class)),
                "logits": answer.logits,
                "ticks": answer.ticks,
                "milliseconds": self.milliseconds(answer),
            })
        });
        json!({
            "board": self.info.board,
            "firmware": self.info.firmware,
            "updates": updates_json(&self.info.updates),
            "model_crc": format!("{:08x}", self.model.crc),
            "input": self.model.input,
            "seconds": seconds,
            "mismatches": mismatches,
            "inputs_differing": self.others,
            "images": images.collect::<Vec<_>>(),
        })
    }

    fn text(&self, mismatches: Option<u64>) -> String {
        let mut table = Table::new(&["image", "class", "name", "probability", "time"]);
        for (path, answer) in self.rows() {
            let probability = self.host.map(|host| host.probability(&answer.logits, answer.class));
            table.row([
                path.display().to_string(),
                answer.class.to_string(),
                self.host.and_then(|host| host.label(answer.class)).unwrap_or_default().to_string(),
                probability.map(|part| format!("{:.1} %", part * 100.0)).unwrap_or_default(),
                format!("{:.2} ms", self.milliseconds(answer)),
            ]);
        }
        let mut text = table.to_string();
        if let Some(mismatches) = mismatches {
            let all: usize = self.answers.iter().map(|answer| answer.logits.len()).sum();
            text += &format!("{mismatches} of {all} logits differ from the host's\n");
        }
        if let Some(others) = self.others {
            let (count, all) = (others.len(), self.answers.len());
            text += &format!("the board makes another input than the host of {count} of {all} pictures\n");
            others.iter().for_each(|path| text += &format!("  {}\n", path.display()));
        }
        text
    }
}
