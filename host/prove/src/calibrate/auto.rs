//! `--auto` and `--int4 auto`: settings tried on calibration images and judged on images that neither
//! calibration nor learning saw.

use goldcrest_data::Split;
use goldcrest_onnx::int8;
use goldcrest_quantize::FloatGraph;
use goldcrest_quantize::graph::{ModelInfo, QuantizedConv, QuantizedModel};
use goldcrest_quantize::range::RangeMethod;
use rayon::prelude::*;

use super::{FloatNetwork, Parts, PipelineError, Settings, Source};
use crate::evaluate::{Agreement, load, logits};
use crate::verify::RunnerError;

/// Images that a thread runs at once.
const CHUNK: usize = 10;

/// What one try came to, on images held out.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// What was tried.
    pub settings: Settings,
    /// Mean squared difference of the logits from the float network's.
    pub logit_mse: f64,
    /// The same without the images whose errors are largest, one in five hundred and at least one: of a few
    /// images values lie beyond the ranges that calibration saw, and saturate, whatever the weights are.
    pub typical_mse: f64,
    /// Share of images with the float network's answer.
    pub agreement: f64,
    /// Bytes of weights: two of four bits take one.
    pub weight_bytes: usize,
}

/// Tries range methods first, then strengths of equalization with the best of them. Returns all trials, the
/// one with the smallest error of the logits first.
///
/// # Errors
/// When there are too few images, or the model cannot be quantized or run.
pub fn choose(
    graph: &FloatGraph,
    info: &ModelInfo,
    parts: &Parts,
    start: &Settings,
    tried: &dyn Fn(&Trial),
) -> Result<Vec<Trial>, PipelineError> {
    let mut search = Search::new(graph, info, parts)?;
    search.attempt(start.clone(), tried)?;
    let ranges = [
        RangeMethod::MinMax,
        RangeMethod::Percentile(1e-5),
        RangeMethod::Percentile(1e-4),
        RangeMethod::MeanSquaredError,
        RangeMethod::Entropy,
    ];
    for range in ranges {
        let mut settings = start.clone();
        settings.options.range = range;
        search.attempt(settings, tried)?;
    }
    search.trials.sort_by(|a, b| a.logit_mse.total_cmp(&b.logit_mse));
    let best = search.trials[0].settings.clone();
    for equalize in [0.0, 0.25, 0.5, 1.0] {
        search.attempt(Settings { equalize, ..best.clone() }, tried)?;
    }
    search.trials.sort_by(|a, b| a.logit_mse.total_cmp(&b.logit_mse));
    Ok(search.trials)
}

/// What weights of four bits may cost on images held out, against eight bits everywhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Mean squared error of the logits ([`Trial::typical_mse`]), as a multiple.
    pub error: f64,
    /// Share of the images that may lose the float network's answer.
    pub agreement: f64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { error: 3.0, agreement: 0.005 }
    }
}

impl Budget {
    /// Whether a trial costs no more than allowed against the one with eight bits everywhere.
    pub fn allows(&self, trial: &Trial, eight: &Trial) -> bool {
        trial.typical_mse <= self.error * eight.typical_mse
            && eight.agreement - trial.agreement <= self.agreement + 1e-9
    }
}

/// The layers that can have weights of four bits, and how they were found.
#[derive(Clone, Debug, PartialEq)]
pub struct FourBits {
    /// Their names.
    pub layers: Vec<String>,
    /// All trials in their order: eight bits everywhere, each layer alone, then layers together.
    pub trials: Vec<Trial>,
}

/// Layers with a smaller share of the weights are not tried.
const SHARE: f64 = 0.02;

