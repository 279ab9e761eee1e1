//! The model in a slot: whether it can run here, and what it is.

use goldcrest_engine::{Image, ImageError};
use goldcrest_link::ModelInfo;
use goldcrest_link::message::ModelFault;

use crate::kernels::KERNELS;
use crate::log::warn;

/// The device image at the beginning of a slot, if it is whole and fits the arena.
pub fn check<'m>(slot: &'m [u8], arena: &[u32]) -> Result<Image<'m>, ModelFault> {
    let image = Image::new_checked(slot, KERNELS).map_err(|error| {
        warn!("{}", error);
        match error {
            ImageError::Magic(_) => ModelFault::Absent,
            ImageError::Version(_) => ModelFault::Version,
            ImageError::Truncated { .. } | ImageError::Checksum { .. } => ModelFault::Damaged,
            _ => ModelFault::Invalid,
        }
    })?;
    if size_of_val(arena) < image.arena_bytes() {
        return Err(ModelFault::Arena { needed: image.arena_bytes() as u32 });
    }
    Ok(image)
}

/// What the host wants to know of a device image.
pub fn describe(image: &Image) -> ModelInfo {
    let (shape, rule) = (image.input_shape(), image.preprocessing());
    ModelInfo {
        crc: image.crc(),
        image_bytes: image.bytes().len() as u32,
        arena_bytes: image.arena_bytes() as u32,
        input: [shape.height as u16, shape.width as u16, shape.channels as u16],
        classes: image.classes() as u16,
        layers: image.layer_count() as u16,
        golden: image.golden().count() as u16,
        fit: rule.fit.code(),
        background: rule.background,
    }
}
