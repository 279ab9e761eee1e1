//! What makes bytes an image: every offset, length, shape and arena range, looked at once.
//!
//! All sums and products here are 64-bit on numbers of at most 32 bits, or saturate, so hostile
//! headers cannot wrap around on a 32-bit core.

use super::header::{FLAG_PLAIN_PIXELS, Image, field};
use super::record::{Channel, Record, Slot};
use super::{ALIGNMENT, ImageError, LayerError, MAGIC, VERSION, checksum, u16_at, u32_at};
use crate::kernels::{self, Family};
use crate::picture::Fit;
use crate::shape::Shape;

/// Magic, version, length, checksum, alignment, family; returns the bytes cut to the image's own length.
pub(super) fn envelope(bytes: &[u8]) -> Result<&[u8], ImageError> {
    let truncated = |expected| ImageError::Truncated { found: bytes.len(), expected };
    if bytes.len() < field::END {
        return Err(truncated(field::END));
    }
    match bytes.first_chunk() {
        Some(&magic) if magic == MAGIC => {}
        Some(&other) => return Err(ImageError::Magic(other)),
        None => return Err(truncated(field::END)),
    }
    let version = u16_at(bytes, field::VERSION);
    if version != VERSION {
        return Err(ImageError::Version(version));
    }
    let length = u32_at(bytes, field::LENGTH) as usize;
    let bytes = match bytes.get(..length) {
        Some(image) if length >= field::END => image,
        _ => return Err(truncated(length.max(field::END))),
    };
    let (found, expected) = (checksum(bytes), u32_at(bytes, field::CHECKSUM));
    if found != expected {
        return Err(ImageError::Checksum { found, expected });
    }
    if !bytes.as_ptr().addr().is_multiple_of(ALIGNMENT) {
        return Err(ImageError::Misaligned);
    }
    let code = bytes.get(field::FAMILY).copied().unwrap_or_default();
    let family = Family::from_code(code).ok_or(ImageError::UnknownFamily(code))?;
    match family.runs_here() {
        true => Ok(bytes),
        false => Err(ImageError::Family { image: family, build: Family::NATIVE }),
    }
}

/// Everything behind the envelope.
pub(super) fn contents(image: &Image<'_>) -> Result<(), ImageError> {
    let bytes = image.bytes();
    let input = Slot { offset: image.input_offset(), shape: image.input_shape() };
    let output = Slot { offset: image.output_offset(), shape: Shape::new(1, 1, image.classes()) };
    for (name, slot) in [("input", input), ("output", output)] {
        if !in_arena(image, slot) {
            return Err(ImageError::Tensor(name));
        }
    }
    let fit = image.byte(field::FIT);
    if Fit::from_code(fit).is_none() {
        return Err(ImageError::Fit(fit));
    }
    if u16_at(bytes, field::FLAGS) & FLAG_PLAIN_PIXELS == 0 {
        let tables = 256 * input.shape.channels as u64;
        block(image, "pixel tables", u32_at(bytes, field::PIXELS), tables, ALIGNMENT)?;
    }
    let vectors =
        u64::from(u16_at(bytes, field::GOLDEN_COUNT)) * (volume(input.shape) + volume(output.shape));
    block(image, "golden vectors", u32_at(bytes, field::GOLDEN), vectors, 1)?;
    labels(image)?;
    let table = image.layer_count() as u64 * Record::BYTES as u64;
    block(image, "layer table", u32_at(bytes, field::LAYERS), table, ALIGNMENT)?;
    for (index, entry) in image.entries().enumerate() {
        layer(image, &entry.layer().record)
            .map_err(|problem| ImageError::Layer { layer: index as u16, problem })?;
    }
    Ok(())
}

fn labels(image: &Image<'_>) -> Result<(), ImageError> {
    let mut at = u32_at(image.bytes(), field::LABELS);
    for label in 0..image.classes() {
        block(image, "labels", at, 2, 1)?;
        let length = u16_at(image.bytes(), at as usize);
        block(image, "labels", at, 2 + u64::from(length), 1)?;
        let text = image.bytes().get(at as usize + 2..at as usize + 2 + usize::from(length));
        if text.is_none_or(|text| core::str::from_utf8(text).is_err()) {
            return Err(ImageError::Label(label as u16));
        }
        at += 2 + u32::from(length);
    }
    Ok(())
}

fn layer(image: &Image<'_>, record: &Record) -> Result<(), LayerError> {
    let kernel = kernels::find(image.kernels(), record.kernel).ok_or(LayerError::Kernel(record.kernel))?;
    let slots = [record.input, record.second, record.output];
    if !slots.iter().all(|&slot| in_arena(image, slot)) {
        return Err(LayerError::Arena);
    }
    if record.low > record.high {
        return Err(LayerError::Shape);
    }
    let needs = (kernel.needs)(record).ok_or(LayerError::Shape)?;
    let (scratch, scratch_bytes) = record.scratch;
    if scratch_bytes as u64 != needs.scratch
        || !inside(scratch as u64, needs.scratch, image.arena_bytes(), ALIGNMENT)
    {
        return Err(LayerError::Arena);
    }
    let (weights, weight_bytes) = record.weights;
    let (channels, channel_count) = record.channels;
    let room = image.bytes().len();
    let good = weight_bytes as u64 == needs.weights
        && channel_count as u64 == needs.channels
        && inside(weights as u64, needs.weights, room, ALIGNMENT)
        && inside(channels as u64, needs.channels.saturating_mul(Channel::BYTES as u64), room, ALIGNMENT);
    if good { Ok(()) } else { Err(LayerError::Constants) }
}

fn in_arena(image: &Image<'_>, slot: Slot) -> bool {
    let bytes = volume(slot.shape);
    bytes > 0 && inside(slot.offset as u64, bytes, image.arena_bytes(), ALIGNMENT)
}

/// Values of a shape whose extents have 16 bits.
fn volume(shape: Shape) -> u64 {
    shape.height as u64 * shape.width as u64 * shape.channels as u64
}

fn inside(offset: u64, bytes: u64, room: usize, alignment: usize) -> bool {
    offset.is_multiple_of(alignment as u64) && offset.saturating_add(bytes) <= room as u64
}

fn block(
    image: &Image<'_>,
    block: &'static str,
    offset: u32,
    bytes: u64,
    alignment: usize,
) -> Result<(), ImageError> {
    match inside(u64::from(offset), bytes, image.bytes().len(), alignment) {
        true => Ok(()),
        false => Err(ImageError::Block { block, offset, bytes }),
    }
}
