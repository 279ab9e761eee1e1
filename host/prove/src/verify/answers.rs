//! What another program answered, say a user's own firmware: the proof for a build that is not ours.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use goldcrest_data::Split;
use goldcrest_engine::Engine;
use goldcrest_quantize::graph::QuantizedModel;
use goldcrest_quantize::pack::{PackOptions, pack};

use super::runner::RunnerError;

/// What a line with an answer begins with.
const MARK: &str = "logits";

/// A program's logits, by the number of the image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    logits: BTreeMap<usize, Vec<i8>>,
}

/// Why lines are no answers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswersError {
    /// They cannot be read.
    #[error("the answers cannot be read: {0}")]
    Read(#[from] io::Error),
    /// A line begins as an answer and goes on as none.
    #[error(
        "line {line}, {text:?}: {problem}; an answer is `logits INDEX: L0 L1 ...`, each logit from -128 to \
         127"
    )]
    Line {
        /// Its number, from 1.
        line: usize,
        /// The line.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No line is an answer.
    #[error("none of {lines} lines is an answer; an answer is `logits INDEX: L0 L1 ...`, one line per image")]
    None {
        /// Lines that were read.
        lines: usize,
    },
    /// An answer to an image that is not there.
    #[error(
        "the program answers to image {found}, but there are {images}, counted from 0; give the same --count"
    )]
    Image {
        /// The number of the image.
        found: usize,
        /// How many there are.
        images: usize,
    },
    /// The engine failed.
    #[error(transparent)]
    Runner(#[from] RunnerError),
}

impl Answers {
    /// Reads what a program prints: `logits INDEX: L0 L1 ...`, one line per image. Other lines are left out,
    /// as are those before the mark in a line, where a logger puts a time.
    ///
    /// # Errors
    /// When an answer cannot be read, is given twice, or there is none.
    pub fn read(from: impl BufRead) -> Result<Self, AnswersError> {
        let (mut answers, mut lines) = (Self::default(), 0);
        for line in from.split(b'\n') {
            let line = line?;
            lines += 1;
            let text = String::from_utf8_lossy(&line);
            let Some((_, answer)) = text.split_once(MARK).filter(|(_, rest)| rest.starts_with(' ')) else {
                continue;
            };
            let wrong = |problem: &str| AnswersError::Line {
                line: lines,
                text: text.trim_end().to_string(),
                problem: problem.to_string(),
            };
            let (index, values) = answer.split_once(':').ok_or_else(|| wrong("no colon"))?;
            let index = index.trim().parse().map_err(|_| wrong("no number of an image"))?;
            let values = values.split([' ', ',', '\t', '\r']).filter(|value| !value.is_empty());
            let logits =
                values.map(|value| value.parse().map_err(|_| wrong(&format!("{value:?} is no logit"))));
            if answers.logits.insert(index, logits.collect::<Result<_, _>>()?).is_some() {
                return Err(wrong("a second answer to the same image"));
            }
        }
        match answers.logits.is_empty() {
            true => Err(AnswersError::None { lines }),
            false => Ok(answers),
        }
    }

    /// Compares the answers with what the model gives.
    ///
    /// # Errors
    /// When there is an answer to an image that is not there, or the model cannot be packed.
    pub fn compare(&self, model: &QuantizedModel, images: &Split) -> Result<Outcome, AnswersError> {
        if let Some((&found, _)) = self.logits.last_key_value().filter(|&(&index, _)| index >= images.len()) {
            return Err(AnswersError::Image { found, images: images.len() });
        }
        let failure = |error: &dyn std::fmt::Display| RunnerError::Other {
            runner: "engine",
            message: error.to_string(),
        };
        let packed = pack(model, &PackOptions::default()).map_err(|error| failure(&error))?;
        let image = packed.image.image();
        let mut arena = vec![0; image.arena_words()];
        let mut engine = Engine::new(&image, &mut arena).map_err(|error| failure(&error))?;
        let mut outcome = Outcome { images: images.len(), ..Outcome::default() };
        for index in 0..images.len() {
            engine.load_pixels(images.image(index)).map_err(|error| failure(&error))?;
            let expected = engine.run();
            outcome.values += expected.len() as u64;
            let Some(found) = self.logits.get(&index) else {
                outcome.missing.push(index);
                continue;
            };
            let differing = crate::on_board::differences(found, expected);
            outcome.mismatches += differing;
            if differing > 0 && outcome.first.is_none() {
                outcome.first = Some((index, found.clone(), expected.to_vec()));
            }
        }
        Ok(outcome)
    }
}

/// How a program's answers compare with a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Images that there are.
    pub images: usize,
    /// Logits that there are.
    pub values: u64,
    /// Logits that differ, among the answers.
    pub mismatches: u64,
    /// Images without an answer.
    pub missing: Vec<usize>,
    /// The first image that differs: its number, the program's logits, the model's.
    pub first: Option<(usize, Vec<i8>, Vec<i8>)>,
}

impl Outcome {
    /// Whether every image has an answer, and it is the model's.
    pub fn is_equal(&self) -> bool {
        self.mismatches == 0 && self.missing.is_empty()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { images, values, mismatches, missing, first } = self;
        write!(f, "the program's answers: {images} images, {mismatches} of {values} logits differ")?;
        if let [first, ..] = missing[..] {
            write!(f, "; {} images have no answer, the first is {first}", missing.len())?;
        }
        match first {
            Some((index, found, expected)) => {
                write!(f, "; the first is image {index}: found {found:?}, expected {expected:?}")
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_stand_among_other_lines() {
        let text = "boot\n[12:00] logits 1: -3, 127\r\nlogits 0: 5 -128\nlogitsx 9: 1\n";
        let answers = Answers::read(text.as_bytes()).unwrap();
        assert_eq!(answers.logits, BTreeMap::from([(0, vec![5, -128]), (1, vec![-3, 127])]));
    }

    #[test]
    fn what_is_no_answer_is_named() {
        for (text, says) in [
            ("hello\n", "none of 1 lines"),
            ("a\nlogits 0 1 2\n", "line 2"),
            ("logits x: 1\n", "no number of an image"),
            ("logits 0: 1 128\n", "\"128\" is no logit"),
            ("logits 0: 1\nlogits 0: 1\n", "a second answer"),
        ] {
            let message = Answers::read(text.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(says), "{message}");
        }
    }
}
