//! A float model with what calibration knows of it: quantized as often as wished.

use std::sync::Mutex;

use goldcrest_data::Split;
use goldcrest_quantize::equalize::equalize;
use goldcrest_quantize::graph::{ModelInfo, QuantizedModel};
use goldcrest_quantize::learn::Learning;
use goldcrest_quantize::pixels::exact_pixels;
use goldcrest_quantize::statistics::Statistics;
use goldcrest_quantize::{FloatGraph, QuantizeError, QuantizeReport, check, quantize};

use super::learn::learn_weights;
use super::variants::{needed, varied};
use super::{FloatNetwork, PipelineError, Settings, calibrate};

/// How strongly learned weights are held near the float ones.
const RIDGE: f64 = 0.03;

/// A float graph and its statistics on the calibration images.
pub struct Source {
    info: ModelInfo,
    images: Split,
    /// Each image in as many variants as learning needs.
    learned: Split,
    plain: Calibrated,
    /// Equalized forms made so far, by strength.
    equalized: Mutex<Vec<(f64, Calibrated)>>,
}

#[derive(Clone)]
struct Calibrated {
    graph: FloatGraph,
    statistics: Statistics,
}

/// One int8 form of a source.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The float graph that it stands for, equalized.
    pub float: FloatGraph,
    /// The int8 model.
    pub model: QuantizedModel,
    /// What quantization did to each layer.
    pub report: QuantizeReport,
}

impl Source {
    /// Calibrates a graph, whose normalization moves into its first convolution where it can; `done` is told
    /// how many images more went through it.
    ///
    /// # Errors
    /// When ONNX Runtime is missing or fails.
    pub fn calibrate(
        mut graph: FloatGraph,
        mut info: ModelInfo,
        images: Split,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, PipelineError> {
        exact_pixels(&mut graph, &mut info);
        let variants = needed(&graph, images.len());
        let statistics = calibrate(&graph, &info, &images, done)?;
        let learned = varied(&images, variants);
        Ok(Self {
            info,
            images,
            learned,
            plain: Calibrated { graph, statistics },
            equalized: Mutex::default(),
        })
    }

    /// Quantizes with some settings.
    ///
    /// # Errors
    /// When the graph has no int8 form with them, or a network cannot be run.
    pub fn quantize(&self, settings: &Settings) -> Result<Outcome, PipelineError> {
        let Calibrated { graph, statistics } = self.at(settings.equalize)?;
        let (mut model, report) = quantize(&graph, &self.info, &statistics, &settings.options)?;
        let weighted = || model.graph.nodes.iter().filter(|node| node.op.conv().is_some());
        if let Some(name) = settings.int4.iter().find(|&name| !weighted().any(|node| node.name == *name)) {
            let layers: Vec<&str> = weighted().map(|node| &*node.name).collect();
            return Err(PipelineError::NoSuchLayer { name: name.clone(), layers: layers.join(", ") });
        }
        if settings.learn || !settings.int4.is_empty() {
            let network = FloatNetwork::load(&graph, &self.info)?;
            let learning = Learning { compensate: true, ridge: RIDGE };
            learn_weights(&graph, &network, &mut model, &report, &self.learned, learning, &settings.int4)?;
            check::check(&model).map_err(QuantizeError::from)?;
        }
        Ok(Outcome { float: graph, model, report })
    }

    /// The equalized graph and its statistics.
    fn at(&self, strength: f64) -> Result<Calibrated, PipelineError> {
        if strength == 0.0 {
            return Ok(self.plain.clone());
        }
        let mut known = self.equalized.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, calibrated)) = known.iter().find(|(known, _)| *known == strength) {
            return Ok(calibrated.clone());
        }
        let graph = equalize(&self.plain.graph, &self.plain.statistics, strength);
        let statistics = calibrate(&graph, &self.info, &self.images, &|_| {})?;
        let calibrated = Calibrated { graph, statistics };
        known.push((strength, calibrated.clone()));
        Ok(calibrated)
    }
}
