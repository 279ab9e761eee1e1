//! Training by plain sessions, for an ONNX Runtime without the training API: a step is one run of a graph
//! whose outputs are the next step's inputs. They stay on the device that computes.

use std::collections::BTreeMap;

use ort::ep;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::IoBinding;
use ort::value::{DynValue, Tensor, TensorValueType};

use super::checkpoint::State;
use super::session::{Answer, Doing, Feed, Session, SessionError, Told, options};
use crate::autodiff::{LEARNING_RATE, SessionGraph};
use crate::onnx::{self, Model};
use crate::runtime::{self, Device};

/// Two sessions over one set of parameters.
pub struct PlainSession {
    step: Runner,
    evaluation: Runner,
    /// Names and shapes of all parameters, and the values before the first step.
    layout: State,
    /// The values of the parameters.
    values: BTreeMap<String, DynValue>,
    next: Vec<(String, String)>,
    device: Device,
}

/// A session with its names.
struct Runner {
    session: ort::session::Session,
    /// The images and what is told about them, then parameters.
    inputs: Vec<String>,
    /// The loss and the logits.
    results: [String; 2],
    parameters: Vec<String>,
}

impl PlainSession {
    /// Opens the sessions on `device` with `threads` threads per operator.
    pub fn new(
        graph: &SessionGraph,
        state: State,
        threads: usize,
        device: Device,
    ) -> Result<Self, SessionError> {
        let open = |model| Runner::new(model, &state, threads, device);
        let (step, evaluation) = (open(&graph.step_model)?, open(&graph.eval_model)?);
        let mut values = BTreeMap::new();
        for (name, tensor) in state.trainable.iter().chain(&state.frozen) {
            let floats = tensor.as_f32().unwrap_or_default().to_vec();
            let value = Tensor::from_array((tensor.shape.clone(), floats));
            values.insert(name.clone(), value.doing("handing over a parameter")?.into_dyn());
        }
        Ok(Self { step, evaluation, layout: state, values, next: graph.next.clone(), device })
    }
}

fn memory(device: Device) -> Result<MemoryInfo<'static>, SessionError> {
    let device = match device {
        Device::Cpu => AllocationDevice::CPU,
        Device::Cuda => AllocationDevice::CUDA,
    };
    MemoryInfo::new(device, 0, AllocatorType::Device, MemoryType::Default).doing("describing memory")
}

impl Runner {
    fn new(model: &Model, state: &State, threads: usize, device: Device) -> Result<Self, SessionError> {
        let action = "opening a session";
        let mut builder = options(runtime::session()?, threads)?;
        if device == Device::Cuda {
            let provider = ep::CUDA::default().build().error_on_failure();
            builder = builder.with_execution_providers([provider]).doing("starting the CUDA provider")?;
        }
        let session = builder.commit_from_memory(&model.encode()).doing(action)?;
        let graph = &model.graph;
        let inputs: Vec<String> = graph.inputs.iter().map(|input| input.name.clone()).collect();
        let parameters = inputs.iter().filter(|name| state.parameter(name).is_some()).cloned().collect();
        let results = [0, 1].map(|at| graph.outputs[at].name.clone());
        Ok(Self { session, inputs, results, parameters })
    }

    /// The batch and the parameters as inputs, loss and logits as outputs in the host's memory.
    fn bind<'a>(
        &self,
        feed: Feed,
        told: impl Iterator<Item = Told<'a>>,
        values: &BTreeMap<String, DynValue>,
    ) -> Result<IoBinding, SessionError> {
        let action = "passing a batch";
        // Owned: bound views are copied too, by a session that ONNX Runtime 1.19 refuses to open.
        let images = Tensor::from_array((feed.shape.to_vec(), feed.images.to_vec())).doing(action)?;
        let mut binding = self.session.create_binding().doing(action)?;
        binding.bind_input(&self.inputs[0], &images).doing(action)?;
        let count = feed.labels.len();
        for (name, told) in self.inputs[1..].iter().zip(told) {
            let value = match told {
                Told::Labels(labels) => {
                    Tensor::from_array(([count], labels.to_vec())).doing(action)?.into_dyn()
                }
                Told::Rows(rows) => {
                    let classes = rows.len() / count.max(1);
                    Tensor::from_array(([count, classes], rows.to_vec())).doing(action)?.into_dyn()
                }
            };
            binding.bind_input(name, &value).doing(action)?;
        }
        for name in &self.parameters {
            if let Some(value) = values.get(name) {
                binding.bind_input(name, value).doing(action)?;
            }
        }
        let host = memory(Device::Cpu)?;
        for result in &self.results {
            binding.bind_output_to_device(result, &host).doing(action)?;
        }
        Ok(binding)
    }
}

/// Takes loss and logits out of a run's outputs.
fn answer(
    outputs: &mut ort::session::SessionOutputs<'_>,
    results: &[String; 2],
    images: usize,
) -> Result<Answer, SessionError> {
    let found = outputs.len();
    let [Some(loss), Some(logits)] = results.each_ref().map(|name| outputs.remove(name)) else {
        return Err(SessionError::Outputs { graph: "session", found });
    };
    let (_, loss) = loss.try_extract_tensor::<f32>().doing("reading the loss")?;
    let (_, logits) = logits.try_extract_tensor::<f32>().doing("reading the logits")?;
    Ok(Answer::new(loss, logits, images))
}

impl Session for PlainSession {
    fn step(&mut self, feed: Feed, learning_rate: f32) -> Result<Answer, SessionError> {
        let action = "training on a batch";
        let mut binding = self.step.bind(feed, feed.told(), &self.values)?;
        let rate = Tensor::from_array(((), vec![learning_rate])).doing(action)?;
        binding.bind_input(LEARNING_RATE, &rate).doing(action)?;
        let device = memory(self.device)?;
        for (_, output) in &self.next {
            binding.bind_output_to_device(output, &device).doing(action)?;
        }
        let mut outputs = self.step.session.run_binding(&binding).doing(action)?;
        let found = outputs.len();
        for (name, output) in &self.next {
            let value = outputs.remove(output).ok_or(SessionError::Outputs { graph: "session", found })?;
            self.values.insert(name.clone(), value);
        }
        answer(&mut outputs, &self.step.results, feed.labels.len())
    }

    fn evaluate(&mut self, feed: Feed) -> Result<Answer, SessionError> {
        let action = "evaluating a batch";
        let binding = self.evaluation.bind(feed, std::iter::once(Told::Labels(feed.labels)), &self.values)?;
        let mut outputs = self.evaluation.session.run_binding(&binding).doing(action)?;
        answer(&mut outputs, &self.evaluation.results, feed.labels.len())
    }

    fn state(&self) -> Result<State, SessionError> {
        let action = "reading a parameter";
        let mut state = State { properties: Default::default(), ..self.layout.clone() };
        for (name, tensor) in state.trainable.iter_mut().chain(state.frozen.iter_mut()) {
            let Some(value) = self.values.get(name) else { continue };
            let floats = match self.device {
                Device::Cpu => value.try_extract_tensor::<f32>().doing(action)?.1.to_vec(),
                Device::Cuda => {
                    let value = value.view().downcast::<TensorValueType<f32>>().doing(action)?;
                    let copy = value.to(AllocationDevice::CPU, 0).doing(action)?;
                    copy.try_extract_tensor::<f32>().doing(action)?.1.to_vec()
                }
            };
            *tensor = onnx::Tensor::f32(&tensor.shape, floats);
        }
        Ok(state)
    }
}
