//! `goldcrest infer`: pictures to a board at a port, classes back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use goldcrest_board::client::{BoardInfo, Classification, Client, model_fault};
use goldcrest_board::payload::Payload;
use goldcrest_board::port::{Line, Port, PortError};
use goldcrest_board::table;
use goldcrest_data::picture::Picture;
use goldcrest_engine::engine::Engine;
use goldcrest_engine::kernels::Family;
use goldcrest_engine::shape::Shape;
use goldcrest_link::ModelInfo;
use goldcrest_onnx::{Model, int8};
use goldcrest_quantize::pack::{Optimize, PackOptions, Winograd};
use serde_json::json;

use super::data::PictureArgs;
use super::model_side::ModelSide;
use super::table::Table;
use super::{Output, Usage};

/// Classify pictures on a board
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  goldcrest infer --port /dev/ttyACM0 photo.jpg
  goldcrest infer --port /dev/ttyACM0 --model model.int8.onnx *.jpg
  goldcrest infer --port unix:/run/board.sock --model model.gci --check photo.png --json
`goldcrest devices` lists serial ports. Pictures may have any size: what of them the model sees stands in its
ONNX file. Without that the whole picture is taken, or what --fit says.
Exit code 0: all pictures were classified (with --check: as on the host). 1: the board failed, or a logit differs. 2: wrong usage, or nothing is at the port.")]
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
    #[arg(long, value_name = "BAUD", default_value_t = 115_200, value_parser = clap::value_parser!(u32).range(300..))]
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

/// Runs the subcommand.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let side = args.model.as_deref().map(model_side).transpose()?;
    let asked = match &side {
        Some(side) => args.pictures.against(&side.place, &side.asked())?,
        None => args.pictures.asked(),
    };
    let rule = asked.preprocessing();
    let pictures =
        args.images.iter().map(|path| Picture::open(path, rule.background)).collect::<Result<Vec<_>, _>>()?;
    let mut client = args.port.connect()?;
    let info = client.info().with_context(|| args.port.port.to_string())?;
    let model = info.model.map_err(|fault| anyhow::anyhow!("{}: {}", info.board, model_fault(&fault)))?;
    let host =
        args.model.as_deref().map(|path| HostModel::open(path, &info, &model, args.insist)).transpose()?;

    let [height, width, channels] = model.input.map(usize::from);
    let is_other = |picture: &Picture| picture.shape.width * height != picture.shape.height * width;
    if asked.fit.is_none() && pictures.iter().any(is_other) {
        eprintln!(
            "warning: pictures have other proportions than the model's input, {height}x{width}; assumed: it \
             sees the whole, stretched or \
             squeezed. --model FILE.onnx says what it was trained with, --fit states it"
        );
    }
    let mut inputs = Vec::with_capacity(pictures.len());
    for (picture, path) in pictures.iter().zip(&args.images) {
        let input = picture.fit(Shape::new(height, width, channels), &rule);
        inputs.push(input.with_context(|| path.display().to_string())?);
    }

    let start = Instant::now();
    let mut answers = Vec::with_capacity(inputs.len());
    client
        .infer_stream(inputs.iter().map(Vec::as_slice), |answer| answers.push(answer))
        .with_context(|| args.port.port.to_string())?;
    let seconds = start.elapsed().as_secs_f64();

    let mismatches = match &host {
        Some(host) if args.check => Some(host.mismatches(&inputs, &answers)?),
        _ => None,
    };
    let report = Report { args, info: &info, model: &model, host: host.as_ref(), answers: &answers };
    output.print(&report.json(seconds, mismatches), || report.text(mismatches));
    Ok(ExitCode::from(u8::from(mismatches.is_some_and(|mismatches| mismatches > 0))))
}

fn is_image(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gci"))
}

/// What a model says of its pictures, be it ONNX or a device image.
pub(super) fn model_side(path: &Path) -> anyhow::Result<ModelSide> {
    if is_image(path) {
        let payload = goldcrest_prove::device_image::open(path, &PackOptions::default())?;
        return Ok(ModelSide::of_image(path, &payload.image.image()));
    }
    ModelSide::of_onnx(path, &Model::read(path)?)
}

