//! Any bytes as an ONNX model: decoded, imported as a float model, read as an int8 model. No panic, and never more
//! memory than four times the file beside a fixed room.
//!
//! The importer is compiled in here by itself: with all of `goldcrest`, tract and ONNX Runtime's bindings would
//! be built with coverage counters too.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unused_imports)]
#[path = "../../host/src/onnx/mod.rs"]
mod onnx;

#[global_allocator]
static ALLOCATED: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

fuzz_target!(|bytes: &[u8]| {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    if let Ok(model) = onnx::Model::decode(bytes) {
        let _ = onnx::import::float_model(&model);
        let _ = onnx::int8::read(&model);
    }
    let peak = ALLOCATED.peak_usage().saturating_sub(before);
    let limit = 4 * bytes.len() + onnx::ROOM as usize;
    assert!(peak <= limit, "{peak} bytes allocated for a file of {}", bytes.len());
});
