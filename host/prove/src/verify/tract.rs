//! tract: the reference the proof stands on.

use std::sync::Arc;

use goldcrest_engine::shape::Shape;
use goldcrest_quantize::graph::QuantizedGraph;
use tract_onnx::prelude::*;

use super::layout::{to_hwc, to_nchw};
use super::runner::{Runner, RunnerError};

/// Images that tract computes at once.
const BATCH: usize = 8;

/// An int8 model in tract, optimized, with every layer as an output.
pub struct Tract {
    plan: Arc<TypedRunnableModel>,
    input: Shape,
    layers: Vec<Shape>,
}

impl Tract {
    /// Loads the bytes of an int8 ONNX file, whose graph is `graph`.
    ///
    /// # Errors
    /// When tract cannot read or optimize the model, or lacks a layer.
    pub fn load(onnx: &[u8], graph: &QuantizedGraph) -> Result<Self, RunnerError> {
        let input = graph.tensor(graph.input).shape;
        let names = graph.nodes.iter().map(|node| &*graph.tensor(node.output).name);
        let plan = plan(onnx, i8::fact([BATCH, input.channels, input.height, input.width]), names)
            .map_err(|error| failure("load the model", &error))?;
        let layers = graph.nodes.iter().map(|node| graph.tensor(node.output).shape).collect();
        Ok(Self { plan, input, layers })
    }
}

impl Runner for Tract {
    fn name(&self) -> &'static str {
        "tract"
    }

    fn layers(&self, images: &[i8]) -> Result<Vec<Vec<i8>>, RunnerError> {
        let mut layers = vec![Vec::new(); self.layers.len()];
        for chunk in images.chunks(BATCH * self.input.len()) {
            let count = chunk.len() / self.input.len();
            let mut batch = to_nchw(chunk, self.input);
            batch.resize(BATCH * self.input.len(), 0);
            let Shape { height, width, channels } = self.input;
            let run = || -> TractResult<TVec<TValue>> {
                let tensor = Tensor::from_shape(&[BATCH, channels, height, width], &batch)?;
                self.plan.run(tvec!(tensor.into_tvalue()))
            };
            let outputs = run().map_err(|error| failure("run the model", &error))?;
            for ((values, shape), layer) in outputs.iter().zip(&self.layers).zip(&mut layers) {
                let view =
                    values.to_plain_array_view::<i8>().map_err(|error| failure("read a layer", &error))?;
                let Some(values) = view.as_slice() else {
                    let message = "a layer is not contiguous".into();
                    return Err(RunnerError::Tract { action: "read a layer", message });
                };
                layer.extend(to_hwc(&values[..(count * shape.len()).min(values.len())], *shape));
            }
        }
        Ok(layers)
    }
}

/// An optimized plan of a model with named values as its outputs.
fn plan<'a>(
    mut onnx: &[u8],
    input: TypedFact,
    outputs: impl Iterator<Item = &'a str>,
) -> TractResult<Arc<TypedRunnableModel>> {
    let mut model = tract_onnx::onnx()
        .with_ignore_value_info(true)
        .model_for_read(&mut onnx)?
        .with_input_fact(0, input.into())?;
    model.select_outputs_by_name(outputs)?;
    model.into_optimized()?.into_runnable()
}

fn failure(action: &'static str, error: &TractError) -> RunnerError {
    RunnerError::Tract { action, message: format!("{error:#}") }
}
