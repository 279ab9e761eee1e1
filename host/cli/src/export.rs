//! `goldcrest export`: a model and the engine as a project for somebody else's firmware.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::builder::PossibleValuesParser;
use goldcrest_board::payload::noise;
use goldcrest_data::Spec;
use goldcrest_export::library::LibraryError;
use goldcrest_export::{Export, Project, ProjectError, cores, form, project};
use goldcrest_prove::board_model::BoardModel;
use goldcrest_quantize::pack::PackOptions;
use serde_json::json;

use super::data::{DataArgs, PictureArgs};
use super::model_side::ModelSide;
use super::packing::{PackingArgs, Prefer};
use super::{Output, Usage};

/// Write a small project that builds as it is: the model, the engine for a core, a program that classifies a
/// picture
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  goldcrest export model.int8.onnx --as c --core cortex-m4 --out signs
  goldcrest export model.int8.onnx --as arduino --core cortex-m0plus --name signs --out signs
  goldcrest export model.int8.onnx --as c --core x86-64 --data cifar10 --golden 20 --out signs

The device image, its kernels and the library belong together: export them together again after a change.")]
pub struct Args {
    /// An int8 ONNX file made by `goldcrest quantize`, or a device image (.gci)
    pub model: PathBuf,
    /// The form of the project
    #[arg(long = "as", value_name = "FORM", value_parser = PossibleValuesParser::new(form::names()))]
    pub form: String,
    /// The processor core
    #[arg(long, value_name = "CORE", value_parser = PossibleValuesParser::new(cores::names()))]
    pub core: String,
    /// The project's folder
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Write into a folder that has files in it, over those of the same names
    #[arg(long)]
    pub overwrite: bool,
    /// The model's name in the program [default: the file's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Golden vectors for the self-test: pictures with the logits they must give, the first of the test set
    /// with --data, else noise
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub golden: u16,
    /// Data set whose first test pictures are the golden vectors, as `goldcrest verify` takes it
    #[arg(long, value_name = "SPEC")]
    pub data: Option<Spec>,
    #[command(flatten)]
    pub pictures: PictureArgs,
    #[command(flatten)]
    pub packing: PackingArgs,
}

/// Exit code 0 when the project was written.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let core = cores::find(&args.core).map_err(|error| Usage(error.to_string()))?;
    let form = form::find(&args.form).map_err(|error| Usage(error.to_string()))?;
    let place = || args.model.display().to_string();
    let file = BoardModel::read(&args.model)?;
    let side = ModelSide::of_board_model(&file);
    let golden = match &args.data {
        Some(_) if file.is_image() => {
            return Err(Usage(format!(
                "{} is a device image, which has its golden vectors; leave --data out, or give the int8 ONNX \
                 file",
                place()
            ))
            .into());
        }
        Some(data) => {
            let (data, pictures) = (data.clone(), args.pictures.clone());
            // Golden vectors have no classes.
            let data = DataArgs { data, pictures, by_position: true, skip_broken: false };
            let images = data.open_pictures_for(&side)?.test;
            let images = images.head(args.golden.into());
            (0..images.len()).map(|index| images.image(index).to_vec()).collect()
        }
        None => noise(args.golden, side.input.len()),
    };
    let options = PackOptions { golden, ..args.packing.options(core.family) };
    let payload = file.pack(&options).with_context(place)?;
    let family = payload.image.image().family();
    if family > core.family {
        return Err(Usage(format!(
            "{} is a device image for {family} cores, but {} has {} kernels; give the int8 ONNX file",
            place(),
            core.name,
            core.family
        ))
        .into());
    }
    let stem = args.model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let stem = stem.strip_suffix(".int8").unwrap_or(&stem);
    let title = args.name.as_deref().unwrap_or(stem).to_string();
    let name = project::name_of(&title);
    let small = matches!(args.packing.optimize, Prefer::Flash);
    say!("building the engine for {}", core.title);
    let export = Export { name, title, payload: &payload, core, small };
    let project = Project::new(form, &export).map_err(usage)?;
    project.write(&args.out, args.overwrite).map_err(usage)?;

    let image = payload.image.image();
    let files: Vec<_> = project.files.keys().map(|path| path.display().to_string()).collect();
    let json = json!({
        "form": form.name, "core": core.name, "name": export.name, "out": args.out.display().to_string(),
        "image_bytes": image.bytes().len(), "arena_bytes": image.arena_bytes(),
        "code_bytes": project.code_bytes, "golden": image.golden().count(), "files": files,
    });
    output.print(&json, || {
        let code = project.code_bytes.map_or(String::new(), |bytes| format!(" + engine {bytes} bytes"));
        format!(
            "{}: {} files; flash: model {} bytes{code}; RAM: arena {} bytes\nnext: see {}\n",
            args.out.display(),
            files.len(),
            image.bytes().len(),
            image.arena_bytes(),
            args.out.join("README.md").display()
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// A missing part, a wrong core or a folder in use is wrong usage; everything else is a failed run.
fn usage(error: ProjectError) -> anyhow::Error {
    match error {
        ProjectError::Library(
            LibraryError::NoCargo(_) | LibraryError::NoTarget { .. } | LibraryError::Sources(_),
        )
        | ProjectError::Sources(_)
        | ProjectError::Core { .. }
        | ProjectError::NotEmpty(_) => Usage(error.to_string()).into(),
        error => error.into(),
    }
}
