//! Any bytes as an ONNX model: decoded, imported as a float model, read as an int8 model. No panic, never
//! more memory than [`onnx::memory_limit`] allows, and never a single request beyond four times the file.
#![no_main]

use goldcrest_onnx as onnx;
use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../tests/src/allocations.rs"]
mod allocations;

#[global_allocator]
static ALLOCATED: allocations::Counting = allocations::Counting::new();

fuzz_target!(|bytes: &[u8]| {
    let (limit, allocated) = ALLOCATED.during(|| {
        let Ok(model) = onnx::Model::decode(bytes) else { return onnx::memory_limit(bytes.len(), None) };
        let _ = onnx::import::float_model(&model);
        let _ = onnx::int8::read(&model);
        onnx::memory_limit(bytes.len(), Some(&model))
    });
    let length = bytes.len();
    assert!(allocated.peak <= limit.peak, "{} bytes for a file of {length}", allocated.peak);
    assert!(allocated.largest <= limit.largest, "{} bytes at once for a file of {length}", allocated.largest);
});
