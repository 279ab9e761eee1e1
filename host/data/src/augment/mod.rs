//! Augmentation: random changes of training images that keep their class.
//!
//! One file per member of the family, all with the shape of [`Augment`]; a new one is a new file
//! and a line in `FAMILY`. They work on bytes, before normalization. [`Mix`] stands apart: it mixes the
//! finished images of a batch.

mod canvas;
mod crop;
mod cutout;
mod flip;
mod jitter;
mod mix;
mod rotate;

use std::{fmt, str::FromStr, sync::Arc};

pub use canvas::Canvas;
pub use crop::Crop;
pub use cutout::Cutout;
pub use flip::Flip;
pub use jitter::Jitter;
pub use mix::Mix;
pub use rotate::{Interpolation, Rotate};

use super::random::Random;

/// A random change of one image. Printed as it is written in a recipe.
pub trait Augment: fmt::Debug + fmt::Display + Send + Sync {
    /// Changes the image. The outcome depends on the image and on the random numbers only.
    fn apply(&self, canvas: &mut Canvas, random: &mut Random);
}

/// Makes a step from the number after its name, or says what numbers are right.
type Make = fn(Option<f32>) -> Result<Arc<dyn Augment>, &'static str>;

/// Name, what the number means, constructor.
const FAMILY: [(&str, &str, Make); 6] = [
    ("flip", "flip: mirror left and right, half of the time (or with the given probability)", flip::make),
    ("rotate", "rotate=DEGREES: turn by up to this angle either way, bilinear", rotate::make),
    ("rotate-nearest", "rotate-nearest=DEGREES: the same with the nearest pixel", rotate::make_nearest),
    ("crop", "crop=PIXELS: pad with black by so many pixels and crop back at a random place", crop::make),
    ("cutout", "cutout=PIXELS: gray out a square of this side at a random place", cutout::make),
    ("jitter", "jitter=SHARE: change brightness, contrast and saturation by up to this share", jitter::make),
];

/// The steps a training image goes through, in this order, and how images are mixed after them. Written as
/// `flip,rotate=15,crop=4,mixup=0.2`; the empty text and `none` change nothing.
#[derive(Clone, Debug, Default)]
pub struct AugmentRecipe {
    steps: Vec<Arc<dyn Augment>>,
    mix: Mix,
}

/// A text that is not a recipe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("augmentation `{step}`: {reason}; the steps are:\n{}", family())]
pub struct RecipeError {
    step: String,
    reason: &'static str,
}

fn family() -> String {
    let steps = FAMILY.iter().map(|(_, help, _)| help).chain(mix::FAMILY.iter().map(|(_, help)| help));
    steps.map(|help| format!("  {help}")).collect::<Vec<_>>().join("\n")
}

impl AugmentRecipe {
    /// The recipe with one more step at its end.
    #[must_use]
    pub fn with(mut self, step: impl Augment + 'static) -> Self {
        self.steps.push(Arc::new(step));
        self
    }

    /// The steps in order.
    pub fn steps(&self) -> &[Arc<dyn Augment>] {
        &self.steps
    }

    /// How the images of a batch are mixed.
    pub fn mix(&self) -> &Mix {
        &self.mix
    }

    /// Takes one image through all steps.
    pub fn apply(&self, canvas: &mut Canvas, random: &mut Random) {
        for step in &self.steps {
            step.apply(canvas, random);
        }
    }
}

impl FromStr for AugmentRecipe {
    type Err = RecipeError;

    fn from_str(text: &str) -> Result<Self, RecipeError> {
        let mut recipe = Self::default();
        for step in text.split(',').map(str::trim).filter(|step| !step.is_empty() && *step != "none") {
            let fail = |reason| RecipeError { step: step.to_owned(), reason };
            let (name, number) = match step.split_once('=') {
                None => (step, None),
                Some((name, number)) => {
                    let number: Option<f32> = number.trim().parse().ok();
                    (name.trim(), Some(number.ok_or_else(|| fail("no number after `=`"))?))
                }
            };
            if recipe.mix.set(name, number).map_err(fail)? {
                continue;
            }
            let known = FAMILY.iter().find(|(known, ..)| *known == name);
            let (_, _, make) = known.ok_or_else(|| fail("unknown step"))?;
            recipe.steps.push(make(number).map_err(fail)?);
        }
        Ok(recipe)
    }
}

impl fmt::Display for AugmentRecipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.steps.iter().map(ToString::to_string);
        let mix = (!self.mix.is_none()).then(|| self.mix.to_string());
        let steps: Vec<String> = steps.chain(mix).collect();
        f.write_str(if steps.is_empty() { "none" } else { "" })?;
        f.write_str(&steps.join(","))
    }
}

#[cfg(test)]
mod tests {
    use goldcrest_engine::shape::Shape;

    use super::*;

    #[test]
    fn text_round_trips() {
        for text in [
            "none",
            "flip",
            "flip=0.25,rotate=15,crop=4,cutout=8,jitter=0.2",
            "rotate-nearest=7.5",
            "flip,mixup=0.2,cutmix=1",
            "cutmix=0.5",
        ] {
            assert_eq!(text.parse::<AugmentRecipe>().unwrap().to_string(), text);
        }
        assert_eq!("mixup=0.2,flip".parse::<AugmentRecipe>().unwrap().to_string(), "flip,mixup=0.2");
        assert_eq!(" flip , crop = 2 ".parse::<AugmentRecipe>().unwrap().to_string(), "flip,crop=2");
        assert!("".parse::<AugmentRecipe>().unwrap().steps().is_empty());
        let built = AugmentRecipe::default().with(Flip::default()).with(Rotate::degrees(15.0));
        assert_eq!(built.to_string(), "flip,rotate=15");
    }

    #[test]
    fn refuses_what_is_no_step() {
        let bad = [
            "spin",
            "rotate",
            "rotate=",
            "rotate=x",
            "rotate=-1",
            "rotate=181",
            "rotate=nan",
            "flip=2",
            "crop=-1",
            "crop=1.5",
            "cutout=0",
            "jitter=1.5",
            "crop=inf",
            "jitter",
            "mixup",
            "mixup=0",
            "cutmix=2.5",
        ];
        for text in bad {
            let error = text.parse::<AugmentRecipe>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("augmentation `{text}`: ")) && error.contains("jitter=SHARE"),
                "{error}"
            );
        }
    }

    /// Every member must work on any shape, also where its parameters exceed the image.
    #[test]
    fn every_step_takes_every_shape() {
        for (name, ..) in FAMILY {
            for number in [0.5, 1.0, 90.0, 1000.0] {
                let Ok(recipe) = format!("{name}={number}").parse::<AugmentRecipe>() else { continue };
                for shape in
                    [Shape::new(1, 1, 1), Shape::new(3, 5, 1), Shape::new(4, 2, 3), Shape::new(32, 32, 3)]
                {
                    let image: Vec<u8> = (0..shape.len()).map(|v| v as u8).collect();
                    let mut canvas = Canvas::new(shape);
                    canvas.load(&image);
                    let mut random = Random::new(5);
                    (0..50).for_each(|_| recipe.apply(&mut canvas, &mut random));
                    assert_eq!(canvas.pixels().len(), image.len());
                }
            }
        }
    }
}