/// Finds the layers whose weights can have four bits. Each is tried alone; of the sets of layers whose
/// errors, which nearly add up, stay within the budget, the one with most weights is tried, and without its
/// costliest layers where it exceeds the budget after all.
///
/// # Errors
/// As [`choose`].
pub fn choose_int4(
    graph: &FloatGraph,
    info: &ModelInfo,
    parts: &Parts,
    start: &Settings,
    budget: Budget,
    tried: &dyn Fn(&Trial),
) -> Result<FourBits, PipelineError> {
    let mut search = Search::new(graph, info, parts)?;
    let with = |int4: Vec<String>| Settings { int4, ..start.clone() };
    let eight = search.attempt(with(Vec::new()), tried)?;
    let mut able = Vec::new();
    for (name, weights) in search.weighted(start)? {
        if (weights as f64) < SHARE * eight.weight_bytes as f64 {
            continue;
        }
        let alone = search.attempt(with(vec![name.clone()]), tried)?;
        if budget.allows(&alone, &eight) {
            able.push((name, weights, alone.typical_mse - eight.typical_mse));
        }
    }
    let room = (budget.error - 1.0) * eight.typical_mse;
    let mut layers = most_weights(&able, room);
    while !layers.is_empty() && !budget.allows(&search.attempt(with(layers.clone()), tried)?, &eight) {
        layers.pop();
    }
    Ok(FourBits { layers, trials: search.trials })
}

/// A layer with its number of weights and the error that four bits add.
type Candidate = (String, usize, f64);

/// Steps that the room for errors is divided into.
const STEPS: usize = 1000;

/// The layers with most weights whose errors sum up to no more than `room`, in the order of the error per
/// weight.
fn most_weights(able: &[Candidate], room: f64) -> Vec<String> {
    let mut able: Vec<&Candidate> = able.iter().collect();
    able.sort_by(|a, b| (a.2 / a.1 as f64).total_cmp(&(b.2 / b.1 as f64)));
    // For every part of the room, the most weights that fit into it and their layers.
    let mut best: Vec<(usize, Vec<&str>)> = vec![Default::default(); STEPS + 1];
    for (name, weights, error) in able {
        let steps = (error / room * STEPS as f64).ceil().max(0.0) as usize;
        for at in (steps..=STEPS).rev() {
            let (before, layers) = &best[at - steps];
            if before + weights > best[at].0 {
                best[at] = (before + weights, layers.iter().copied().chain([name.as_str()]).collect());
            }
        }
    }
    best[STEPS].1.iter().map(|&name| name.to_owned()).collect()
}

/// What settings are tried with and judged by.
struct Search<'a> {
    source: Source,
    held: &'a Split,
    /// The float network's logits on the images held out.
    exact: Vec<f32>,
    trials: Vec<Trial>,
}

impl<'a> Search<'a> {
    fn new(graph: &FloatGraph, info: &ModelInfo, parts: &'a Parts) -> Result<Self, PipelineError> {
        let Parts { fit, held } = parts;
        if fit.is_empty() || held.is_empty() {
            return Err(PipelineError::NoImages);
        }
        let network = FloatNetwork::load(graph, info)?;
        let last = graph.nodes.iter().position(|node| node.output == graph.output).unwrap_or(0);
        let starts: Vec<usize> = (0..held.len()).step_by(CHUNK).collect();
        let chunks = starts.into_par_iter().map(|start| {
            let end = held.len().min(start + CHUNK);
            let pictures: Vec<&[u8]> = (start..end).map(|index| held.image(index)).collect();
            Ok(network.layers(&pictures)?.swap_remove(last))
        });
        let exact = chunks.collect::<Result<Vec<Vec<f32>>, RunnerError>>()?.concat();
        let source = Source::calibrate(graph.clone(), info.clone(), fit.clone(), &|_| {})?;
        Ok(Self { source, held, exact, trials: Vec::new() })
    }

    /// The layers that can have four bits, and how many weights.
    fn weighted(&self, settings: &Settings) -> Result<Vec<(String, usize)>, PipelineError> {
        let graph = self
            .source
            .quantize(&Settings { learn: false, int4: Vec::new(), ..settings.clone() })?
            .model
            .graph;
        let weighted = graph.nodes.iter().filter_map(|node| {
            let conv = node.op.conv().filter(|conv| !conv.is_depthwise())?;
            Some((node.name.clone(), conv.weights.len()))
        });
        Ok(weighted.collect())
    }

