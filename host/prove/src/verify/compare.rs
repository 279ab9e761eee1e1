//! Every value of every layer of every image, by every runner.

use std::sync::Mutex;

use goldcrest_engine::shape::Shape;
use goldcrest_quantize::graph::{QuantizedModel, QuantizedOp};
use goldcrest_quantize::reference::{Output, run};
use rayon::prelude::*;

use super::runner::{Runner, RunnerError, checked_layers};

/// Images that a thread takes at once.
const CHUNK: usize = 16;

/// Why a comparison could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// One runner compares to nothing.
    #[error("comparing takes two runners or more, found {0}")]
    Runners(usize),
    /// A runner broke down.
    #[error(transparent)]
    Runner(#[from] RunnerError),
}

/// A runner and how many of the images it computes: the slow ones need not see all.
#[derive(Clone, Copy)]
pub struct Participant<'a> {
    /// The runner.
    pub runner: &'a dyn Runner,
    /// It computes the images before this one.
    pub images: usize,
}

impl<'a> Participant<'a> {
    /// A runner that computes all images.
    pub fn all(runner: &'a dyn Runner) -> Self {
        Self { runner, images: usize::MAX }
    }
}

/// The result of comparing runners.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Images compared.
    pub images: usize,
    /// The runners, with how many images each computed; all are compared with the first.
    pub references: Vec<(&'static str, usize)>,
    /// One per node of the graph.
    pub layers: Vec<LayerComparison>,
    /// The first difference in the order of images, then layers.
    pub first: Option<Difference>,
}

/// The comparison of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerComparison {
    /// The layer's name.
    pub name: String,
    /// Values of the layer over all images, each once however many runners computed it.
    pub values: u64,
    /// Values on which two runners differ, over all pairs with the first.
    pub mismatches: u64,
}

/// One value on which two runners differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Index of the image.
    pub image: usize,
    /// Name of the layer.
    pub layer: String,
    /// Row, column, channel.
    pub position: [usize; 3],
    /// The runners and what each computed.
    pub found: [(&'static str, i8); 2],
    /// What the specification computes from the layer's inputs as the specification has them.
    pub expected: i8,
    /// The integer before requantization, its multiplier in units of `2^-16` and the zero point added
    /// after it, where the layer has them.
    pub behind: Option<(i64, u32, i8)>,
}

impl Comparison {
    /// Values compared, over all layers.
    pub fn values(&self) -> u64 {
        self.layers.iter().map(|layer| layer.values).sum()
    }

    /// Values that differ, over all layers.
    pub fn mismatches(&self) -> u64 {
        self.layers.iter().map(|layer| layer.mismatches).sum()
    }
}

/// Runs the images through all runners, in parallel, and compares every value with the first runner's,
/// which computes all images.
/// `image` makes the int8 input (HWC) of an image; `done` is told how many images more are finished.
///
/// # Errors
/// When there are fewer than two runners, or one breaks down.
pub fn compare(
    model: &QuantizedModel,
    participants: &[Participant<'_>],
    images: usize,
    image: &(dyn Fn(usize) -> Vec<i8> + Sync),
    done: &(dyn Fn(usize) + Sync),
) -> Result<Comparison, VerifyError> {
    let graph = &model.graph;
    let Some((first, others)) = participants.split_first().filter(|(_, others)| !others.is_empty()) else {
        return Err(VerifyError::Runners(participants.len()));
    };
    let first = first.runner;
    let totals = Mutex::new((vec![0u64; graph.nodes.len()], None::<Place>));
    let chunks: Vec<usize> = (0..images).step_by(CHUNK).collect();
    chunks.into_par_iter().try_for_each(|start| -> Result<(), VerifyError> {
        let count = CHUNK.min(images - start);
        let inputs: Vec<i8> = (start..start + count).flat_map(image).collect();
        let size = graph.tensor(graph.input).shape.len();
        let expected = checked_layers(first, graph, &inputs)?;
        for Participant { runner: other, images } in others.iter().filter(|other| other.images > start) {
            let inputs = &inputs[..count.min(images - start) * size];
            let found = checked_layers(*other, graph, inputs)?;
            for (layer, (a, b)) in expected.iter().zip(&found).enumerate() {
                let a = &a[..b.len()];
                if a == b {
                    continue;
                }
                let mismatches = a.iter().zip(b).filter(|(a, b)| a != b).count();
                let size = graph.tensor(graph.nodes[layer].output).shape.len();
                let at = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or_default();
                let place = Place {
                    image: start + at / size,
                    layer,
                    index: at % size,
                    found: [(first.name(), a[at]), (other.name(), b[at])],
                };
                let mut totals = totals.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                totals.0[layer] += mismatches as u64;
                if totals.1.as_ref().is_none_or(|earliest| place.key() < earliest.key()) {
                    totals.1 = Some(place);
                }
            }
        }
        done(count);
        Ok(())
    })?;
    let (mismatches, earliest) = totals.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let layer = |(node, &mismatches): (&goldcrest_quantize::graph::Node<QuantizedOp>, &u64)| {
        let values = (graph.tensor(node.output).shape.len() * images) as u64;
        LayerComparison { name: node.name.clone(), values, mismatches }
    };
    Ok(Comparison {
        images,
        references: participants.iter().map(|p| (p.runner.name(), p.images.min(images))).collect(),
        layers: graph.nodes.iter().zip(&mismatches).map(layer).collect(),
        first: earliest.map(|place| explain(model, &place, &image(place.image))),
    })
}

/// Where two runners differ.
struct Place {
    image: usize,
    layer: usize,
    index: usize,
    found: [(&'static str, i8); 2],
}

impl Place {
    fn key(&self) -> (usize, usize, usize) {
        (self.image, self.layer, self.index)
    }
}

fn explain(model: &QuantizedModel, place: &Place, image: &[i8]) -> Difference {
    let graph = &model.graph;
    let node = &graph.nodes[place.layer];
    let Shape { width, channels, .. } = graph.tensor(node.output).shape;
    let position = [place.index / channels / width, place.index / channels % width, place.index % channels];
    let tensors = run(graph, image);
    let inputs: Vec<&[i8]> = node.inputs.iter().map(|id| &*tensors[id.0]).collect();
    let output = Output::new(graph, node, &inputs);
    let zero_point = graph.tensor(node.output).info.zero_point;
    Difference {
        image: place.image,
        layer: node.name.clone(),
        position,
        found: place.found,
        expected: output.value(position),
        behind: output.sum(position).map(|(integer, k)| (integer, k, zero_point)),
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [row, column, channel] = self.position;
        let [(a, x), (b, y)] = self.found;
        write!(
            f,
            "image {}, layer `{}`, row {row}, column {column}, channel {channel}: {a} says {x}, {b} says \
             {y}, the specification {}",
            self.image, self.layer, self.expected
        )?;
        match self.behind {
            Some((integer, k, zero_point)) => write!(
                f,
                " = round({integer} * {k} / 65536 = {:.6}) + {zero_point}",
                integer as f64 * f64::from(k) / 65536.0
            ),
            None => Ok(()),
        }
    }
}
