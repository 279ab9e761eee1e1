//! How a run uses the machine.

use std::time::Duration;

use goldcrest_prove::runtime::{self, Device};

use super::error::TrainError;
use super::session::SessionError;

/// What makes the steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The training API if this ONNX Runtime has it and the steps run on the processor, else plain sessions
    #[default]
    Auto,
    /// ONNX Runtime's training API; on the processor
    TrainingApi,
    /// Plain sessions over standard operators; any ONNX Runtime, any device
    Session,
}

impl Backend {
    /// Every backend and its name.
    pub const ALL: [(&str, Self); 3] =
        [("auto", Self::Auto), ("training-api", Self::TrainingApi), ("session", Self::Session)];
}

/// How a run uses the machine; nothing of it changes the outcome but for the rounding of sums.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What makes the steps.
    pub backend: Backend,
    /// Where steps are made.
    pub device: Device,
    /// Threads per operator; the input pipeline has its own.
    pub threads: usize,
    /// Longest time between two checkpoints.
    pub save_every: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        let (backend, device) = (Backend::Auto, Device::Cpu);
        Self { backend, device, threads: 1, save_every: Duration::from_secs(300) }
    }
}

impl Setup {
    /// Whether the training API makes the steps.
    pub(super) fn uses_api(&self) -> Result<bool, TrainError> {
        let has_training =
            runtime::load(&runtime::Choice::default()).map_err(SessionError::from)?.has_training;
        match (self.backend, self.device) {
            (Backend::Auto, Device::Cpu) => Ok(has_training),
            (Backend::TrainingApi, Device::Cpu) if !has_training => Err(SessionError::NoTraining.into()),
            (Backend::TrainingApi, Device::Cpu) => Ok(true),
            (Backend::TrainingApi, Device::Cuda) => Err(TrainError::ApiDevice),
            (Backend::Session, _) | (Backend::Auto, Device::Cuda) => Ok(false),
        }
    }
}
