//! The kernels in this program: those that `FIRMWARE_KERNELS` named when it was built, or, where nobody
//! says which models will come, all that the core runs with its own instructions. `build.rs` writes the
//! list.

use goldcrest_engine::kernels::{self, Kernel};

include!(concat!(env!("OUT_DIR"), "/kernels.rs"));
