//! The data set arguments that several subcommands share.

use goldcrest_data::{Asked, Dataset, Options, Spec};

use super::Usage;
use super::model_side::ModelSide;
use super::progress;

/// Which images.
#[derive(Clone, Debug, clap::Args)]
pub struct DataArgs {
    /// Data set: a folder, a .tar, .tar.gz or .zip, CIFAR-10's binary files, `cifar10` or `glyphs`
    #[arg(long, value_name = "SPEC")]
    pub data: Spec,
    #[command(flatten)]
    pub pictures: PictureArgs,
    /// Take the data set's classes in their order for the model's, whatever their names are
    #[arg(long)]
    pub by_position: bool,
    /// Leave broken pictures out instead of ending with an error
    #[arg(long)]
    pub skip_broken: bool,
}

/// How pictures become images. A model made by `train` or `import` knows, and what contradicts it is an
/// error.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PictureArgs {
    /// Resize every image to this size, such as 32x32 [default: the model's]
    #[arg(long, value_name = "ROWSxCOLUMNS", value_parser = |text: &str| value("resize", text))]
    pub resize: Option<Value>,
    /// Which part of a picture the model sees: the whole, stretched or squeezed; the middle in the input's
    /// proportions; or the whole in its own proportions between bars (letterbox) [default: the model's, else
    /// whole]
    #[arg(long, value_name = "whole|middle|letterbox", value_parser = |text: &str| value("fit", text))]
    pub fit: Option<Value>,
    /// Colour or gray images [default: the model's, else gray where all pictures are]
    #[arg(long, value_name = "rgb|gray", value_parser = |text: &str| value("channels", text))]
    pub channels: Option<Value>,
    /// Colour below transparent pixels and of bars [default: the model's, else white]
    #[arg(long, value_name = "white|black|#RRGGBB", value_parser = |text: &str| value("background", text))]
    pub background: Option<Value>,
}

/// The value of one of [`Asked::KEYS`].
#[derive(Clone, Copy, Debug)]
pub struct Value(Asked);

fn value(key: &'static str, text: &str) -> Result<Value, String> {
    let mut asked = Asked::default();
    asked.set(key, text).map_err(|expected| format!("give {expected}"))?;
    Ok(Value(asked))
}

impl PictureArgs {
    /// What the flags ask.
    pub fn asked(&self) -> Asked {
        let values = [self.resize, self.fit, self.channels, self.background];
        values.into_iter().flatten().fold(Asked::default(), |asked, Value(one)| asked.or(one))
    }

    /// What the flags ask, completed by what another side says; a contradiction is an error with both.
    pub fn against(&self, place: &str, theirs: &Asked) -> Result<Asked, Usage> {
        agree("the flags", &self.asked(), place, theirs)
    }
}

/// What two sides ask together; a contradiction is an error with both.
pub fn agree(mine_name: &str, mine: &Asked, theirs_name: &str, theirs: &Asked) -> Result<Asked, Usage> {
    match mine.conflict(theirs) {
        None => Ok(mine.or(*theirs)),
        Some(conflict) => Err(Usage(format!(
            "{theirs_name} has {} {}, but {mine_name} say --{} {}; leave that out, the model's is taken",
            conflict.key, conflict.theirs, conflict.key, conflict.mine
        ))),
    }
}

impl DataArgs {
    /// Opens the data set for images as they are asked for, with progress and what was found on standard
    /// error.
    ///
    /// # Errors
    /// As [`Dataset::open`].
    pub fn open(&self, asked: &Asked) -> anyhow::Result<Dataset> {
        remark_on_name(&self.data);
        let (progress, skip_broken) = (progress::data, self.skip_broken);
        let options = asked.options(Options { progress, skip_broken, ..Options::default() });
        let dataset = Dataset::open(&self.data, &options)?;
        tell(&dataset);
        Ok(dataset)
    }

    /// Opens the data set as a model takes it, its classes in the model's order.
    ///
    /// # Errors
    /// As [`Dataset::open`]; where flags contradict the model; where the classes are not the model's.
    pub fn open_for(&self, model: &ModelSide) -> anyhow::Result<Dataset> {
        self.named(self.open_pictures_for(model)?, model)
    }

    /// Opens the data set as a model takes its pictures, whatever their classes are.
    ///
    /// # Errors
    /// As [`Dataset::open`]; where flags contradict the model.
    pub fn open_pictures_for(&self, model: &ModelSide) -> anyhow::Result<Dataset> {
        let asked = self.pictures.against(&model.place, &model.asked())?;
        let dataset = self.open(&asked)?;
        let has_other_form = dataset.findings.sizes.is_some_and(|sizes| {
            sizes.iter().any(|&[rows, columns]| rows * model.input.width != columns * model.input.height)
        });
        if has_other_form && asked.fit.is_none() {
            say!(
                "warning: {} does not say what of a picture it sees; assumed: the whole, stretched or \
                 squeezed (--fit whole)",
                model.place
            );
        }
        Ok(dataset)
    }

    /// The data set with its classes in the model's order.
    fn named(&self, dataset: Dataset, model: &ModelSide) -> anyhow::Result<Dataset> {
        if self.by_position {
            return Ok(dataset);
        }
        let Some(names) = &model.labels else {
            return Ok(dataset);
        };
        match dataset.clone().in_order_of(names) {
            Ok(matched) => {
                if matched.classes != dataset.classes {
                    say!("classes are matched by name: {} has them in another order", model.place);
                }
                Ok(matched)
            }
            // What a model without names is given.
            Err(_) if names.iter().enumerate().all(|(index, name)| *name == index.to_string()) => {
                say!("{} numbers its classes; those of the data are taken in their order", model.place);
                Ok(dataset)
            }
            Err(error) => {
                let advice = "--by-position takes them in their order";
                Err(Usage(format!("{}: {error}; {advice}", model.place)).into())
            }
        }
    }
}

/// A folder with the name of a built-in data set is not what is meant, and may be.
pub fn remark_on_name(spec: &Spec) {
    let name = match spec {
        Spec::Cifar10 => "cifar10",
        Spec::Glyphs { .. } => "glyphs",
        Spec::Path(_) => return,
    };
    if std::path::Path::new(name).exists() {
        say!("`{name}` is the built-in data set; write ./{name} for what lies here under this name");
    }
}

/// Says what a data set is, and what may surprise.
pub fn tell(dataset: &Dataset) {
    say!("{}", dataset.summary());
    for remark in dataset.remarks() {
        say!("warning: {remark}");
    }
}
