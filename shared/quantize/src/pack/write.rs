//! The bytes of a device image, as `docs/device-image.md` specifies them.

use alloc::{vec, vec::Vec};

use super::PackError;
use super::lower::Step;
use crate::graph::QuantizedModel;
use goldcrest_engine::kernels::Family;
use goldcrest_engine::packer::{ALIGNMENT, MAGIC, Record, VERSION, checksum, header_field as field};

/// Bit 0 of the header's flags: no pixel tables.
const FLAG_PLAIN_PIXELS: u16 = 1;

/// What goes into an image.
pub struct Contents<'a> {
    pub model: &'a QuantizedModel,
    pub family: Family,
    pub steps: &'a [Step],
    pub arena_bytes: usize,
    /// Arena offset of the input.
    pub input: usize,
    /// Arena offset of the logits.
    pub output: usize,
}

impl Contents<'_> {
    /// The image with these golden pictures and logits.
    pub fn write(&self, golden: &[(Vec<u8>, Vec<i8>)]) -> Result<Vec<u8>, PackError> {
        let graph = &self.model.graph;
        let (input, output) = (graph.tensor(graph.input), graph.tensor(graph.output));
        let mut image = Writer { bytes: vec![0; field::END], what: &graph.name };
        let layers = image.align();
        image.bytes.resize(layers + self.steps.len() * Record::BYTES, 0);
        for (index, step) in self.steps.iter().enumerate() {
            let record = image.constants(step);
            let refused = |what| PackError::Field { layer: step.name.clone(), what };
            let bytes = record.encode().map_err(refused)?;
            image.bytes[layers + index * Record::BYTES..][..Record::BYTES].copy_from_slice(&bytes);
        }
        let tables: Vec<[i8; 256]> = (0..input.shape.channels).map(|c| self.model.pixel_table(c)).collect();
        let plain =
            tables.iter().all(|table| (0..256).all(|pixel| i32::from(table[pixel]) == pixel as i32 - 128));
        let pixels = image.align();
        if !plain {
            image.bytes.extend(tables.iter().flatten().map(|&value| value as u8));
        }
        let pictures = image.bytes.len();
        for (picture, logits) in golden {
            image.bytes.extend(picture);
            image.bytes.extend(logits.iter().map(|&value| value as u8));
        }
        let labels = image.bytes.len();
        for label in &self.model.info.labels {
            image.short_bytes(label.len(), "label")?;
            image.bytes.extend(label.as_bytes());
        }
        image.bytes.resize(image.bytes.len().next_multiple_of(ALIGNMENT), 0);

        image.set(field::MAGIC, MAGIC);
        image.set(field::VERSION, VERSION.to_le_bytes());
        image.set(field::FLAGS, (u16::from(plain) * FLAG_PLAIN_PIXELS).to_le_bytes());
        image.long(field::LENGTH, image.bytes.len(), "length")?;
        image.short(field::HEIGHT, input.shape.height, "input height")?;
        image.short(field::WIDTH, input.shape.width, "input width")?;
        image.short(field::CHANNELS, input.shape.channels, "input channels")?;
        image.short(field::CLASSES, output.shape.channels, "number of classes")?;
        image.set(field::OUTPUT_SCALE, output.info.scale.to_bits().to_le_bytes());
        image.set(field::OUTPUT_ZERO, [output.info.zero_point as u8]);
        image.set(field::FAMILY, [self.family.code()]);
        image.long(field::ARENA_BYTES, self.arena_bytes, "arena")?;
        image.long(field::INPUT_OFFSET, self.input, "input offset")?;
        image.long(field::OUTPUT_OFFSET, self.output, "output offset")?;
        image.long(field::LAYERS, layers, "layer table")?;
        image.short(field::LAYER_COUNT, self.steps.len(), "number of layers")?;
        image.short(field::GOLDEN_COUNT, golden.len(), "number of golden pictures")?;
        image.long(field::GOLDEN, pictures, "golden pictures")?;
        image.long(field::LABELS, labels, "labels")?;
        image.long(field::PIXELS, pixels, "pixel tables")?;
        image.set(field::FIT, [self.model.info.preprocessing.fit.code()]);
        image.set(field::BACKGROUND, self.model.info.preprocessing.background);
        image.set(field::CHECKSUM, checksum(&image.bytes).to_le_bytes());
        Ok(image.bytes)
    }
}

/// An image that grows.
struct Writer<'a> {
    bytes: Vec<u8>,
    /// Whose numbers are written, for errors.
    what: &'a str,
}

impl Writer<'_> {
    /// Fills up to the next aligned offset and returns it.
    fn align(&mut self) -> usize {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
        self.bytes.len()
    }

    /// Appends a layer's constants and returns its record with their offsets.
    fn constants(&mut self, step: &Step) -> Record {
        let mut record = step.record;
        record.channels.0 = self.align();
        for channel in &step.channels {
            self.bytes.extend(channel.bias.to_le_bytes());
            self.bytes.extend(channel.multiplier.to_le_bytes());
        }
        record.weights.0 = self.align();
        self.bytes.extend(step.weights.iter().map(|&weight| weight as u8));
        record
    }

    fn set<const N: usize>(&mut self, at: usize, value: [u8; N]) {
        self.bytes[at..at + N].copy_from_slice(&value);
    }

    fn short(&mut self, at: usize, value: usize, what: &'static str) -> Result<(), PackError> {
        let value = u16::try_from(value).map_err(|_| self.refused(what))?;
        self.set(at, value.to_le_bytes());
        Ok(())
    }

    fn long(&mut self, at: usize, value: usize, what: &'static str) -> Result<(), PackError> {
        let value = u32::try_from(value).map_err(|_| self.refused(what))?;
        self.set(at, value.to_le_bytes());
        Ok(())
    }

    fn short_bytes(&mut self, value: usize, what: &'static str) -> Result<(), PackError> {
        let value = u16::try_from(value).map_err(|_| self.refused(what))?;
        self.bytes.extend(value.to_le_bytes());
        Ok(())
    }

    fn refused(&self, what: &'static str) -> PackError {
        PackError::Field { layer: self.what.into(), what }
    }
}
