//! Reverse-mode differentiation of ONNX graphs: a forward graph becomes a graph that also computes
//! the loss and the gradient of every parameter.
//!
//! * [`gradient_graph`] makes one pure function: image, labels and parameters in; loss, logits and
//!   one step direction per trainable parameter out.
//! * [`training_graph`] wraps that function for ONNX Runtime's training API, with gradient buffers
//!   that are updated in place.
//! * [`session_graph`] makes a whole step of it for plain sessions, with the updated parameters as outputs.
//!
//! Each operator has one rule in one file of `rules`, in two [`Dialect`]s. Values that no
//! trainable parameter influences get no gradient, so the backward pass of the first layer stops at
//! its weights.

mod adam;
mod average;
mod broadcast;
mod distillation;
mod error;
mod forward;
mod function;
#[cfg(test)]
mod gradient_check;
mod loss;
mod momentum;
mod opset;
mod parameters;
mod rule;
mod rules;
mod session_graph;
mod tape;
mod training_api;

use goldcrest_onnx::{Model, Tensor};

pub use adam::AdamW;
pub use average::averaged;
pub use distillation::Distillation;
pub use error::AutodiffError;
pub(crate) use forward::forward_model;
pub use function::gradient_graph;
pub use momentum::Momentum;
pub use rule::supported_operators;
pub use session_graph::{LEARNING_RATE, SessionGraph, session_graph};
pub use training_api::training_graph;

/// Which operators the backward pass is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Goldcrest's own convolutions ([`crate::operators`]), ONNX Runtime's gradient operators
    /// (`MaxPoolGrad` and others), which only its training build (1.19.2) has, and standard operators for the
    /// rest.
    #[default]
    Training,
    /// Standard ONNX operators of opset 17 alone: runs on any ONNX Runtime.
    Standard,
}

/// How a training graph is made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GraphOptions {
    /// Which operators the backward pass is written in.
    pub dialect: Dialect,
    /// What a training step is told about its images.
    pub targets: Targets,
    /// Part of the target that is spread evenly over all classes, in `0..1`.
    pub label_smoothing: f32,
    /// Learns from a teacher's logits too.
    pub distillation: Option<Distillation>,
    /// Keeps a running mean of the weights, of which this is the share that a step keeps, in `0..1`.
    pub average: Option<f32>,
    /// Parameters whose names begin with one of these keep their values; batch normalizations among
    /// them use their running statistics.
    pub frozen: Vec<String>,
    /// Gradients are scaled down so that their norm, over all parameters, is at most this.
    pub clip_norm: Option<f32>,
    /// What becomes of the gradients inside the graph.
    pub update: Update,
    /// Seeds dropout. ONNX Runtime keeps the state of its generator in the session: the same steps
    /// from a fresh session draw the same masks.
    pub seed: i64,
}

/// What a training step is told about its images. Evaluation takes labels always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Targets {
    /// The class of each image: int64 `[N]`.
    #[default]
    Labels,
    /// The share of each class in each image: float `[N, classes]`, rows that sum to 1.
    Shares,
}

/// How gradients become the direction of a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Update {
    /// They are it.
    #[default]
    Gradient,
    /// By momentum and weight decay.
    Momentum(Momentum),
    /// By AdamW.
    AdamW(AdamW),
}

/// A tensor that training keeps between steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name in the model, and of the graph's input.
    pub name: String,
    /// Its value before the first step.
    pub initial: Tensor,
    /// How a step changes it.
    pub role: Role,
}

impl Parameter {
    /// True when the optimizer changes it.
    pub fn is_trainable(&self) -> bool {
        matches!(self.role, Role::Trainable { .. })
    }
}

/// How a step changes a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// By the optimizer, against the direction that the named output gives: the gradient, or what
    /// [`GraphOptions::update`] makes of it.
    Trainable {
        /// An output of the gradient graph.
        direction: String,
    },
    /// The graph itself gives the next value, as the named output: running statistics, momentum.
    Computed {
        /// An output of the gradient graph.
        next: String,
    },
    /// Not at all.
    Frozen,
}

/// A pure function of image, labels and parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientGraph {
    /// Inputs: the image, the targets ([`Targets`]), the teacher's logits (float `[N, classes]`) where there
    /// is a teacher, then every parameter. Outputs: the loss (a scalar), the logits `[N, classes]`, then what
    /// [`Role`] names, in the order of `parameters`.
    pub model: Model,
    /// Inputs: the image, the labels (int64 `[N]`), every parameter. Outputs: the loss, the logits. Runs as
    /// inference does: running statistics, mean weights where they are kept, no dropout, no label smoothing.
    pub eval_model: Model,
    /// The model to put trained parameters into, by the names of its initializers: what the source
    /// model computes, with opset 17 and any batch.
    pub forward_model: Model,
    /// The parameters in the order of both models' inputs.
    pub parameters: Vec<Parameter>,
}

/// What ONNX Runtime's training API takes, but for the optimizer and the checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingGraph {
    /// Inputs: those of [`GradientGraph::model`], then
    /// `<parameter>_grad.accumulation.buffer` per trainable parameter, `lazy_reset_grad`. Outputs: the loss,
    /// the logits, one flag per updated tensor.
    pub training_model: Model,
    /// See [`GradientGraph::eval_model`].
    pub eval_model: Model,
    /// See [`GradientGraph::forward_model`].
    pub forward_model: Model,
    /// The parameters in the order of both models' inputs.
    pub parameters: Vec<Parameter>,
}

#[cfg(test)]
mod tests;