/// The device image of a file: as it is, or packed in the way that has the board's checksum, else in the
/// usual way.
fn payload(path: &Path, family: Option<Family>, crc: u32) -> anyhow::Result<Payload> {
    let usual = PackOptions { family: family.unwrap_or_default(), ..PackOptions::default() };
    let first = goldcrest_prove::device_image::open(path, &usual)?;
    if is_image(path) || first.image.image().crc() == crc {
        return Ok(first);
    }
    let model = int8::read(&Model::read(path)?).with_context(|| path.display().to_string())?;
    let pixels = model.graph.tensor(model.graph.input).shape.len();
    let families = family.map_or(vec![Family::Portable, Family::Dsp, Family::Mve], |family| vec![family]);
    for golden in [super::flash::self_test(pixels), Vec::new()] {
        for &family in &families {
            for optimize in [Optimize::Speed, Optimize::Ram, Optimize::Flash] {
                for winograd in [Winograd::Auto, Winograd::Off] {
                    let golden = golden.clone();
                    let options =
                        PackOptions { family, optimize, winograd, golden, ..PackOptions::default() };
                    let payload = Payload::pack(&model, &options)?;
                    if payload.image.image().crc() == crc {
                        return Ok(payload);
                    }
                }
            }
        }
    }
    Ok(first)
}

/// The model of the board as the host knows it.
struct HostModel {
    payload: Payload,
    labels: Vec<String>,
    scale: f32,
    zero_point: i8,
}

impl HostModel {
    /// Reads the model and refuses one that cannot be the board's.
    fn open(path: &Path, info: &BoardInfo, on_board: &ModelInfo, insist: bool) -> anyhow::Result<Self> {
        let family = table::find(&info.board).ok().map(|board| board.family);
        let payload = payload(path, family, on_board.crc)?;
        let image = payload.image.image();
        let [height, width, channels] = on_board.input.map(usize::from);
        let (found, expected) = (image.input_shape(), Shape::new(height, width, channels));
        if (found, image.classes()) != (expected, on_board.classes.into()) {
            let (classes, on_board) = (image.classes(), on_board.classes);
            let message = format!(
                "{}: input {found} and {classes} classes, but the model on the board takes {expected} and has {on_board} classes; it is another model",
                path.display()
            );
            return Err(Usage(message).into());
        }
        if image.crc() != on_board.crc && !insist {
            let (is_image, path, found, expected) =
                (is_image(path), path.display(), image.crc(), on_board.crc);
            let what = match is_image {
                true => format!("{path} is device image {found:08x}"),
                false => format!(
                    "{path}, packed in every way that `flash` and `pack` do without budgets, is not it"
                ),
            };
            return Err(Usage(format!(
                "the board runs device image {expected:08x}; {what}. Its names may be another model's: give \
                 the board's own .gci, or \
                 --insist"
            ))
            .into());
        }
        let labels = image.labels().map(str::to_string).collect();
        let (scale, zero_point) = (image.output_scale(), image.output_zero_point());
        Ok(Self { labels, scale, zero_point, payload })
    }

    fn label(&self, class: usize) -> Option<&str> {
        self.labels.get(class).map(String::as_str).filter(|label| !label.is_empty())
    }

    /// Softmax over the logits' real values, for one class.
    fn probability(&self, logits: &[i8], class: usize) -> f64 {
        let real =
            |logit: i8| f64::from(self.scale) * f64::from(i32::from(logit) - i32::from(self.zero_point));
        let top = logits.get(class).map_or(0.0, |&logit| real(logit));
        1.0 / logits.iter().map(|&logit| (real(logit) - top).exp()).sum::<f64>()
    }

    /// Logits of the board that are not the engine's on the host.
    fn mismatches(&self, inputs: &[Vec<u8>], answers: &[Classification]) -> anyhow::Result<usize> {
        let image = self.payload.image.image();
        let mut arena = vec![0; Engine::words(&image)];
        let mut differing = 0;
        for (input, answer) in inputs.iter().zip(answers) {
            let mut engine = Engine::new(&image, &mut arena).map_err(|small| anyhow::anyhow!("{small:?}"))?;
            engine.load_pixels(input).map_err(|wrong| anyhow::anyhow!("{wrong:?}"))?;
            let logits = engine.run();
            differing += logits.iter().zip(&answer.logits).filter(|(host, board)| host != board).count();
            differing += logits.len().abs_diff(answer.logits.len());
        }
        Ok(differing)
    }
}

struct Report<'a> {
    args: &'a Args,
    info: &'a BoardInfo,
    model: &'a ModelInfo,
    host: Option<&'a HostModel>,
    answers: &'a [Classification],
}

impl Report<'_> {
    fn milliseconds(&self, answer: &Classification) -> f64 {
        answer.ticks as f64 * 1e3 / f64::from(self.info.ticks_per_second.max(1))
    }

    fn rows(&self) -> impl Iterator<Item = (&PathBuf, &Classification)> {
        self.args.images.iter().zip(self.answers)
    }

    fn json(&self, seconds: f64, mismatches: Option<usize>) -> serde_json::Value {
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
            "model_crc": format!("{:08x}", self.model.crc),
            "input": self.model.input,
            "seconds": seconds,
            "mismatches": mismatches,
            "images": images.collect::<Vec<_>>(),
        })
    }

    fn text(&self, mismatches: Option<usize>) -> String {
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
        text
    }
}
