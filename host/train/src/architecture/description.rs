//! The keys of an architecture's TOML.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use toml::Spanned;

/// A network.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Becomes the ONNX graph's name.
    pub name: String,
    /// How weights are drawn.
    #[serde(default)]
    pub initialization: Initialization,
    /// Layers from the image to the logits.
    pub layers: Layers,
    /// Layers with a name, to be used more than once.
    #[serde(default)]
    pub blocks: BTreeMap<String, Block>,
}

/// Layers, each with its place in the TOML.
pub type Layers = Vec<Spanned<Layer>>;

/// Layers with a name. Inside, `"$channels"`, `"$stride"` and `"$kernel"` stand for what the use says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Layers from the block's input to its output.
    pub layers: Layers,
}

/// How weights are drawn. `fan_in` is the number of products summed for one output.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Initialization {
    /// PyTorch's default: weights and biases uniform in `+-1/sqrt(fan_in)`.
    #[default]
    KaimingUniform,
    /// Weights normal with variance `2/fan_in`, biases 0 (He et al., 2015).
    HeNormal,
}

/// One layer: a name, or a table with one key, as in `{ conv = { channels = 8, kernel = 3 } }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Convolution.
    Conv(Conv),
    /// Convolution of every channel with its own kernel.
    Depthwise(Depthwise),
    /// Fully connected layer.
    Linear(Linear),
    /// Normalization of each channel over the batch.
    BatchNorm,
    /// Maximum over a window.
    MaxPool(Pool),
    /// Mean over a window; padding does not count.
    AveragePool(Pool),
    /// Mean over all rows and columns.
    GlobalAveragePool,
    /// `[N, C, H, W]` to `[N, C*H*W]`.
    Flatten,
    /// Sets values to 0 at random in training.
    Dropout(Dropout),
    /// A sum of two ways.
    Residual(Residual),
    /// A named block.
    Block(BlockUse),
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `x * max(0, min(1, x / 6 + 0.5))`
    HardSwish,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
}

/// An elementwise function.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `x * max(0, min(1, x / 6 + 0.5))`
    HardSwish,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
}

/// `conv`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv {
    /// Output channels.
    pub channels: Size,
    /// Rows and columns of the kernel.
    pub kernel: Size,
    /// Step in both directions.
    #[serde(default)]
    pub stride: Size,
    /// Zeros on every side.
    #[serde(default)]
    pub padding: Padding,
    /// Groups that channels are divided into.
    #[serde(default)]
    pub groups: Size,
    /// Adds a bias; by default yes, unless `batch_norm` follows.
    pub bias: Option<bool>,
    /// Batch normalization after the convolution.
    #[serde(default)]
    pub batch_norm: bool,
    /// Elementwise function at the end.
    pub activation: Option<Activation>,
}

/// `depthwise`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Depthwise {
    /// Rows and columns of the kernel.
    pub kernel: Size,
    /// Step in both directions.
    #[serde(default)]
    pub stride: Size,
    /// Zeros on every side.
    #[serde(default)]
    pub padding: Padding,
    /// Adds a bias; by default yes, unless `batch_norm` follows.
    pub bias: Option<bool>,
    /// Batch normalization after the convolution.
    #[serde(default)]
    pub batch_norm: bool,
    /// Elementwise function at the end.
    pub activation: Option<Activation>,
}

/// `linear`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Outputs; `"$classes"` in the last layer.
    pub features: Size,
    /// Adds a bias; by default yes.
    pub bias: Option<bool>,
    /// Elementwise function at the end.
    pub activation: Option<Activation>,
}

/// `max_pool`, `average_pool`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Rows and columns of the window.
    pub kernel: Size,
    /// Step in both directions; by default the kernel.
    pub stride: Option<Size>,
    /// Rows and columns around the input.
    #[serde(default)]
    pub padding: Padding,
}

/// `dropout`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// Part of the values set to 0, in `0..1`.
    pub ratio: f32,
}

/// `residual`: `activation(body(x) + shortcut(x))`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residual {
    /// The long way.
    pub body: Layers,
    /// The short way where `body` changes the shape; elsewhere the input itself is added.
    #[serde(default)]
    pub shortcut: Layers,
    /// Elementwise function after the sum.
    pub activation: Option<Activation>,
}

/// `block`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockUse {
    /// Which of `[blocks]`.
    pub name: String,
    /// `"$channels"` inside the block.
    pub channels: Option<Size>,
    /// `"$stride"` inside the block; 1 from the second repetition on.
    #[serde(default)]
    pub stride: Size,
    /// `"$kernel"` inside the block.
    pub kernel: Option<Size>,
    /// How many times, one after the other.
    #[serde(default)]
    pub repeat: Size,
}

/// A positive number, or `"$name"`: a number that the block's use or the data set gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Size {
    /// Written out.
    Number(usize),
    /// Without the `$`.
    Variable(String),
}

impl Default for Size {
    fn default() -> Self {
        Self::Number(1)
    }
}

/// Zeros around the input of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    /// `"same"`: half the kernel, so that stride 1 keeps rows and columns.
    Same,
    /// This many on every side.
    Number(usize),
}

impl Default for Padding {
    fn default() -> Self {
        Self::Number(0)
    }
}

/// Sizes above this are mistakes, and would overflow further on.
const LARGEST: i64 = 65536;

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expected;
        impl Visitor<'_> for Expected {
            type Value = Size;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "a number from 1 to {LARGEST}, or \"$channels\", \"$stride\", \"$kernel\", \"$classes\""
                )
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Size, E> {
                match usize::try_from(value) {
                    Ok(number) if (1..=LARGEST).contains(&value) => Ok(Size::Number(number)),
                    _ => Err(E::invalid_value(de::Unexpected::Signed(value), &self)),
                }
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Size, E> {
                match value.strip_prefix('$') {
                    Some(name @ ("channels" | "stride" | "kernel" | "classes")) => {
                        Ok(Size::Variable(name.into()))
                    }
                    _ => Err(E::invalid_value(de::Unexpected::Str(value), &self)),
                }
            }
        }
        deserializer.deserialize_any(Expected)
    }
}

impl<'de> Deserialize<'de> for Padding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expected;
        impl Visitor<'_> for Expected {
            type Value = Padding;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"same\" or a number from 0 to {LARGEST}")
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Padding, E> {
                match usize::try_from(value) {
                    Ok(number) if value <= LARGEST => Ok(Padding::Number(number)),
                    _ => Err(E::invalid_value(de::Unexpected::Signed(value), &self)),
                }
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Padding, E> {
                match value {
                    "same" => Ok(Padding::Same),
                    _ => Err(E::invalid_value(de::Unexpected::Str(value), &self)),
                }
            }
        }
        deserializer.deserialize_any(Expected)
    }
}
