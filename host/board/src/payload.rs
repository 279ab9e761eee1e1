//! A device image and what people want to know of its layers.

use goldcrest_engine::ImageBuf;
use goldcrest_engine::kernels;
use goldcrest_engine::packer::{self, Channel, Record};
use goldcrest_engine::shape::Window;
use goldcrest_quantize::graph::QuantizedModel;
use goldcrest_quantize::pack::{PackError, PackOptions, pack};
use goldcrest_quantize::random::Random;

/// A device image and what people want to know of its layers.
#[derive(Clone, Debug)]
pub struct Payload {
    /// The device image.
    pub image: ImageBuf,
    /// Its layers, in order.
    pub layers: Vec<Layer>,
}

/// A layer of a device image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Name of the ONNX node; of the kernel, with the layer's number, where only the image is known.
    pub name: String,
    /// Multiply-accumulates, where they are known.
    pub macs: Option<u64>,
    /// Name of its kernel.
    pub kernel: &'static str,
    /// Its window and its shapes, such as `3x3/2, 32x32x16 to 16x16x32`.
    pub shape: String,
    /// Bytes it writes.
    pub output_bytes: usize,
    /// Bytes of weights and channel constants.
    pub weight_bytes: usize,
    /// Bytes of scratch memory.
    pub scratch_bytes: usize,
}

/// `3x3/2, 32x32x16 to 16x16x32`: window and stride where there is a window, then the shapes.
fn shape(record: &Record) -> String {
    let Window { kernel: [rows, columns], stride, .. } = record.window;
    let window = match stride {
        _ if record.window == Window::new([1, 1], [1, 1]) => String::new(),
        [1, 1] => format!("{rows}x{columns}, "),
        [step, across] if step == across => format!("{rows}x{columns}/{step}, "),
        [down, across] => format!("{rows}x{columns}/{down}x{across}, "),
    };
    format!("{window}{} to {}", record.input.shape, record.output.shape)
}

impl Payload {
    /// Packs an int8 model.
    pub fn pack(model: &QuantizedModel, options: &PackOptions) -> Result<Self, PackError> {
        let packed = pack(model, options)?;
        let layers = packed.layers.into_iter().zip(packed.image.image().layers());
        let layers = layers
            .map(|(layer, packer::Layer { record, .. })| Layer {
                name: layer.name,
                kernel: layer.kernel,
                shape: shape(&record),
                macs: Some(layer.macs),
                output_bytes: layer.outputs,
                weight_bytes: layer.weight_bytes,
                scratch_bytes: layer.scratch_bytes,
            })
            .collect();
        Ok(Self { image: packed.image, layers })
    }

    /// Golden vectors in the device image.
    pub fn golden(&self) -> usize {
        self.image.image().golden().count()
    }

    /// Takes a device image as it is.
    pub fn from_image(image: ImageBuf) -> Self {
        let layer = |(index, layer): (usize, packer::Layer<'_>)| {
            let kernel = kernels::name(layer.record.kernel).unwrap_or("unknown");
            Layer {
                name: format!("{index}:{kernel}"),
                kernel,
                shape: shape(&layer.record),
                macs: None,
                output_bytes: layer.record.output.shape.len(),
                weight_bytes: layer.weights.len() + layer.channels.len() * Channel::BYTES,
                scratch_bytes: layer.record.scratch.1,
            }
        };
        let layers = image.image().layers().enumerate().map(layer).collect();
        Self { image, layers }
    }
}

/// Two pictures of noise for a board's self-test, each of that many bytes.
pub fn self_test_pictures(bytes: usize) -> Vec<Vec<u8>> {
    noise(2, bytes)
}

/// Pictures of noise, each of that many bytes: they reach every value.
pub fn noise(count: u16, bytes: usize) -> Vec<Vec<u8>> {
    (1..=u64::from(count)).map(|seed| Random::new(seed).pixels(bytes)).collect()
}
