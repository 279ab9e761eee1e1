//! `--auto`: a small set of settings, each tried on part of the calibration images and judged on the rest.

use goldcrest_shared::quantize::FloatGraph;
use goldcrest_shared::quantize::graph::{ModelInfo, Node, QuantizedModel, QuantizedOp};
use goldcrest_shared::quantize::range::RangeMethod;
use rayon::prelude::*;

use super::{FloatNetwork, PipelineError, Settings, Source};
use crate::dataset::Split;
use crate::evaluate::{Agreement, load, logits};
use crate::onnx::int8;
use crate::verify::RunnerError;

/// One in so many calibration images is held out.
const HELD_OUT: usize = 5;
/// Images that a thread runs at once.
const CHUNK: usize = 10;

/// What one try came to, on images that it was not calibrated with.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// What was tried.
    pub settings: Settings,
    /// Mean squared difference of the logits from the float network's.
    pub logit_mse: f64,
    /// Share of images with the float network's answer.
    pub agreement: f64,
}

/// Tries range methods first, then strengths of equalization with the best of them. Returns all trials, the one
/// with the smallest error of the logits first.
///
/// # Errors
/// When there are too few images, or the model cannot be quantized or run.
pub fn choose(
    graph: &FloatGraph,
    info: &ModelInfo,
    images: &Split,
    start: &Settings,
    tried: &dyn Fn(&Trial),
) -> Result<Vec<Trial>, PipelineError> {
    if images.len() < HELD_OUT {
        return Err(PipelineError::NoImages);
    }
    let mut search = Search::new(graph, info, images)?;
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
    let best = search.trials[0].settings.clone();
    for equalize in [0.0, 0.25, 0.5, 1.0] {
        search.attempt(Settings { equalize, ..best.clone() }, tried)?;
    }
    Ok(search.trials)
}

/// How much the error of the logits may grow when layers take four bits: their root mean square may double.
const INT4_ERROR: f64 = 4.0;

/// The layers whose weights can have four bits, tried one after the other on calibration images held out, those with
/// most weights first: each that leaves the squared error of the logits within [`INT4_ERROR`] times what it
/// is with eight bits everywhere stays. Returns their names.
///
/// # Errors
/// As [`choose`].
pub fn choose_int4(
    graph: &FloatGraph,
    info: &ModelInfo,
    images: &Split,
    start: &Settings,
    tried: &dyn Fn(&Trial),
) -> Result<Vec<String>, PipelineError> {
    let mut search = Search::new(graph, info, images)?;
    let mut settings = Settings { int4: Vec::new(), ..start.clone() };
    let model = search.source.quantize(&settings)?.model;
    let most = INT4_ERROR * search.judge(&model)?.1;
    let weights = |node: &Node<QuantizedOp>| match &node.op {
        QuantizedOp::Conv(conv) => Some((node.name.clone(), conv.weights.len())),
        _ => None,
    };
    let mut layers: Vec<(String, usize)> = model.graph.nodes.iter().filter_map(weights).collect();
    layers.sort_by_key(|layer| std::cmp::Reverse(layer.1));
    for (name, _) in layers {
        settings.int4.push(name);
        if search.attempt(settings.clone(), tried)? > most {
            settings.int4.pop();
        }
    }
    Ok(settings.int4)
}

struct Search {
    source: Source,
    held: Split,
    /// The float network's logits on the images held out.
    exact: Vec<f32>,
    trials: Vec<Trial>,
}

impl Search {
    fn new(graph: &FloatGraph, info: &ModelInfo, images: &Split) -> Result<Self, PipelineError> {
        let (held, fit): (Vec<usize>, Vec<usize>) =
            (0..images.len()).partition(|index| index % HELD_OUT == HELD_OUT - 1);
        let held = images.select(&held);
        let network = FloatNetwork::load(graph, info)?;
        let last = graph.nodes.iter().position(|node| node.output == graph.output).unwrap_or(0);
        let starts: Vec<usize> = (0..held.len()).step_by(CHUNK).collect();
        let chunks = starts.into_par_iter().map(|start| {
            let end = held.len().min(start + CHUNK);
            let pictures: Vec<&[u8]> = (start..end).map(|index| held.image(index)).collect();
            Ok(network.layers(&pictures)?.swap_remove(last))
        });
        let exact = chunks.collect::<Result<Vec<Vec<f32>>, RunnerError>>()?.concat();
        let source = Source::calibrate(graph.clone(), info.clone(), images.select(&fit), &|_| {})?;
        Ok(Self { source, held, exact, trials: Vec::new() })
    }

    /// The squared error of the logits with some settings.
    fn attempt(&mut self, settings: Settings, tried: &dyn Fn(&Trial)) -> Result<f64, PipelineError> {
        if let Some(trial) = self.trials.iter().find(|trial| trial.settings == settings) {
            return Ok(trial.logit_mse);
        }
        let model = self.source.quantize(&settings)?.model;
        let (agreement, logit_mse) = self.judge(&model)?;
        let trial = Trial { settings, logit_mse, agreement };
        tried(&trial);
        let at = self.trials.partition_point(|known| known.logit_mse <= logit_mse);
        self.trials.insert(at, trial);
        Ok(logit_mse)
    }

    fn judge(&self, model: &QuantizedModel) -> Result<(f64, f64), PipelineError> {
        let classes = model.graph.tensor(model.graph.output).shape.channels;
        let found = logits(&*load(&int8::write(model))?, &self.held, &|_| {})?;
        let compared = Agreement::of(&found, &self.exact, self.held.labels(), classes);
        Ok((compared.agreement, compared.logit_mse))
    }
}
