//! Settings found by trying, before a model is quantized with them.

use goldcrest_data::Split;
use goldcrest_quantize::FloatGraph;
use goldcrest_quantize::graph::ModelInfo;

use super::pipeline::check_images;
use super::{Budget, FourBits, Parts, PipelineError, Settings, Trial, auto};

/// What is searched for, on which images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// Range method and strength of equalization.
    pub settings: bool,
    /// The layers that can have weights of four bits.
    pub int4: bool,
    /// Calibration images, drawn from the training images.
    pub images: usize,
    /// Seed of the draw.
    pub seed: u64,
}

/// What a search came to.
#[derive(Clone, Debug)]
pub struct Found {
    /// The best settings.
    pub settings: Settings,
    /// All that were tried for range and equalization, the best first.
    pub trials: Vec<Trial>,
    /// The search for layers of four bits.
    pub four_bits: Option<FourBits>,
    /// Images that judged, which calibration did not see; none where nothing was searched for.
    pub held_out: Option<usize>,
}

impl Search {
    /// Tries settings from `start` on, on training images that calibration does not see. `tried` is told of
    /// each.
    ///
    /// # Errors
    /// When there are too few images, or the model cannot be quantized or run.
    pub fn run(
        self,
        graph: &FloatGraph,
        info: &ModelInfo,
        train: &Split,
        start: Settings,
        tried: &dyn Fn(&Trial),
    ) -> Result<Found, PipelineError> {
        let mut found = Found { settings: start, trials: Vec::new(), four_bits: None, held_out: None };
        if !self.settings && !self.int4 {
            return Ok(found);
        }
        let parts = Parts::draw(train, self.images, self.seed);
        check_images(graph, &parts.fit)?;
        found.held_out = Some(parts.held.len());
        if self.settings {
            found.trials = auto::choose(graph, info, &parts, &found.settings, tried)?;
            found.settings.clone_from(&found.trials[0].settings);
        }
        if self.int4 {
            let four_bits =
                auto::choose_int4(graph, info, &parts, &found.settings, Budget::default(), tried)?;
            found.settings.int4.clone_from(&four_bits.layers);
            found.four_bits = Some(four_bits);
        }
        Ok(found)
    }
}
