//! `goldcrest keys`: keys that sign models for boards.

use std::path::PathBuf;
use std::process::ExitCode;

use goldcrest_board::keys::{Key, KeyError};
use serde_json::json;

use super::{Output, Usage};

/// Make or show a key that signs models
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  goldcrest keys new models.pem
  goldcrest keys show models.pem
  goldcrest pack model.int8.onnx --board nucleo-f446re --sign models.pem --model-version 1 --out model.gci
A firmware built with the public key (GOLDCREST_UPDATE_KEY=... goldcrest flash) takes over the line only \
models that are signed with the private one. The file is an Ed25519 key in PEM (PKCS#8), as OpenSSL reads \
it, and its owner's alone (mode 0600).")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a key, in a new file that only you may read
    New {
        /// The file
        file: PathBuf,
    },
    /// Print the public key of a file and its fingerprint
    Show {
        /// The file
        file: PathBuf,
    },
}

/// A key that cannot be used is a wrong argument.
pub fn key_error(error: KeyError) -> Usage {
    Usage(error.to_string())
}

/// Runs the subcommand.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let (file, key) = match &args.action {
        Action::New { file } => (file, Key::create(file).map_err(key_error)?),
        Action::Show { file } => (file, Key::read(file).map_err(key_error)?),
    };
    let public = key.public();
    let fingerprint = public.fingerprint();
    let json = json!({ "file": file, "public_key": public.to_string(), "fingerprint": fingerprint });
    output.print(&json, || format!("public key: {public}\nfingerprint: {fingerprint}\n"));
    if matches!(args.action, Action::New { .. }) {
        say!(
            "{} is the private key: keep it secret, and keep a copy, since nothing replaces it. For a \
             firmware that takes only its models: GOLDCREST_UPDATE_KEY={public} goldcrest flash ...",
            file.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}
