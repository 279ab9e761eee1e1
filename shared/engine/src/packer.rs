//! For programs that write device images, and for their tests: the format as `docs/device-image.md` specifies
//! it. Running an image takes nothing of this.

pub use crate::image::{ALIGNMENT, Channel, Layer, MAGIC, Record, Slot, VERSION, checksum, header_field};
pub use crate::kernels::Needs;
