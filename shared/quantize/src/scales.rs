//! The grid of every int8 tensor. Operators that only move values share one grid between input and output;
//! an addition's output is at least as coarse as its inputs, which the contract's multipliers need.

use alloc::{vec, vec::Vec};

use super::fusion::Step;
use super::given::Given;
use super::graph::{FloatGraph, ModelInfo, Quantization, TensorId};
use super::operators::{Grid, OutputScale};
use super::quantizer::{Options, QuantizeError};
use super::range::Range;
use super::statistics::Statistics;

/// Grids by float tensor. Tensors that no int8 tensor stands for have one too, unused.
pub struct Scales {
    grids: Vec<Quantization>,
}

impl Scales {
    /// The grid of a tensor.
    pub fn of(&self, tensor: TensorId) -> Quantization {
        self.grids[tensor.0]
    }

    /// Chooses all grids.
    pub(super) fn assign(
        graph: &FloatGraph,
        info: &ModelInfo,
        steps: &[Step<'_>],
        statistics: &Statistics,
        options: &Options,
        given: &Given,
    ) -> Result<Self, QuantizeError> {
        let ranges = ranges(graph, info, steps, statistics, options, given)?;
        let groups = Groups::of(graph, steps, &ranges);
        let agreed = groups.agreed(given);
        let mut range: Vec<Option<Range>> = vec![None; graph.tensors.len()];
        for (tensor, own) in ranges.iter().enumerate() {
            if groups.counts[tensor] {
                let joint = &mut range[groups.group[tensor]];
                *joint = Some(joint.map_or(*own, |joint| joint.union(*own)));
            }
        }
        let range: Vec<Range> =
            range.into_iter().zip(&ranges).map(|(joint, own)| joint.unwrap_or(*own)).collect();
        let scale = coarsen(steps, &groups, &range, &agreed);
        let grid = |&group: &usize| match agreed[group] {
            Some(grid) if scale[group] <= f64::from(grid.scale) * (1.0 + 1e-6) => grid,
            _ => range[group].quantization(scale[group]),
        };
        let mut grids: Vec<Quantization> = groups.group.iter().map(grid).collect();
        if groups.is_alone(graph.input) && !given.grids.contains_key(&graph.input) {
            grids[graph.input.0] = input_grid(info, range[graph.input.0]);
        }
        Ok(Self { grids })
    }
}

/// The range of each tensor alone.
fn ranges(
    graph: &FloatGraph,
    info: &ModelInfo,
    steps: &[Step<'_>],
    statistics: &Statistics,
    options: &Options,
    given: &Given,
) -> Result<Vec<Range>, QuantizeError> {
    let mut ranges = vec![Range { low: 0.0, high: 0.0 }; graph.tensors.len()];
    ranges[graph.input.0] = match given.grids.get(&graph.input) {
        Some(&grid) => Range::of_grid(grid),
        None => pixels(info).fold(ranges[graph.input.0], |range, value| Range {
            low: range.low.min(value),
            high: range.high.max(value),
        }),
    };
    for step in steps {
        let seen = &statistics.tensors[step.output.0];
        if let Some(&grid) = given.grids.get(&step.output) {
            ranges[step.output.0] = Range::of_grid(grid);
            continue;
        }
        // What an operator only moves or averages needs no more than its input does.
        let keeps = step.node.op.rules().keeps_range();
        if keeps && seen.min > seen.max && !seen.not_finite {
            ranges[step.output.0] = ranges[step.node.inputs[0].0];
            continue;
        }
        let problem = match () {
            _ if seen.not_finite => "has values that are not finite on the calibration images",
            _ if seen.min > seen.max => "was not seen in calibration; give calibration images",
            _ => {
                let mut range = Range::of(seen, options.range);
                // A layer that is 0 on every image (a Relu that never fires) needs a grid that its
                // operator can reach: that of what stands before its bounds, else of what it reads.
                if range.high - range.low <= DEAD * reach(statistics, step) {
                    range.high = reach(statistics, step);
                }
                ranges[step.output.0] = range;
                continue;
            }
        };
        let tensor = graph.tensor(step.output).name.clone();
        return Err(QuantizeError::Activation { tensor, problem });
    }
    Ok(ranges)
}

/// A range so much smaller than what stands before a layer's bounds is that of a layer that never moves.
const DEAD: f64 = 1e-5;

/// How far a layer's values reach before they are bounded; where these are all 0, 1.
fn reach(statistics: &Statistics, step: &Step<'_>) -> f64 {
    let seen = &statistics.tensors[step.node.output.0];
    let reach = f64::from(seen.max.max(-seen.min));
    if reach.is_finite() && reach > 0.0 { reach } else { 1.0 }
}

/// Every value that a pixel can become.
fn pixels(info: &ModelInfo) -> impl Iterator<Item = f64> {
    let normalization = &info.normalization;
    (0..normalization.mean.len())
        .flat_map(move |channel| (0..=u8::MAX).map(move |pixel| normalization.real(channel, pixel)))
}

/// The grid that rounds pixels least. Over the plain range, every pixel of a channel can fall on a rounding
/// tie (with mean and deviation 0.5 they all do), which costs one of eight bits; a slightly coarser
/// step does not.
fn input_grid(info: &ModelInfo, range: Range) -> Quantization {
    let error = |grid: &Quantization| -> f64 {
        let (scale, zero) = (f64::from(grid.scale), f64::from(grid.zero_point));
        let each = |real: f64| {
            let off = (f64::from(grid.value(real)) - zero) * scale - real;
            off * off
        };
        pixels(info).map(each).sum()
    };
    let candidates = (0..40).map(|step| range.quantization(range.scale() * (1.0 + 0.0005 * f64::from(step))));
    let mut best = range.quantization(0.0);
    let mut least = error(&best);
    for grid in candidates {
        let found = error(&grid);
        if found < least * 0.999 {
            (best, least) = (grid, found);
        }
    }
    best
}

/// Tensors that share one grid.
struct Groups {
    /// The group of each tensor, named by one of its tensors.
    group: Vec<usize>,
    /// Whether the tensor's own range matters for its group's.
    counts: Vec<bool>,
}

/// A tensor joins the grid of a concatenation when its own range is at least this part of the joint
/// one; otherwise the concatenation reads a requantized copy.
const CONCAT_SHARE: f64 = 0.5;

impl Groups {
    fn of(graph: &FloatGraph, steps: &[Step<'_>], ranges: &[Range]) -> Self {
        let mut groups =
            Self { group: (0..graph.tensors.len()).collect(), counts: vec![false; graph.tensors.len()] };
        let mut readers = vec![0usize; graph.tensors.len()];
        readers[graph.output.0] += 1;
        for step in steps {
            step.node.inputs.iter().for_each(|id| readers[id.0] += 1);
        }
        groups.counts[graph.input.0] = true;
        for step in steps {
            groups.counts[step.output.0] = true;
        }
        for step in steps {
            let output = step.output;
            match step.node.op.rules().grid() {
                Grid::Own => {}
                Grid::Input => groups.join(step.node.inputs[0], output),
                Grid::Selects => {
                    let input = step.node.inputs[0];
                    groups.join(input, output);
                    // What the maximum never lets through need not be told apart.
                    groups.counts[input.0] &= readers[input.0] > 1 || input == graph.input;
                }
                Grid::Inputs => {
                    for &input in &step.node.inputs {
                        let (own, joint) = (ranges[input.0].scale(), ranges[output.0].scale());
                        if readers[input.0] == 1 && input != graph.input || own >= CONCAT_SHARE * joint {
                            groups.join(input, output);
                        }
                    }
                }
            }
        }
        groups
    }

    fn join(&mut self, a: TensorId, b: TensorId) {
        let (from, to) = (self.group[b.0], self.group[a.0]);
        self.group.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
    }

    /// The given grid of each group where all that are given for its tensors are the same.
    fn agreed(&self, given: &Given) -> Vec<Option<Quantization>> {
        let mut found: Vec<Option<Quantization>> = vec![None; self.group.len()];
        let mut differs = vec![false; self.group.len()];
        for (tensor, &grid) in &given.grids {
            let group = self.group[tensor.0];
            differs[group] |= found[group].is_some_and(|found| found != grid);
            found[group] = Some(grid);
        }
        found.into_iter().zip(differs).map(|(grid, differs)| grid.filter(|_| !differs)).collect()
    }

    fn is_alone(&self, tensor: TensorId) -> bool {
        self.group.iter().filter(|&&group| group == self.group[tensor.0]).count() == 1
    }
}

/// The scale of each group: at least that of its range, coarser where an operator needs it.
fn coarsen(
    steps: &[Step<'_>],
    groups: &Groups,
    range: &[Range],
    agreed: &[Option<Quantization>],
) -> Vec<f64> {
    let start = |(range, agreed): (&Range, &Option<Quantization>)| {
        agreed.map_or(range.scale(), |grid| f64::from(grid.scale))
    };
    let mut scale: Vec<f64> = range.iter().zip(agreed).map(start).collect();
    // One pass settles a graph whose groups follow each other; groups that contain their own inputs settle
    // because scales only grow towards the largest of them.
    for _ in 0..4 {
        for step in steps {
            let output = groups.group[step.output.0];
            let inputs: Vec<f64> = step.node.inputs.iter().map(|id| scale[groups.group[id.0]]).collect();
            let known = OutputScale {
                inputs: &inputs,
                scale: scale[output],
                least: range[output].scale(),
                free: groups.is_alone(step.output) && agreed[output].is_none(),
            };
            scale[output] = step.node.op.rules().scale(&known);
        }
    }
    scale
}
