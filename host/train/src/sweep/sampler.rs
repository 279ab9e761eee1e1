//! Which point to try next: a tree-structured Parzen estimator for each dimension (Bergstra et al.:
//! Algorithms for Hyper-Parameter Optimization, 2011), by the `tpe` crate.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tpe::TpeOptimizer;
use tpe::density_estimation::DefaultEstimatorBuilder;

use super::space::{Dimension, Point, Space};

/// Trials at random points before the estimator is asked.
pub const RANDOM_TRIALS: usize = 5;

/// Draws points; what it draws next depends on the seed and on the trials it was told of.
pub struct Sampler<'a> {
    space: &'a Space,
    estimators: Vec<TpeOptimizer<DefaultEstimatorBuilder>>,
    seed: u64,
    trials: u64,
}

impl<'a> Sampler<'a> {
    /// A sampler that was told of no trial yet.
    pub fn new(space: &'a Space, seed: u64) -> Self {
        let estimators = space.dimensions().filter_map(|(_, dimension)| {
            let (start, end) = dimension.span();
            let builder = match dimension {
                Dimension::Range { .. } => tpe::parzen_estimator(),
                Dimension::Choices(_) => tpe::histogram_estimator(),
            };
            // A space has no empty or infinite dimension.
            Some(TpeOptimizer::new(builder, tpe::range(start, end).ok()?))
        });
        Self { space, estimators: estimators.collect(), seed, trials: 0 }
    }

    /// The next point. Without [`Sampler::tell`] in between it is the same again.
    pub fn ask(&mut self) -> Point {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(self.trials);
        let explores = self.trials < RANDOM_TRIALS as u64;
        let dimensions = self.space.dimensions().zip(&mut self.estimators);
        let drawn = dimensions.map(|((_, dimension), estimator)| {
            let (start, end) = dimension.span();
            match estimator.ask(&mut random) {
                Ok(drawn) if !explores => drawn,
                _ => random.random_range(start..end),
            }
        });
        self.space.point(drawn.collect())
    }

    /// Takes the outcome of a point: the lower `cost`, the better.
    pub fn tell(&mut self, drawn: &[f64], cost: f64) {
        for (estimator, drawn) in self.estimators.iter_mut().zip(drawn) {
            // Points of the same space and a finite cost are always taken.
            let told = estimator.tell(*drawn, cost);
            debug_assert!(told.is_ok(), "{told:?}");
        }
        self.trials += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Space {
        toml::from_str(
            "learning-rate = { low = 1e-4, high = 1.0, log = true }\nmomentum = { low = 0.0, high = 0.9 }\n\
             batch = { choices = [16, 32, 64] }",
        )
        .unwrap()
    }

    /// Best at a rate of 0.01, momentum 0.8 and a batch of 32.
    fn cost(point: &Point) -> f64 {
        let number = |key: &str| point.values[key].as_float().unwrap_or_default();
        let batch = if point.values["batch"].as_integer() == Some(32) { 0.0 } else { 0.5 };
        (number("learning-rate") / 0.01).ln().abs() / 4.0 + (number("momentum") - 0.8).abs() + batch
    }

    #[test]
    fn later_points_are_better_than_random_ones() {
        let (space, mut early, mut late) = (space(), 0.0, 0.0);
        for seed in 0..10 {
            let mut sampler = Sampler::new(&space, seed);
            for trial in 0..60 {
                let point = sampler.ask();
                let cost = cost(&point);
                early += if trial < 20 { cost } else { 0.0 };
                late += if trial >= 40 { cost } else { 0.0 };
                sampler.tell(&point.drawn, cost);
            }
        }
        assert!(late < 0.6 * early, "{late} {early}");
    }

    #[test]
    fn a_sampler_told_the_same_draws_the_same() {
        let space = space();
        let mut first = Sampler::new(&space, 3);
        let mut told = Vec::new();
        for _ in 0..8 {
            let point = first.ask();
            assert_eq!(first.ask(), point);
            first.tell(&point.drawn, cost(&point));
            told.push(point);
        }
        let mut second = Sampler::new(&space, 3);
        told.iter().for_each(|point| second.tell(&point.drawn, cost(point)));
        assert_eq!(second.ask(), first.ask());
        assert_ne!(Sampler::new(&space, 4).ask(), told[0]);
    }
}
