//! A float graph in ONNX Runtime, every layer of it.

use goldcrest_engine::shape::Shape;
use goldcrest_onnx::float_export;
use goldcrest_quantize::FloatGraph;
use goldcrest_quantize::graph::{ModelInfo, Normalization};
use ort::session::builder::GraphOptimizationLevel;

use crate::verify::RunnerError;
use crate::verify::onnxruntime::OnnxRuntime;

/// A float graph that can be run on pictures.
pub struct FloatNetwork {
    runtime: OnnxRuntime,
    input: Shape,
    normalization: Normalization,
}

impl FloatNetwork {
    /// Loads a graph into ONNX Runtime.
    ///
    /// # Errors
    /// When there is no ONNX Runtime, or it does not take the model.
    pub fn load(graph: &FloatGraph, info: &ModelInfo) -> Result<Self, RunnerError> {
        let model = float_export::write(graph);
        let input = graph.tensor(graph.input).shape;
        let sizes = [input.channels, input.height, input.width];
        let outputs = model.graph.outputs.clone();
        let runtime = OnnxRuntime::load(&model, sizes, outputs, GraphOptimizationLevel::Level1)?;
        Ok(Self { runtime, input, normalization: info.normalization.clone() })
    }

    /// The network's input for pictures (u8, HWC): normalized, NCHW.
    pub fn input(&self, pictures: &[&[u8]]) -> Vec<f32> {
        normalize(&self.normalization, self.input, pictures)
    }

    /// The output of every node for pictures (u8, HWC): each NCHW.
    ///
    /// # Errors
    /// When ONNX Runtime fails.
    pub fn layers(&self, pictures: &[&[u8]]) -> Result<Vec<Vec<f32>>, RunnerError> {
        self.runtime.run(&self.input(pictures))
    }
}

/// Pictures (u8, HWC) as normalized NCHW floats.
pub fn normalize(normalization: &Normalization, shape: Shape, pictures: &[&[u8]]) -> Vec<f32> {
    let tables = normalization.tables();
    let mut values = vec![0.0; pictures.len() * shape.len()];
    for (picture, planes) in pictures.iter().zip(values.chunks_exact_mut(shape.len())) {
        goldcrest_data::normalization::normalize(picture, &tables, planes);
    }
    values
}
