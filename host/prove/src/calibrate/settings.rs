//! How a model is quantized: the choices of a person, or of `--auto`.

use goldcrest_quantize::Options;
use goldcrest_quantize::range::RangeMethod;

/// Choices of the pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Choices of the quantizer itself.
    pub options: Options,
    /// Strength of cross-layer equalization, from 0 (none) to 1 (all channels reach equally far).
    pub equalize: f64,
    /// Learn weights and biases layer by layer instead of rounding each weight to the nearest integer.
    pub learn: bool,
    /// Layers whose weights get four bits, by name.
    pub int4: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { options: Options::default(), equalize: 0.4, learn: true, int4: Vec::new() }
    }
}

impl std::fmt::Display for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.options.range {
            RangeMethod::MinMax => write!(f, "minmax")?,
            RangeMethod::Percentile(fraction) => {
                write!(f, "percentile {}", (1e8 * (1.0 - fraction)).round() / 1e6)?
            }
            RangeMethod::MeanSquaredError => write!(f, "mse")?,
            RangeMethod::Entropy => write!(f, "entropy")?,
        }
        write!(f, ", equalized {}, ", self.equalize)?;
        f.write_str(if self.learn { "learned" } else { "nearest" })?;
        match self.int4.is_empty() {
            true => Ok(()),
            false => write!(f, ", 4 bits: {}", self.int4.join(" ")),
        }
    }
}
