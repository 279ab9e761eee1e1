//! `goldcrest data`: what is in a data set, before anything is trained on it.

use std::process::ExitCode;

use goldcrest_data::inspect::{Copies, Inspection, Near};
use goldcrest_data::{Options, Spec};
use serde_json::{Value, json};

use super::Output;
use super::table::Table;

/// Look at a data set: counts, sizes, colours, broken, equal, nearly equal and constant pictures
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  goldcrest data photos/
  goldcrest data photos.tar.gz --json
Equal pictures are those with the same pixels, whatever their files are called. Alike are those that a
perceptual hash and a comparison of small copies find so: one scene twice, one file saved or cropped twice.
Exit code 0: nothing found that spoils a result. 1: broken pictures, test pictures that are training pictures
too or, from 1 % on, look like one, pictures in two classes, classes without test pictures, or many empty \
pictures. 2: there is no data set.")]
pub struct Args {
    /// Data set: a folder, a .tar, .tar.gz or .zip, CIFAR-10's binary files, `cifar10` or `glyphs`
    #[arg(value_name = "SPEC")]
    pub data: Spec,
}

/// Rows of a list that are shown.
const SHOWN: usize = 20;

/// Runs the subcommand.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    super::data::remark_on_name(&args.data);
    let inspection =
        Inspection::of(&args.data, &Options { progress: super::progress::data, ..Options::default() })?;
    let problems = inspection.problems();
    output.print(&to_json(&inspection, &problems), || to_text(&inspection, &problems));
    Ok(ExitCode::from(u8::from(!problems.is_empty())))
}

fn to_json(inspection: &Inspection, problems: &[String]) -> Value {
    let Inspection { name, classes, counts: [train, test], findings, broken, constant, copies, near, .. } =
        inspection;
    let classes = classes.iter().zip(train.iter().zip(test));
    let classes = classes.map(|(name, (train, test))| json!({ "name": name, "train": train, "test": test }));
    let copy = |copies: &Copies| {
        json!({
            "pictures": copies.pictures, "test": copies.tests, "across": copies.are_across(),
            "one_class": copies.agree,
        })
    };
    let alike = |near: &Near| {
        json!({
            "picture": near.picture, "twin": near.twin, "across": near.is_across, "one_class": near.agree,
        })
    };
    let broken = broken.iter().map(|(name, reason)| json!({ "picture": name, "reason": reason }));
    json!({
        "name": name,
        "train": train.iter().sum::<usize>(),
        "test": test.iter().sum::<usize>(),
        "classes": classes.collect::<Vec<_>>(),
        "test_set_aside": inspection.invented_test,
        "sizes": findings.sizes,
        "gray": findings.gray.count,
        "coloured": findings.coloured.count,
        "transparent": findings.transparent.count,
        "ignored": findings.ignored,
        "broken": broken.collect::<Vec<_>>(),
        "constant": constant,
        "copies": copies.iter().map(copy).collect::<Vec<_>>(),
        "near": near.iter().map(alike).collect::<Vec<_>>(),
        "near_across": inspection.near_count(true),
        "problems": problems,
        "warnings": inspection.warnings(),
    })
}

fn to_text(inspection: &Inspection, problems: &[String]) -> String {
    let Inspection { name, classes, counts: [train, test], findings, broken, copies, .. } = inspection;
    let mut table = Table::new(&["class", "training", "test"]);
    let mut rows: Vec<_> = classes.iter().zip(train.iter().zip(test)).collect();
    let mut note = String::new();
    if rows.len() > SHOWN {
        rows.sort_by_key(|(_, (train, _))| **train);
        rows.truncate(SHOWN);
        note = format!("the smallest {SHOWN} of {} classes; --json has all\n", classes.len());
    }
    for (class, (train, test)) in rows {
        table.row([class.clone(), train.to_string(), test.to_string()]);
    }
    let mut text = format!("{table}{note}\n{name}: ");
    let (train, test): (usize, usize) = (train.iter().sum(), test.iter().sum());
    text += &format!("{train} training and {test} test pictures of {} classes", classes.len());
    if inspection.invented_test {
        text += " (no test folder: a fifth of each class is set aside)";
    }
    if let Some([[rows, columns], [most_rows, most_columns]]) = findings.sizes {
        text += &match [rows, columns] == [most_rows, most_columns] {
            true => format!(", all {rows}x{columns}"),
            false => format!(", {rows}x{columns} to {most_rows}x{most_columns}; train takes --resize"),
        };
    }
    text += "\n";
    for (name, reason) in broken.iter().take(SHOWN) {
        text += &format!("broken: {name}: {reason}\n");
    }
    for copies in copies.iter().filter(|copies| copies.are_across() || !copies.agree).take(SHOWN) {
        text += &format!("equal: {}\n", copies.pictures.join(", "));
    }
    for near in inspection.near.iter().filter(|near| near.is_across).take(SHOWN) {
        text += &format!("alike: {} and {}\n", near.picture, near.twin);
    }
    for warning in inspection.warnings() {
        text += &format!("warning: {warning}\n");
    }
    for problem in problems {
        text += &format!("problem: {problem}\n");
    }
    if problems.is_empty() {
        text += "nothing found that spoils a result\n";
    }
    text
}
