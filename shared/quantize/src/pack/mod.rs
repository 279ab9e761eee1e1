//! The packer: from an int8 model to a device image.
//!
//! Each node becomes a layer (`lower`) with a kernel of the chosen family and constants in that kernel's
//! order; the planner gives every activation its place (`layout`); where budgets forbid the fastest
//! kernels, smaller ones are chosen (`choose`); [`write`] lays the bytes out as `docs/device-image.md`
//! specifies.
//!
//! What the packer knows of kernels is in their [`packing`](goldcrest_engine::kernels::packing).

mod choose;
mod error;
mod layout;
mod lower;
#[cfg(test)]
mod tests;
mod write;

use alloc::{string::String, vec, vec::Vec};

pub use error::PackError;
use layout::Layout;
use lower::Step;
pub(crate) use lower::{Outline, channel, is_wide};

use super::check::check;
use super::graph::{QuantizedModel, TensorId};
use super::planner::Block;
use goldcrest_engine::kernels::Family;
use goldcrest_engine::kernels::packing::Preferences;
pub use goldcrest_engine::kernels::packing::{Optimize, Winograd};
use goldcrest_engine::{Engine, ImageBuf};

/// How to pack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackOptions {
    /// The kernel family of the core that will run the image.
    pub family: Family,
    /// What to spend the core's resources on.
    pub optimize: Optimize,
    /// Pictures (u8, HWC) to store with the logits they give, for the device's self-test.
    pub golden: Vec<Vec<u8>>,
    /// The most arena bytes allowed.
    pub ram_budget: Option<usize>,
    /// The most image bytes allowed.
    pub flash_budget: Option<usize>,
    /// Whether Winograd's kernel may run convolutions.
    pub winograd: Winograd,
}

impl PackOptions {
    /// What kernels are chosen by.
    fn preferences(&self) -> Preferences {
        Preferences { family: self.family, optimize: self.optimize, winograd: self.winograd }
    }
}

/// A packed model.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    /// The device image.
    pub image: ImageBuf,
    /// What is in it, layer by layer; the indices are those of
    /// [`Engine::run_traced`](goldcrest_engine::Engine::run_traced).
    pub layers: Vec<PackedLayer>,
    /// Bytes of arena that inference needs.
    pub arena_bytes: usize,
    /// No plan of these layers needs less.
    pub arena_lower_bound: usize,
    /// Bytes of weights and channel constants.
    pub weight_bytes: usize,
    /// Every block of the arena.
    pub memory: Vec<MemoryBlock>,
}

impl Packed {
    /// The layer with the most multiply-accumulates, which the engine computes in one step.
    pub fn longest_step(&self) -> Option<&PackedLayer> {
        self.layers.iter().max_by_key(|layer| (layer.macs, layer.outputs))
    }
}

/// One layer of a packed model.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedLayer {
    /// Name of the node it comes from.
    pub name: String,
    /// The tensor it writes.
    pub output: TensorId,
    /// Whether it writes only a part of that tensor (all but the last part of a concatenation).
    pub partial: bool,
    /// Name of its kernel.
    pub kernel: &'static str,
    /// Multiply-accumulates, counted without padding.
    pub macs: u64,
    /// Values it writes.
    pub outputs: usize,
    /// Bytes of weights and channel constants.
    pub weight_bytes: usize,
    /// Bytes of scratch memory.
    pub scratch_bytes: usize,
}

/// A block of the arena and when it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryBlock {
    /// The block, its size and its first and last layer.
    pub block: Block,
    /// Its first byte.
    pub offset: usize,
}

/// Packs a model.
///
/// # Errors
/// When the model breaks a rule of its graph, does not fit the format, or does not fit a budget.
pub fn pack(model: &QuantizedModel, options: &PackOptions) -> Result<Packed, PackError> {
    check(model)?;
    let Layout { steps, blocks, plan, input, output } = choose::layout(model, options)?;
    let arena_bytes = plan.peak.next_multiple_of(goldcrest_engine::packer::ALIGNMENT);
    let contents =
        write::Contents { model, family: options.family, steps: &steps, arena_bytes, input, output };
    let golden = expected_logits(&contents.write(&[])?, &options.golden)?;
    let image = ImageBuf::new_checked(&contents.write(&golden)?)?;
    let memory = blocks.into_iter().zip(&plan.offsets);
    Ok(Packed {
        image,
        weight_bytes: steps.iter().map(Step::constant_bytes).sum(),
        layers: steps.into_iter().map(Step::summary).collect(),
        arena_bytes,
        arena_lower_bound: plan.lower_bound,
        memory: memory.map(|(block, &offset)| MemoryBlock { block, offset }).collect(),
    })
}

/// The logits that the image itself gives for the golden pictures.
fn expected_logits(bytes: &[u8], pictures: &[Vec<u8>]) -> Result<Vec<(Vec<u8>, Vec<i8>)>, PackError> {
    let image = ImageBuf::new_checked(bytes)?;
    let image = image.image();
    let mut arena = vec![0; image.arena_words()];
    let mut run = |(index, pixels): (usize, &Vec<u8>)| {
        let mut engine = Engine::new(&image, &mut arena).map_err(|_| PackError::Golden {
            index,
            found: 0,
            expected: 0,
        })?;
        engine.load_pixels(pixels).map_err(|error| PackError::Golden {
            index,
            found: error.found,
            expected: error.expected,
        })?;
        Ok((pixels.clone(), engine.run().to_vec()))
    };
    pictures.iter().enumerate().map(&mut run).collect()
}
