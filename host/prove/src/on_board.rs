//! The model on a board, as the host knows it from the user's file.

use std::path::PathBuf;

use goldcrest_board::client::{BoardInfo, Classification};
use goldcrest_board::payload::Payload;
use goldcrest_board::table;
use goldcrest_engine::shape::Shape;
use goldcrest_engine::{Engine, WrongPixelCount};
use goldcrest_link::ModelInfo;
use goldcrest_quantize::pack::PackError;

use crate::board_model::BoardModel;
use crate::evaluate::softmax;

/// Why a file is not the model on a board.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnBoardError {
    /// It cannot be packed.
    #[error("packing the model: {0}")]
    Pack(#[from] PackError),
    /// Another input, or another number of classes.
    #[error(
        "{}: input {found} and {classes} classes, but the model on the board takes {expected} and has \
         {on_board} classes; it is another model",
        path.display()
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// Its input.
        found: Shape,
        /// Its classes.
        classes: usize,
        /// The input of the board's model.
        expected: Shape,
        /// Its classes.
        on_board: u16,
    },
    /// Another device image than the board's.
    #[error(
        "the board runs device image {expected:08x}, but {} is device image {found:08x}. Its names may be \
         another model's: give the board's own .gci, or --insist",
        path.display()
    )]
    Image {
        /// The file.
        path: PathBuf,
        /// Its checksum.
        found: u32,
        /// The checksum of the board's.
        expected: u32,
    },
    /// A model that gives the board's device image in no way that is tried.
    #[error(
        "the board runs device image {expected:08x}, but {} gives another, packed in every way that `flash` \
         and \
         `pack` do without budgets. Its names may be another model's: give the board's own .gci, or --insist",
        path.display()
    )]
    Packed {
        /// The file.
        path: PathBuf,
        /// The checksum of the board's device image.
        expected: u32,
    },
}

/// The model on a board: its names, its probabilities, and what it must answer.
#[derive(Clone, Debug)]
pub struct OnBoard {
    payload: Payload,
    labels: Vec<String>,
}

impl OnBoard {
    /// The board's model from a file. A file that does not give the board's device image is refused, unless
    /// `insist` takes one of the same input and number of classes.
    ///
    /// # Errors
    /// When it is another model, or cannot be packed.
    pub fn identify(
        model: &BoardModel,
        board: &BoardInfo,
        on_board: &ModelInfo,
        insist: bool,
    ) -> Result<Self, OnBoardError> {
        let family = table::find(&board.board).ok().map(|board| board.family);
        let payload = model.pack_like(on_board.crc, family)?;
        let image = payload.image.image();
        let [height, width, channels] = on_board.input.map(usize::from);
        let (found, expected) = (image.input_shape(), Shape::new(height, width, channels));
        let path = || model.path.clone();
        if (found, image.classes()) != (expected, on_board.classes.into()) {
            let (classes, on_board) = (image.classes(), on_board.classes);
            return Err(OnBoardError::Shape { path: path(), found, classes, expected, on_board });
        }
        let (found, expected) = (image.crc(), on_board.crc);
        if found != expected && !insist {
            return Err(match model.is_image() {
                true => OnBoardError::Image { path: path(), found, expected },
                false => OnBoardError::Packed { path: path(), expected },
            });
        }
        let labels = image.labels().map(str::to_string).collect();
        Ok(Self { labels, payload })
    }

    /// A class's name, where it has one.
    pub fn label(&self, class: usize) -> Option<&str> {
        self.labels.get(class).map(String::as_str).filter(|label| !label.is_empty())
    }

    /// Softmax over the logits' real values, for one class.
    pub fn probability(&self, logits: &[i8], class: usize) -> f64 {
        let image = self.payload.image.image();
        let (scale, zero_point) = (image.output_scale(), f32::from(image.output_zero_point()));
        let real: Vec<f32> = logits.iter().map(|&logit| scale * (f32::from(logit) - zero_point)).collect();
        softmax(&real).get(class).copied().unwrap_or(0.0)
    }

    /// How many logits of the board are not those of the engine on the host. `inputs` are pictures (u8, HWC),
    /// one per answer.
    ///
    /// # Errors
    /// When a picture has another size than the model's input.
    pub fn mismatches(&self, inputs: &[Vec<u8>], answers: &[Classification]) -> Result<u64, WrongPixelCount> {
        let image = self.payload.image.image();
        let mut arena = vec![0; image.arena_words()];
        let mut engine = Engine::new(&image, &mut arena).expect("an arena of the words it asked for");
        let mut mismatches = 0;
        for (input, answer) in inputs.iter().zip(answers) {
            engine.load_pixels(input)?;
            mismatches += differences(&answer.logits, engine.run());
        }
        Ok(mismatches)
    }
}

/// Values that differ; a missing one does.
pub(crate) fn differences(found: &[i8], expected: &[i8]) -> u64 {
    let differing = found.iter().zip(expected).filter(|(found, expected)| found != expected).count();
    (differing + found.len().abs_diff(expected.len())) as u64
}

#[cfg(test)]
mod tests {
    use super::differences;

    #[test]
    fn every_differing_or_missing_value_counts() {
        assert_eq!(differences(&[1, 2, 3], &[1, 2, 3]), 0);
        assert_eq!(differences(&[1, 2, 3], &[0, 2, 4]), 2);
        assert_eq!(differences(&[1], &[1, 2, 3]), 2);
        assert_eq!(differences(&[], &[]), 0);
    }
}
