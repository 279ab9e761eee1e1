//! The options of a recipe as flags, made from their table.

use clap::builder::{PossibleValuesParser, TypedValueParser, ValueParser};
use clap::{Arg, ArgMatches, Command, FromArgMatches};
use goldcrest_train::training::recipe::{KEYS, Key, RecipeOptions};

/// The flags of a recipe: one for each of [`KEYS`].
#[derive(Clone, Debug)]
pub struct RecipeArgs {
    /// What was given.
    pub options: RecipeOptions,
}

impl clap::Args for RecipeArgs {
    fn augment_args(command: Command) -> Command {
        command.args(KEYS.iter().map(|key| flag(key).help_heading("Recipe")))
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

fn flag(key: &'static Key) -> Arg {
    let help: Vec<&str> = key.help.iter().map(|line| line.trim()).collect();
    let default = match (key.default)() {
        default if default.is_empty() => "none".to_owned(),
        default => default,
    };
    let help = format!("{} [default: {default}]", help.join(" "));
    let arg = Arg::new(key.name()).long(key.name()).help(help).value_name(key.value);
    if (key.default)() == "false" {
        let arg = arg.num_args(0..=1).default_missing_value("true");
        return arg.value_parser(ValueParser::new(key.parse));
    }
    match key.choices {
        [] => arg.value_parser(ValueParser::new(key.parse)),
        choices => arg.value_parser(PossibleValuesParser::new(choices).try_map(|word| (key.parse)(&word))),
    }
}
