//! The order in which each kernel reads its weights.

use alloc::vec::Vec;

use crate::kernels::id;
use crate::quantize::graph::QuantizedConv;

/// The weights of a convolution in the order of a kernel.
pub fn order(kernel: u8, conv: &QuantizedConv) -> Vec<i8> {
    match kernel {
        id::DEPTHWISE => by_tap(conv),
        // OHWI, as in the graph.
        _ => conv.weights.clone(),
    }
}

/// `[row][column][output channel]`, for one input channel per output channel.
fn by_tap(conv: &QuantizedConv) -> Vec<i8> {
    let outputs = conv.bias.len();
    let taps = conv.weights.len() / outputs;
    (0..taps).flat_map(|tap| (0..outputs).map(move |o| conv.weights[o * taps + tap])).collect()
}
