//! Any bytes as an ONNX model: decoded, imported as a float model, read as an int8 model. No panic, never more
//! memory than [`onnx::memory_limit`] allows, and never a single request beyond four times the file.
//!
//! The importer is compiled in here by itself: with all of `goldcrest`, tract and ONNX Runtime's bindings would
//! be built with coverage counters too.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../tests/src/allocations.rs"]
mod allocations;
#[allow(dead_code, unused_imports)]
#[path = "../../host/src/onnx/mod.rs"]
mod onnx;

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