    /// Quantizes with some settings and judges the result, unless that was done before.
    fn attempt(&mut self, settings: Settings, tried: &dyn Fn(&Trial)) -> Result<Trial, PipelineError> {
        if let Some(trial) = self.trials.iter().find(|trial| trial.settings == settings) {
            return Ok(trial.clone());
        }
        let trial = self.judge(&self.source.quantize(&settings)?.model, settings)?;
        tried(&trial);
        self.trials.push(trial.clone());
        Ok(trial)
    }

    fn judge(&self, model: &QuantizedModel, settings: Settings) -> Result<Trial, PipelineError> {
        let classes = model.graph.tensor(model.graph.output).shape.channels;
        let found = logits(&*load(&int8::write(model))?, self.held, &|_| {})?;
        let compared = Agreement::of(&found, &self.exact, self.held.labels(), classes);
        let Agreement { agreement, logit_mse, .. } = compared;
        let bytes = |conv: &QuantizedConv| match conv.is_four_bits() {
            true => conv.weights.len().div_ceil(2),
            false => conv.weights.len(),
        };
        let weight_bytes = model.graph.nodes.iter().filter_map(|node| node.op.conv()).map(bytes).sum();
        let typical_mse = typical_mse(&found, &self.exact, classes);
        Ok(Trial { settings, logit_mse, typical_mse, agreement, weight_bytes })
    }
}

/// The mean squared difference of logits without the images where it is largest.
fn typical_mse(found: &[f32], exact: &[f32], classes: usize) -> f64 {
    let image = |(found, exact): (&[f32], &[f32])| {
        let squares = found.iter().zip(exact).map(|(found, exact)| f64::from(found - exact).powi(2));
        squares.sum::<f64>() / classes as f64
    };
    let mut images: Vec<f64> =
        found.chunks_exact(classes).zip(exact.chunks_exact(classes)).map(image).collect();
    images.sort_by(f64::total_cmp);
    let kept = images.len() - (images.len() / 500).max(1).min(images.len() - 1);
    images[..kept].iter().sum::<f64>() / kept.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_errors_are_left_out() {
        let mut found = vec![0.5; 2000];
        (found[7], found[200]) = (90.0, 80.0);
        assert_eq!(typical_mse(&found, &[0.0; 2000], 2), 0.25, "two of a thousand images");
        found[300] = 70.0;
        assert!(typical_mse(&found, &[0.0; 2000], 2) > 1.0, "three of a thousand images");
        assert_eq!(typical_mse(&[0.5, 0.5, 9.0, 0.5], &[0.0; 4], 2), 0.25, "one of two images");
        assert_eq!(typical_mse(&[0.5, 0.5], &[0.0; 2], 2), 0.25);
    }

    #[test]
    fn most_weights_fit_the_room() {
        let layer = |name: &str, weights, error| (name.to_owned(), weights, error);
        // In the order of the error per weight `c` comes first, and then `b` has no room.
        let able = [layer("a", 50, 0.9), layer("b", 90, 0.7), layer("c", 60, 0.4), layer("d", 10, -0.1)];
        assert_eq!(most_weights(&able, 1.0), ["d", "b"]);
        assert_eq!(most_weights(&able, 1.2), ["d", "c", "b"]);
        assert_eq!(most_weights(&able, 0.3), ["d"]);
        assert!(most_weights(&able[..1], 0.5).is_empty() && most_weights(&[], 1.0).is_empty());
    }

    #[test]
    fn both_limits_bind() {
        let trial = |typical_mse, agreement| Trial {
            settings: Settings::default(),
            logit_mse: 1.0,
            typical_mse,
            agreement,
            weight_bytes: 0,
        };
        let (budget, eight) = (Budget { error: 2.0, agreement: 0.01 }, trial(0.1, 0.99));
        for (error, agreement, allowed) in
            [(0.2, 0.98, true), (0.2, 1.0, true), (0.21, 0.99, false), (0.1, 0.979, false)]
        {
            assert_eq!(budget.allows(&trial(error, agreement), &eight), allowed, "{error}, {agreement}");
        }
    }
}
