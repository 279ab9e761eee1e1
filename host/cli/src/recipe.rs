//! The options of a recipe as flags, made from their table.

use clap::builder::{PossibleValuesParser, TypedValueParser, ValueParser};
use clap::{Arg, ArgMatches, Command, FromArgMatches};
use goldcrest_train::training::recipe::{KEYS, Key, RecipeOptions, SUITED};

/// The flags of a recipe: one for each of [`KEYS`].
#[derive(Clone, Debug)]
pub struct RecipeArgs {
    /// What was given.
    pub options: RecipeOptions,
}

impl clap::Args for RecipeArgs {
    fn augment_args(command: Command) -> Command {
        command.args(KEYS.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for RecipeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |key: &Key| Some((key.name(), matches.get_one::<toml::Value>(&key.name())?.clone()));
        let options = RecipeOptions::of_table(&KEYS.iter().filter_map(value).collect());
        let options =
            options.map_err(|error| clap::Error::raw(clap::error::ErrorKind::InvalidValue, error))?;
        Ok(Self { options })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// What `-h` shows too; `--help` shows all.
const COMMON: [&str; 6] = ["epochs", "batch", "learning-rate", "augment", "validate", "qat"];

/// The heading of an option's group.
fn heading(name: &str) -> &'static str {
    match name {
        "epochs" | "batch" | "validate" | "split-seed" | "seed" | "qat" => "Recipe: the run",
        "learning-rate" | "schedule" | "warmup" | "step-every" | "step-factor" => "Recipe: the learning rate",
        "augment" | "mean" | "std" => "Recipe: the images",
        "teacher" | "distill-weight" | "temperature" => "Recipe: a teacher",
        _ => "Recipe: the steps",
    }
}

fn flag(key: &'static Key) -> Arg {
    let help: Vec<&str> = key.help.iter().map(|line| line.trim()).collect();
    let name = key.name();
    let default = match (key.default)() {
        _ if SUITED.contains(&name.as_str()) => "as suits network and data".to_owned(),
        default if default.is_empty() => "none".to_owned(),
        default => default,
    };
    let help = format!("{} [default: {default}]", help.join(" "));
    let arg = Arg::new(name.clone()).long(name.clone()).help(help).value_name(key.value);
    let arg = arg.help_heading(heading(&name)).hide_short_help(!COMMON.contains(&name.as_str()));
    if key.value == "BOOL" {
        let arg = arg.num_args(0..=1).default_missing_value("true");
        return arg.value_parser(ValueParser::new(key.parse));
    }
    match key.choices {
        [] => arg.value_parser(ValueParser::new(key.parse)),
        choices => arg.value_parser(PossibleValuesParser::new(choices).try_map(|word| (key.parse)(&word))),
    }
}
