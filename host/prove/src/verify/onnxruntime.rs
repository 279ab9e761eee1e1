//! ONNX Runtime: models of any element type with chosen values as outputs.

use std::sync::Mutex;

use goldcrest_engine::shape::Shape;
use goldcrest_onnx::{Model, ValueInfo};
use goldcrest_quantize::graph::QuantizedGraph;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{PrimitiveTensorElementType, TensorRef};

use super::layout::{to_hwc, to_nchw};
use super::runner::{Runner, RunnerError};
use crate::runtime;

/// Images that ONNX Runtime computes at once.
const BATCH: usize = 16;

/// The latest operator set of the oldest ONNX Runtime that may be loaded.
const OPSET: i64 = 21;

/// A model in ONNX Runtime. Threads that run it at once get a session each.
pub struct OnnxRuntime {
    onnx: Vec<u8>,
    level: GraphOptimizationLevel,
    idle: Mutex<Vec<Session>>,
    /// Sizes of one image: channels, rows, columns, in the order of the model's input.
    input: [usize; 3],
}

impl OnnxRuntime {
    /// Loads a model with some of its values as outputs, in that order. `input` are the dimensions of one
    /// image behind the batch.
    ///
    /// # Errors
    /// When there is no ONNX Runtime, or it does not take the model.
    pub fn load(
        model: &Model,
        input: [usize; 3],
        outputs: Vec<ValueInfo>,
        level: GraphOptimizationLevel,
    ) -> Result<Self, RunnerError> {
        runtime::load(&runtime::Choice::default())?;
        let mut model = model.clone();
        model.graph.outputs = outputs;
        // Later operator sets only add types and operators, and older runtimes refuse their numbers.
        model.opset = model.opset.min(OPSET);
        let loaded = Self { onnx: model.encode(), level, idle: Mutex::new(Vec::new()), input };
        let session = loaded.session()?;
        loaded.give_back(session);
        Ok(loaded)
    }

    /// All outputs for a batch of images, in the order they were asked for.
    ///
    /// # Errors
    /// When ONNX Runtime fails, or an output has another element type.
    pub fn run<T, U>(&self, images: &[T]) -> Result<Vec<Vec<U>>, RunnerError>
    where
        T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static,
        U: PrimitiveTensorElementType + Copy,
    {
        let [a, b, c] = self.input;
        let count = images.len() / (a * b * c);
        let mut session = match self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop() {
            Some(session) => session,
            None => self.session()?,
        };
        let mut run = || -> ort::Result<Vec<Vec<U>>> {
            let images = TensorRef::from_array_view(([count, a, b, c], images))?;
            let outputs = session.run(ort::inputs![images])?;
            outputs.values().map(|value| Ok(value.try_extract_tensor::<U>()?.1.to_vec())).collect()
        };
        let result = run().map_err(|error| failure("run the model", &error));
        self.give_back(session);
        result
    }

    fn session(&self) -> Result<Session, RunnerError> {
        let build = || -> ort::Result<Session> {
            let builder = runtime::session().map_err(|error| ort::Error::new(error.to_string()))?;
            builder.with_optimization_level(self.level)?.with_intra_threads(1)?.commit_from_memory(&self.onnx)
        };
        build().map_err(|error| failure("load the model", &error))
    }

    fn give_back(&self, session: Session) {
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(session);
    }
}

fn failure(action: &'static str, error: &ort::Error) -> RunnerError {
    RunnerError::OnnxRuntime { action, message: error.to_string() }
}

/// An int8 model in ONNX Runtime.
pub struct Int8OnnxRuntime {
    runtime: OnnxRuntime,
    input: Shape,
    layers: Vec<Shape>,
}

impl Int8OnnxRuntime {
    /// Loads an int8 model, whose graph is `graph`.
    ///
    /// # Errors
    /// As [`OnnxRuntime::load`].
    pub fn load(model: &Model, graph: &QuantizedGraph) -> Result<Self, RunnerError> {
        use goldcrest_onnx::proto::data_type::INT8;
        let output = |id| {
            let tensor = graph.tensor(id);
            let Shape { height, width, channels } = tensor.shape;
            match id == graph.output {
                true => ValueInfo::new(&tensor.name, INT8, &[-1, channels as i64]),
                false => {
                    ValueInfo::new(&tensor.name, INT8, &[-1, channels as i64, height as i64, width as i64])
                }
            }
        };
        let outputs = graph.nodes.iter().map(|node| output(node.output)).collect();
        let input = graph.tensor(graph.input).shape;
        let sizes = [input.channels, input.height, input.width];
        // Higher levels fuse DequantizeLinear, Add, QuantizeLinear to QLinearAdd, which rounds otherwise.
        let runtime = OnnxRuntime::load(model, sizes, outputs, GraphOptimizationLevel::Level1)?;
        let layers = graph.nodes.iter().map(|node| graph.tensor(node.output).shape).collect();
        Ok(Self { runtime, input, layers })
    }
}

impl Runner for Int8OnnxRuntime {
    fn name(&self) -> &'static str {
        "onnxruntime"
    }

    fn layers(&self, images: &[i8]) -> Result<Vec<Vec<i8>>, RunnerError> {
        let mut layers = vec![Vec::new(); self.layers.len()];
        for chunk in images.chunks(BATCH * self.input.len()) {
            let outputs = self.runtime.run::<i8, i8>(&to_nchw(chunk, self.input))?;
            for ((values, shape), layer) in outputs.iter().zip(&self.layers).zip(&mut layers) {
                layer.extend(to_hwc(values, *shape));
            }
        }
        Ok(layers)
    }
}
