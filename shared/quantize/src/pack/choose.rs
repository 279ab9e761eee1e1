//! Which kernel computes which layer. Every layer starts with its fastest; where RAM or flash is scarce,
//! layers step down to smaller ones, those first that cost least speed for what they free.

use alloc::{string::String, vec, vec::Vec};

use super::layout::Layout;
use super::lower::{Step, lower};
use super::write::Contents;
use super::{Optimize, PackError, PackOptions};
use crate::graph::QuantizedModel;

/// The layers in their places, within the budgets.
///
/// # Errors
/// When the smallest kernels do not fit a budget either.
pub fn layout(model: &QuantizedModel, options: &PackOptions) -> Result<Layout, PackError> {
    let mut ranks = vec![0; model.graph.nodes.len()];
    let mut layout = Layout::new(model, options, &ranks)?;
    if options.optimize == Optimize::Ram {
        layout = smallest_arena(model, options, &mut ranks, layout)?;
    }
    if let Some(budget) = options.flash_budget {
        layout = within_flash(model, options, &mut ranks, layout, budget)?;
    }
    if let Some(budget) = options.ram_budget {
        layout = within_ram(model, options, &mut ranks, layout, budget)?;
    }
    Ok(layout)
}

/// The node computed by the layer that needs most of the arena, when a kernel with less scratch memory
/// could compute it; with that kernel's rank.
fn relief(
    model: &QuantizedModel,
    options: &PackOptions,
    ranks: &[usize],
    layout: &Layout,
) -> Result<Option<(usize, usize)>, PackError> {
    let Some(step) = layout.steps.get(layout.plan.critical) else { return Ok(None) };
    for rank in ranks[step.node] + 1..=ranks[step.node] + step.alternatives {
        let smaller = lower(&model.graph, options, &with(ranks, step.node, rank))?;
        let scratch = smaller.get(step.index).map(|step| step.record.scratch.1);
        if scratch.is_some_and(|scratch| scratch < step.record.scratch.1) {
            return Ok(Some((step.node, rank)));
        }
    }
    Ok(None)
}

fn with(ranks: &[usize], node: usize, rank: usize) -> Vec<usize> {
    let mut ranks = ranks.to_vec();
    ranks[node] = rank;
    ranks
}

/// Steps layers down for as long as the arena can shrink, and keeps the fastest of the smallest arenas.
fn smallest_arena(
    model: &QuantizedModel,
    options: &PackOptions,
    ranks: &mut Vec<usize>,
    layout: Layout,
) -> Result<Layout, PackError> {
    let (mut best, mut next) = (layout, ranks.clone());
    let mut critical = relief(model, options, &next, &best)?;
    while let Some((node, rank)) = critical {
        next[node] = rank;
        let layout = Layout::new(model, options, &next)?;
        critical = relief(model, options, &next, &layout)?;
        if layout.plan.peak < best.plan.peak {
            (best, *ranks) = (layout, next.clone());
        }
    }
    Ok(best)
}

fn within_ram(
    model: &QuantizedModel,
    options: &PackOptions,
    ranks: &mut [usize],
    mut layout: Layout,
    budget: usize,
) -> Result<Layout, PackError> {
    let mut least = (usize::MAX, String::new());
    while layout.plan.peak > budget {
        if layout.plan.peak < least.0 {
            let layer = layout.steps.get(layout.plan.critical).map_or("", |step| &step.name);
            least = (layout.plan.peak, layer.into());
        }
        let Some((node, rank)) = relief(model, options, ranks, &layout)? else {
            let (needed, layer) = least;
            return Err(PackError::Ram { layer, needed, budget, missing: needed - budget });
        };
        ranks[node] = rank;
        layout = Layout::new(model, options, ranks)?;
    }
    Ok(layout)
}

fn within_flash(
    model: &QuantizedModel,
    options: &PackOptions,
    ranks: &mut [usize],
    mut layout: Layout,
    budget: usize,
) -> Result<Layout, PackError> {
    loop {
        let needed = image_bytes(model, options, &layout.steps)?;
        if needed <= budget {
            return Ok(layout);
        }
        let mut cheapest: Option<(u64, usize, usize)> = None;
        for step in layout.steps.iter().filter(|step| step.alternatives > 0) {
            for rank in ranks[step.node] + 1..=ranks[step.node] + step.alternatives {
                let smaller = lower(&model.graph, options, &with(ranks, step.node, rank))?;
                let saved = constant_bytes(&layout.steps).saturating_sub(constant_bytes(&smaller));
                // A slower kernel costs about as much per multiply-accumulate everywhere.
                let cost = step.macs.checked_div(saved as u64);
                if let Some(cost) = cost.filter(|&cost| cheapest.is_none_or(|(least, ..)| cost < least)) {
                    cheapest = Some((cost, step.node, rank));
                }
            }
        }
        let Some((_, node, rank)) = cheapest else {
            return Err(PackError::flash(needed, budget, &layout.steps));
        };
        ranks[node] = rank;
        layout = Layout::new(model, options, ranks)?;
    }
}

fn constant_bytes(steps: &[Step]) -> usize {
    steps.iter().map(Step::constant_bytes).sum()
}

/// Bytes of the image that these layers will make.
fn image_bytes(model: &QuantizedModel, options: &PackOptions, steps: &[Step]) -> Result<usize, PackError> {
    let classes = model.graph.tensor(model.graph.output).shape.len();
    let golden: Vec<_> = options.golden.iter().map(|pixels| (pixels.clone(), vec![0; classes])).collect();
    let contents = Contents { model, family: options.family, steps, arena_bytes: 0, input: 0, output: 0 };
    Ok(contents.write(&golden)?.len())
}
