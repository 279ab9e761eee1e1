//! What the module exports. JavaScript puts the device image and the arena into the module's memory, behind
//! what the module has of it; there is one engine per instance.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::{ptr, slice};

use goldcrest_engine::{Engine, Image, kernels};

struct One(UnsafeCell<Option<Engine<'static>>>);

// SAFETY: the module has one thread: its memory is not shared.
unsafe impl Sync for One {}

static ENGINE: One = One(UnsafeCell::new(None));

fn engine() -> Option<&'static mut Engine<'static>> {
    // SAFETY: one thread, and each export gives its reference up before it returns.
    unsafe { (*ENGINE.0.get()).as_mut() }
}

fn image() -> Option<Image<'static>> {
    engine().map(|engine| *engine.image())
}

/// A device image in the module's memory.
///
/// # Safety
/// JavaScript has put as many bytes there, and leaves them.
unsafe fn opened(start: *const u8, bytes: usize) -> Option<Image<'static>> {
    // SAFETY: as the caller promises; address 0 is the module's own.
    let image = unsafe { slice::from_raw_parts(start, bytes) };
    Image::new_checked(image, kernels::NATIVE).ok()
}

/// Bytes of arena that a device image needs; 0 where it is none.
#[unsafe(no_mangle)]
extern "C" fn arena_bytes(start: *const u8, bytes: usize) -> usize {
    // SAFETY: goldcrest.mjs puts it there.
    unsafe { opened(start, bytes) }.map_or(0, |image| image.arena_words() * size_of::<u32>())
}

/// Opens a device image: 0, or 1 where it is none, 2 where the arena is too small.
#[unsafe(no_mangle)]
extern "C" fn open(start: *const u8, bytes: usize, arena: *mut u32, arena_bytes: usize) -> u32 {
    // SAFETY: goldcrest.mjs puts it there.
    let Some(image) = (unsafe { opened(start, bytes) }) else { return 1 };
    // SAFETY: memory that goldcrest.mjs keeps for the arena alone, at a multiple of 16.
    let arena = unsafe { slice::from_raw_parts_mut(arena, arena_bytes / size_of::<u32>()) };
    let Ok(opened) = Engine::new(&image, arena) else { return 2 };
    // SAFETY: one thread, and no reference is alive.
    unsafe { *ENGINE.0.get() = Some(opened) };
    0
}

/// The place of the next picture, u8, HWC.
#[unsafe(no_mangle)]
extern "C" fn input() -> *mut u8 {
    engine().map_or(ptr::null_mut(), |engine| engine.input_u8().as_mut_ptr())
}

/// Rows of the input.
#[unsafe(no_mangle)]
extern "C" fn input_height() -> usize {
    image().map_or(0, |image| image.input_shape().height)
}

/// Columns of the input.
#[unsafe(no_mangle)]
extern "C" fn input_width() -> usize {
    image().map_or(0, |image| image.input_shape().width)
}

/// Channels of the input.
#[unsafe(no_mangle)]
extern "C" fn input_channels() -> usize {
    image().map_or(0, |image| image.input_shape().channels)
}

/// Runs the network.
#[unsafe(no_mangle)]
extern "C" fn run() {
    if let Some(engine) = engine() {
        engine.run();
    }
}

/// The logits of the last run.
#[unsafe(no_mangle)]
extern "C" fn logits() -> *const i8 {
    engine().map_or(ptr::null(), |engine| engine.logits().as_ptr())
}

/// Number of classes.
#[unsafe(no_mangle)]
extern "C" fn classes() -> usize {
    image().map_or(0, |image| image.classes())
}

/// The class of the last run; -1 before one.
#[unsafe(no_mangle)]
extern "C" fn best() -> i32 {
    engine().and_then(|engine| engine.best()).map_or(-1, |(class, _)| class as i32)
}

/// Scale of the logits.
#[unsafe(no_mangle)]
extern "C" fn output_scale() -> f32 {
    image().map_or(0.0, |image| image.output_scale())
}

/// The golden vectors of the device image: how many, all of them right; -1 where one is wrong.
#[unsafe(no_mangle)]
extern "C" fn selftest() -> i32 {
    let tested = engine().map(|engine| engine.selftest());
    match tested {
        Some(Ok(vectors)) => i32::from(vectors),
        Some(Err(goldcrest_engine::SelfTestError::NoVectors)) | None => 0,
        Some(Err(_)) => -1,
    }
}

fn name(class: usize) -> &'static str {
    image().and_then(|image| image.labels().nth(class)).unwrap_or_default()
}

/// The name of a class, UTF-8.
#[unsafe(no_mangle)]
extern "C" fn label(class: usize) -> *const u8 {
    name(class).as_ptr()
}

/// Its bytes.
#[unsafe(no_mangle)]
extern "C" fn label_bytes(class: usize) -> usize {
    name(class).len()
}
