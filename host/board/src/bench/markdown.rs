//! Measurements as tables of a Markdown document.

use std::fmt::Write;

use super::{Measurement, peer};

/// What stands around the tables in a document that has other text too.
const BEGIN: &str = "<!-- written by `goldcrest bench` -->";
const END: &str = "<!-- end of what `goldcrest bench` wrote -->";

/// A document with the tables: in the place between the marks where `document` has them, else at its end.
pub fn insert(document: &str, measurements: &[Measurement]) -> String {
    let tables = format!("{BEGIN}\n\n{}\n{END}", tables(measurements));
    let place = document.find(BEGIN).zip(document.find(END)).filter(|(begin, end)| begin < end);
    match place {
        Some((begin, end)) => format!("{}{tables}{}", &document[..begin], &document[end + END.len()..]),
        None if document.is_empty() => tables + "\n",
        None => format!("{}\n\n{tables}\n", document.trim_end()),
    }
}

/// One table of everything, and one per model with its layers.
pub fn tables(measurements: &[Measurement]) -> String {
    let mut text = summary(measurements);
    let mut models: Vec<&str> = Vec::new();
    for measured in measurements {
        if !models.contains(&measured.model.as_str()) {
            models.push(&measured.model);
            text += "\n";
            let same: Vec<_> = measurements.iter().filter(|other| other.model == measured.model).collect();
            text += &layers(&same);
        }
    }
    text
}

fn summary(measurements: &[Measurement]) -> String {
    let mut text = String::from(
        "| board | core | kernels | model | instructions | per MAC | CMSIS-NN | of it | modelled cycles | \
         arena | arena, `--optimize ram` | stack | code | code, `--optimize flash` |\n",
    );
    text += &rule(14);
    for measured in measurements {
        let peer = peer::find(measured.core, measured.macs);
        let ratio = peer.map(|peer| measured.instructions as f64 / peer.instructions as f64);
        let stack = match measured.inference_stack_bytes {
            Some(alone) => format!("{} ({alone})", number(measured.stack_bytes)),
            None => number(measured.stack_bytes),
        };
        row(
            &mut text,
            &[
                measured.board.into(),
                measured.core.into(),
                measured.kernels.clone(),
                measured.model.clone(),
                number(measured.instructions),
                rate(measured.instructions, measured.macs),
                peer.map(|peer| number(peer.instructions)).unwrap_or_default(),
                ratio.map(|ratio| format!("{:.0} %", ratio * 100.0)).unwrap_or_default(),
                measured.cycles.map(number).unwrap_or_default(),
                number(measured.arena_bytes),
                number(measured.least_arena_bytes),
                stack,
                measured.code_bytes.map(number).unwrap_or_default(),
                measured.least_code_bytes.map(number).unwrap_or_default(),
            ],
        );
    }
    text
}

/// The layers of one model, a column per board.
fn layers(measurements: &[&Measurement]) -> String {
    let Some(first) = measurements.first() else { return String::new() };
    let mut text =
        format!("Instructions per layer of {}, in brackets per multiply-accumulate:\n\n", first.model);
    let boards = measurements.iter().map(|measured| measured.board.to_owned());
    let heading = ["layer", "shape", "MACs"].map(str::to_owned).into_iter().chain(boards);
    row(&mut text, &heading.collect::<Vec<_>>());
    text += &rule(3 + measurements.len());
    for layer in &first.layers {
        let mut cells = vec![layer.name.clone(), layer.shape.clone(), number(layer.macs)];
        for measured in measurements {
            let here = measured.layers.iter().find(|here| here.name == layer.name);
            cells.push(here.map_or_else(String::new, |here| match here.macs {
                0 => number(here.instructions),
                macs => format!("{} ({})", number(here.instructions), rate(here.instructions, macs)),
            }));
        }
        row(&mut text, &cells);
    }
    text
}

fn row(text: &mut String, cells: &[String]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn rule(columns: usize) -> String {
    format!("|{}\n", " --- |".repeat(columns))
}

fn rate(instructions: u64, macs: u64) -> String {
    format!("{:.2}", instructions as f64 / macs.max(1) as f64)
}

/// Digits in groups of three.
fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_groups() {
        assert_eq!([7, 999, 1000, 12_501_632].map(number), ["7", "999", "1,000", "12,501,632"]);
    }

    #[test]
    fn tables_replace_what_stood_between_the_marks() {
        let once = insert("# Title\n", &[]);
        assert!(once.starts_with("# Title\n\n<!--"), "{once}");
        assert_eq!(insert(&once, &[]), once);
        let more = once.replace("| board", "| OLD") + "after\n";
        assert_eq!(insert(&more, &[]), once + "after\n");
    }
}
