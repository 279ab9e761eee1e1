//! Why a model cannot be packed.

use alloc::{borrow::ToOwned, string::String};

use super::lower::Step;
use crate::check::GraphError;
use goldcrest_engine::ImageError;

/// Why [`pack`](super::pack) refuses a model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The model breaks a rule of its graph.
    #[error("the model cannot be packed: {0}")]
    Graph(#[from] GraphError),
    /// A number of a layer does not fit its field in the image.
    #[error("layer `{layer}`: its {what} is too large for the device image; use smaller tensors")]
    Field {
        /// The layer.
        layer: String,
        /// Which number.
        what: &'static str,
    },
    /// No kernel computes the layer.
    #[error("layer `{layer}`: no kernel of family {family} computes it; pack for another family")]
    Kernel {
        /// The layer.
        layer: String,
        /// The family asked for.
        family: goldcrest_engine::kernels::Family,
    },
    /// The arena does not fit the budget.
    #[error(
        "layer `{layer}`: the arena needs {needed} bytes with the smallest kernels, {missing} more than the \
         budget of {budget}; raise the RAM budget or use a smaller model"
    )]
    Ram {
        /// The layer at which most memory is needed.
        layer: String,
        /// Bytes needed.
        needed: usize,
        /// Bytes allowed.
        budget: usize,
        /// The difference.
        missing: usize,
    },
    /// The image does not fit the budget.
    #[error(
        "the image needs {needed} bytes with the smallest kernels, {missing} more than the budget of \
         {budget}, most of them for layer `{layer}`; raise the flash budget or use a smaller model"
    )]
    Flash {
        /// The layer with the most constants.
        layer: String,
        /// Bytes needed.
        needed: usize,
        /// Bytes allowed.
        budget: usize,
        /// The difference.
        missing: usize,
    },
    /// A golden picture of another size than the network's input.
    #[error("golden picture {index}: {found} bytes, but the model takes {expected}; resize it")]
    Golden {
        /// Which, counted from 0.
        index: usize,
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// The image just written does not pass its own check: a defect of the packer.
    #[error("the packed image is not valid, which is a defect of the packer: {0}")]
    Image(#[from] ImageError),
}

impl PackError {
    pub(super) fn flash(needed: usize, budget: usize, steps: &[Step]) -> Self {
        let largest = steps.iter().max_by_key(|step| step.constant_bytes());
        let layer = largest.map_or("", |step| &step.name).to_owned();
        Self::Flash { layer, needed, budget, missing: needed - budget }
    }
}
