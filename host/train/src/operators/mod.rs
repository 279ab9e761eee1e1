//! Goldcrest's own operators for ONNX Runtime: convolution, batch normalization and their gradients.
//!
//! ONNX Runtime's `Conv` and `ConvGrad` turn each image into a matrix first and multiply with it, which
//! takes most of a training step. The operators here work on the images themselves (see `plane`) with
//! vectors as wide as the processor has them, two to three times faster. They are custom operators of the
//! domain [`DOMAIN`], registered with each session that runs a training graph; their tensors, attributes and
//! meanings are those of ONNX's `Conv` and `BatchNormalization`, and of ONNX Runtime's gradients of them.
//! Batch normalization can take the Relu behind it along, which saves reading and writing all values twice.
//!
//! | file | holds |
//! | --- | --- |
//! | `conv.rs`, `batch_normalization.rs` | the operators as ONNX Runtime sees them |
//! | `convolution/` | a convolution and its gradients over a batch |
//! | `plane.rs` | how images lie in memory for it |
//! | `turned.rs`, `transpose.rs` | images whose channels lie in lanes |
//! | `dense.rs`, `dense_loops.rs` | convolutions of such images where output channels fill the lanes |
//! | `depthwise.rs`, `depthwise_loops.rs` | depthwise convolutions of such images |
//! | `normalize.rs` | batch normalization and its gradients |
//! | `block.rs` | its loops over some channels of a batch |
//! | `multiply.rs` | the inner loops |
//! | `memory.rs` | what tasks share and keep |
//! | `simd.rs`, `level.rs` | vectors, and which ones the processor at hand has |

mod batch_normalization;
mod block;
mod conv;
mod convolution;
mod dense;
mod dense_loops;
mod depthwise;
mod depthwise_loops;
mod level;
mod memory;
mod multiply;
mod normalize;
mod plane;
mod simd;
mod transpose;
mod turned;

use std::sync::{Mutex, MutexGuard, PoisonError};

use ort::operator::{ComputeContext, OperatorDomain};
use ort::session::builder::SessionBuilder;

/// The domain of the operators.
pub const DOMAIN: &str = "goldcrest";

/// Makes the operators known to a session.
///
/// # Errors
/// ONNX Runtime's own, when it does not take custom operators.
pub fn register(builder: SessionBuilder) -> ort::Result<SessionBuilder> {
    let domain = OperatorDomain::new(DOMAIN)?
        .add(conv::Conv)?
        .add(conv::ConvGrad)?
        .add(batch_normalization::BatchNormalization)?
        .add(batch_normalization::BatchNormalizationGrad)?;
    Ok(builder.with_operators(domain)?)
}

/// To be held while a session with the operators is made: ONNX Runtime looks whether the process knows the
/// domain, and then adds it, without a lock of its own.
pub fn one_at_a_time() -> MutexGuard<'static, ()> {
    static MAKING: Mutex<()> = Mutex::new(());
    MAKING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn missing(what: &str) -> ort::Error {
    ort::Error::new(format!("{what} is missing"))
}

/// Runs tasks on the session's threads.
fn on_threads(context: &ComputeContext, count: usize, run: &(dyn Fn(usize) + Sync)) {
    if context.par_for(count, 0, run).is_err() {
        (0..count).for_each(run);
    }
}
