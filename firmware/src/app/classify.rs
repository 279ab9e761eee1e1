//! From a picture to logits: what the application and the programs without a host share.

use goldcrest_engine::answer::largest;
use goldcrest_engine::{ArenaTooSmall, Engine};
use goldcrest_link::message::ModelFault;

use super::model;
use crate::source::ImageSource;

/// A model that classifies the pictures of a source, one after another.
pub struct Classifier<'m> {
    engine: Engine<'m>,
}

impl<'m> Classifier<'m> {
    /// The model in a slot, with RAM for its activations.
    ///
    /// # Errors
    /// What is wrong with the model, or that it takes more RAM.
    pub fn new(slot: &'m [u8], arena: &'m mut [u32]) -> Result<Self, ModelFault> {
        let image = model::check(slot, arena)?;
        let fault = |small: ArenaTooSmall| ModelFault::Arena { needed: small.expected as u32 };
        Ok(Self { engine: Engine::new(&image, arena).map_err(fault)? })
    }

    /// Class and logits of the source's next picture.
    ///
    /// # Errors
    /// Why the source has no picture.
    pub fn next<S: ImageSource>(&mut self, source: &mut S) -> Result<(u16, &[i8]), S::Error> {
        load(&mut self.engine, source)?;
        let logits = self.engine.run();
        Ok((largest(logits) as u16, logits))
    }
}

/// Puts a source's next picture into a network's input.
pub(super) fn load<S: ImageSource>(engine: &mut Engine, source: &mut S) -> Result<(), S::Error> {
    let (rule, to) = (engine.image().preprocessing(), engine.image().input_shape());
    source.fill(&rule, to, engine.input_u8())?;
    engine.prepare();
    Ok(())
}
