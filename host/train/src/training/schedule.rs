//! Learning rates over the course of a run.

use serde::{Deserialize, Serialize};

/// The shape of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// The same all the time
    #[default]
    Constant,
    /// Multiplied by `step-factor` every `step-every` epochs
    Step,
    /// Half a cosine from the learning rate down to 0
    Cosine,
    /// Up from a 25th and down to 0, each half a cosine, the peak after 30 % of the steps, or after the
    /// warm-up where one is given (Smith and Topin, 2018)
    OneCycle,
}

/// A learning rate for each step of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Shape after the warm-up.
    pub shape: Shape,
    /// The peak.
    pub learning_rate: f32,
    /// Steps over which the rate rises to the peak at the start: linearly, but for [`Shape::OneCycle`], whose
    /// own rise takes as long.
    pub warmup_steps: usize,
    /// Steps of the whole run.
    pub total_steps: usize,
    /// [`Shape::Step`]: steps between two drops.
    pub drop_every: usize,
    /// [`Shape::Step`]: factor of a drop.
    pub drop_factor: f32,
}

/// Share of a one-cycle run until its peak.
const RISE: f64 = 0.3;

/// First rate of a one-cycle run, relative to the peak.
const START: f64 = 1.0 / 25.0;

impl Schedule {
    /// The learning rate of step `step`, counted from 0.
    pub fn rate(&self, step: usize) -> f32 {
        if self.shape == Shape::OneCycle {
            return self.one_cycle(step);
        }
        if step < self.warmup_steps {
            return self.learning_rate * (step + 1) as f32 / self.warmup_steps as f32;
        }
        let step = step - self.warmup_steps;
        let total = self.total_steps.saturating_sub(self.warmup_steps).max(1);
        let progress = (step as f64 / total as f64).min(1.0);
        let share = match self.shape {
            Shape::Constant => 1.0,
            Shape::Step => f64::from(self.drop_factor).powi((step / self.drop_every.max(1)) as i32),
            Shape::Cosine | Shape::OneCycle => ease(1.0, 0.0, progress),
        };
        (f64::from(self.learning_rate) * share) as f32
    }

    fn one_cycle(&self, step: usize) -> f32 {
        let total = self.total_steps.max(1) as f64;
        let rise = if self.warmup_steps > 0 { self.warmup_steps as f64 } else { RISE * total };
        let share = match (step as f64).min(total) {
            step if step < rise => ease(START, 1.0, step / rise),
            step => ease(1.0, 0.0, (step - rise) / (total - rise).max(1.0)),
        };
        (f64::from(self.learning_rate) * share) as f32
    }
}

/// From `start` at progress 0 to `end` at progress 1 along half a cosine.
fn ease(start: f64, end: f64, progress: f64) -> f64 {
    end + (start - end) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(shape: Shape) -> Schedule {
        Schedule {
            shape,
            learning_rate: 0.2,
            warmup_steps: 0,
            total_steps: 1000,
            drop_every: 300,
            drop_factor: 0.1,
        }
    }

    fn rates(schedule: Schedule, steps: [usize; 4]) -> [f32; 4] {
        steps.map(|step| (schedule.rate(step) * 1e4).round() / 1e4)
    }

    #[test]
    fn each_shape_has_its_known_values() {
        assert_eq!(rates(schedule(Shape::Constant), [0, 1, 500, 999]), [0.2; 4]);
        assert_eq!(rates(schedule(Shape::Step), [299, 300, 600, 999]), [0.2, 0.02, 0.002, 0.0002]);
        assert_eq!(rates(schedule(Shape::Cosine), [0, 500, 750, 1000]), [0.2, 0.1, 0.0293, 0.0]);
        assert_eq!(rates(schedule(Shape::OneCycle), [0, 150, 300, 650]), [0.008, 0.104, 0.2, 0.1]);
    }

    #[test]
    fn warm_up_rises_to_the_peak_and_then_hands_over() {
        let schedule = Schedule { warmup_steps: 4, ..schedule(Shape::Cosine) };
        assert_eq!(rates(schedule, [0, 1, 3, 4]), [0.05, 0.1, 0.2, 0.2]);
        assert!(schedule.rate(5) < 0.2);
    }

    #[test]
    fn one_cycle_rises_once_as_long_as_the_warm_up() {
        let schedule = Schedule { warmup_steps: 100, ..schedule(Shape::OneCycle) };
        assert_eq!(rates(schedule, [0, 50, 100, 550]), [0.008, 0.104, 0.2, 0.1]);
        let all: Vec<f32> = (0..1000).map(|step| schedule.rate(step)).collect();
        assert!(all[..=100].is_sorted() && all[100..].is_sorted_by(|a, b| a >= b));
    }
}
