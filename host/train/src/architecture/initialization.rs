//! Fresh weights.

use goldcrest_onnx::Tensor;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::description::Initialization;

/// A seeded source of fresh parameters.
pub(super) struct Weights {
    initialization: Initialization,
    random: ChaCha8Rng,
}

impl Weights {
    pub(super) fn new(initialization: Initialization, seed: u64) -> Self {
        Self { initialization, random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Weights of a layer that sums `fan_in` products for one output.
    pub(super) fn weights(&mut self, shape: &[usize], fan_in: usize) -> Tensor {
        let count = shape.iter().product();
        let fan_in = fan_in as f32;
        let data = match self.initialization {
            Initialization::KaimingUniform => self.uniform(count, fan_in.sqrt().recip()),
            Initialization::HeNormal => self.normal(count, (2.0 / fan_in).sqrt()),
        };
        Tensor::f32(shape, data)
    }

    /// Biases of the same layer.
    pub(super) fn bias(&mut self, count: usize, fan_in: usize) -> Tensor {
        let data = match self.initialization {
            Initialization::KaimingUniform => self.uniform(count, (fan_in as f32).sqrt().recip()),
            Initialization::HeNormal => vec![0.0; count],
        };
        Tensor::f32(&[count], data)
    }

    fn uniform(&mut self, count: usize, bound: f32) -> Vec<f32> {
        (0..count).map(|_| self.random.random_range(-bound..bound)).collect()
    }

    /// Box and Muller's transform.
    fn normal(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        let mut draw = || {
            let radius = (-2.0 * (1.0 - self.random.random::<f64>()).ln()).sqrt();
            radius * (std::f64::consts::TAU * self.random.random::<f64>()).cos()
        };
        (0..count).map(|_| draw() as f32 * deviation).collect()
    }
}
