//! The data set arguments that several subcommands share.

use goldcrest_data::{Dataset, DatasetError, Options, Spec};

use super::progress;

/// Which images.
#[derive(Clone, Debug, clap::Args)]
pub struct DataArgs {
    /// Data set: a folder, a .tar or .tar.gz, CIFAR-10's binary files, `cifar10` or `glyphs`
    #[arg(long, value_name = "SPEC")]
    pub data: Spec,
    /// Resize every image to this size, such as 32x32
    #[arg(long, value_name = "ROWSxCOLUMNS", value_parser = size)]
    pub resize: Option<[usize; 2]>,
}

impl DataArgs {
    /// Opens the data set, with progress on standard error.
    ///
    /// # Errors
    /// As [`Dataset::open`].
    pub fn open(&self) -> Result<Dataset, DatasetError> {
        let options = Options { resize: self.resize, progress: progress::data, ..Options::default() };
        Dataset::open(&self.data, &options)
    }
}

fn size(text: &str) -> Result<[usize; 2], String> {
    let side = |text: &str| text.parse::<usize>().ok().filter(|&side| side > 0);
    let (rows, columns) = text.split_once('x').unwrap_or((text, text));
    match (side(rows), side(columns)) {
        (Some(rows), Some(columns)) => Ok([rows, columns]),
        _ => Err("give rows and columns, as in 32x32".into()),
    }
}
