//! Where the layers' activations and scratch memory stand in the arena.

use alloc::{format, vec, vec::Vec};

use super::lower::{self, Step};
use super::{PackError, PackOptions};
use crate::graph::{QuantizedModel, TensorId};
use crate::planner::{self, Block, Overlap, Plan};

/// Layers with their places in the arena.
pub struct Layout {
    pub steps: Vec<Step>,
    pub blocks: Vec<Block>,
    pub plan: Plan,
    /// Arena offset of the input.
    pub input: usize,
    /// Arena offset of the logits.
    pub output: usize,
}

impl Layout {
    /// The layers of a graph, computed by kernels of these ranks, in their places.
    pub fn new(model: &QuantizedModel, options: &PackOptions, ranks: &[usize]) -> Result<Self, PackError> {
        let graph = &model.graph;
        let mut steps = lower::lower(graph, options, ranks)?;
        let Lifetimes { blocks, overlaps, of_tensor, scratch_of_step } = lifetimes(model, &steps);
        let plan = planner::plan(&blocks, &overlaps);
        let place = |id: TensorId| of_tensor[id.0].map_or(0, |block| plan.offsets[block]);
        for step in &mut steps {
            step.record.input.offset = place(step.inputs[0]);
            if let Some(&second) = step.inputs.get(1) {
                step.record.second.offset = place(second);
            }
            step.record.output.offset = place(step.output);
            step.record.scratch.0 = scratch_of_step[step.index].map_or(0, |block| plan.offsets[block]);
        }
        let (input, output) = (place(graph.input), place(graph.output));
        Ok(Self { steps, blocks, plan, input, output })
    }
}

/// What must be in the arena when.
struct Lifetimes {
    blocks: Vec<Block>,
    overlaps: Vec<Overlap>,
    /// The block of each tensor.
    of_tensor: Vec<Option<usize>>,
    /// The block of each layer's scratch memory.
    scratch_of_step: Vec<Option<usize>>,
}

fn lifetimes(model: &QuantizedModel, steps: &[Step]) -> Lifetimes {
    let graph = &model.graph;
    let mut blocks = Vec::new();
    let mut of_tensor = vec![None; graph.tensors.len()];
    let written = steps.iter().map(|step| (step.index, step.output));
    for (first, id) in core::iter::once((0, graph.input)).chain(written) {
        if of_tensor[id.0].is_none() {
            let readers = steps.iter().filter(|step| step.inputs.contains(&id)).map(|step| step.index);
            let last = if id == graph.output { steps.len() } else { readers.max().unwrap_or(first) };
            let tensor = graph.tensor(id);
            of_tensor[id.0] = Some(blocks.len());
            blocks.push(Block { name: tensor.name.clone(), bytes: tensor.shape.len(), first, last });
        }
    }
    let mut scratch_of_step = vec![None; steps.len()];
    for step in steps.iter().filter(|step| step.record.scratch.1 > 0) {
        let (name, bytes, at) = (format!("scratch of {}", step.name), step.record.scratch.1, step.index);
        scratch_of_step[at] = Some(blocks.len());
        blocks.push(Block { name, bytes, first: at, last: at });
    }
    let overlaps = steps.iter().flat_map(|step| overlaps(step, &blocks, &of_tensor)).collect();
    Lifetimes { blocks, overlaps, of_tensor, scratch_of_step }
}

/// The inputs of a layer that its output may stand over.
fn overlaps(step: &Step, blocks: &[Block], of_tensor: &[Option<usize>]) -> Vec<Overlap> {
    let Some(output) = of_tensor[step.output.0] else { return Vec::new() };
    let overlap = |(which, id): (usize, &TensorId)| {
        let input = of_tensor[id.0]?;
        let dies = blocks[input].last == step.index && blocks[output].first == step.index;
        // A tensor read twice would have to allow it both ways.
        let once = step.inputs.iter().filter(|other| *other == id).count() == 1;
        let distance = (step.kernel.packing().overlap)(&step.record, which)?;
        (dies && once).then_some(Overlap { input, output, distance })
    };
    step.inputs.iter().enumerate().filter_map(overlap).collect()
}
