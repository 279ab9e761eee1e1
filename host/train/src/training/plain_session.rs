//! Training by plain sessions, for an ONNX Runtime without the training API: a step is one run of a graph
//! whose outputs are the next step's inputs. They stay on the device that computes.

use std::cell::RefCell;
use std::collections::BTreeMap;

use goldcrest_onnx::{self as onnx, Model};
use goldcrest_prove::runtime::{self, Device};
use ort::ep;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::IoBinding;
use ort::value::{DynValue, Tensor};

use super::checkpoint::State;
use super::optimizer::OPSET;
use super::session::{Answer, Doing, Feed, Session, SessionError, Told, options};
use crate::autodiff::{LEARNING_RATE, SessionGraph};

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
    copier: Copier,
}

/// Copies parameters to the host's memory, by a session of one `Identity` each. `ort`'s own copy between
/// devices does it with a model that ONNX Runtime 1.19 refuses.
struct Copier {
    session: RefCell<ort::session::Session>,
    names: Vec<String>,
}

impl Copier {
    fn new(state: &State, threads: usize, device: Device) -> Result<Self, SessionError> {
        let mut graph = onnx::Graph { name: "copy".into(), ..onnx::Graph::default() };
        let mut names = Vec::new();
        for (name, tensor) in state.trainable.iter().chain(&state.frozen) {
            let shape: Vec<i64> = tensor.shape.iter().map(|&size| size as i64).collect();
            let copy = copied(name);
            graph.inputs.push(onnx::ValueInfo::float(name, &shape));
            graph.outputs.push(onnx::ValueInfo::float(&copy, &shape));
            graph.nodes.push(onnx::Node::new("Identity", &[name], &[&copy]));
            names.push(name.clone());
        }
        let model = Model { graph, opset: OPSET, ..Model::default() };
        Ok(Self { session: RefCell::new(session(&model, threads, device)?), names })
    }

    /// The values of all parameters by name.
    fn copy(&self, values: &BTreeMap<String, DynValue>) -> Result<BTreeMap<String, Vec<f32>>, SessionError> {
        let action = "copying the parameters";
        let mut session = self.session.borrow_mut();
        let mut binding = session.create_binding().doing(action)?;
        let host = memory(Device::Cpu)?;
        for name in &self.names {
            if let Some(value) = values.get(name) {
                binding.bind_input(name, value).doing(action)?;
            }
            binding.bind_output_to_device(copied(name), &host).doing(action)?;
        }
        let outputs = session.run_binding(&binding).doing(action)?;
        let copy = |name: &String| {
            let found = outputs.len();
            let value = outputs.get(copied(name)).ok_or(SessionError::Outputs { graph: "copy", found })?;
            Ok((name.clone(), value.try_extract_tensor::<f32>().doing(action)?.1.to_vec()))
        };
        self.names.iter().map(copy).collect()
    }
}

fn copied(name: &str) -> String {
    format!("{name}.copy")
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
        let copier = Copier::new(&state, threads, device)?;
        Ok(Self { step, evaluation, layout: state, values, next: graph.next.clone(), device, copier })
    }
}

fn memory(device: Device) -> Result<MemoryInfo<'static>, SessionError> {
    let device = match device {
        Device::Cpu => AllocationDevice::CPU,
        Device::Cuda => AllocationDevice::CUDA,
    };
    MemoryInfo::new(device, 0, AllocatorType::Device, MemoryType::Default).doing("describing memory")
}

/// A session on the device.
fn session(model: &Model, threads: usize, device: Device) -> Result<ort::session::Session, SessionError> {
    let mut builder = options(runtime::session()?, threads)?;
    if device == Device::Cuda {
        let provider = ep::CUDA::default().build().error_on_failure();
        builder = builder.with_execution_providers([provider]).doing("starting the CUDA provider")?;
    }
    builder.commit_from_memory(&model.encode()).doing("opening a session")
}

impl Runner {
    fn new(model: &Model, state: &State, threads: usize, device: Device) -> Result<Self, SessionError> {
        let session = session(model, threads, device)?;
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
        let mut state = State { properties: Default::default(), ..self.layout.clone() };
        let mut copies = match self.device {
            Device::Cpu => BTreeMap::new(),
            Device::Cuda => self.copier.copy(&self.values)?,
        };
        for (name, tensor) in state.trainable.iter_mut().chain(state.frozen.iter_mut()) {
            let Some(value) = self.values.get(name) else { continue };
            let floats = match copies.remove(name) {
                Some(copy) => copy,
                None => value.try_extract_tensor::<f32>().doing("reading a parameter")?.1.to_vec(),
            };
            *tensor = onnx::Tensor::f32(&tensor.shape, floats);
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff;
    use goldcrest_engine::shape::Shape;

    /// What a GPU's parameters are read by, on the processor, where they can be compared.
    #[test]
    fn copied_parameters_are_the_parameters() {
        runtime::load(&Default::default()).unwrap();
        let model = crate::architecture::load("lenet5").unwrap().build(Shape::new(32, 32, 3), 10, 1).unwrap();
        let graph = autodiff::session_graph(&model, &autodiff::GraphOptions::default()).unwrap();
        let mut state = State::default();
        for parameter in &graph.parameters {
            state.trainable.insert(parameter.name.clone(), parameter.initial.clone());
        }
        let mut session = PlainSession::new(&graph, state.clone(), 1, Device::Cpu).unwrap();
        let images = vec![0.5; 2 * 3 * 32 * 32];
        let shape = [2, 3, 32, 32];
        let feed = Feed { shape: &shape, images: &images, labels: &[1, 2], lessons: Default::default() };
        session.step(feed, 0.1).unwrap();
        let copies = session.copier.copy(&session.values).unwrap();
        let after = session.state().unwrap();
        assert_eq!(copies.len(), after.trainable.len());
        for (name, tensor) in &after.trainable {
            assert_eq!(tensor.as_f32(), copies.get(name).map(Vec::as_slice), "{name}");
            assert_ne!(state.trainable.get(name), Some(tensor), "{name}");
        }
    }
}
