//! The engine behind an opaque handle.
//!
//! The caller of each function promises what the header says once for all: a pointer that is not null leads
//! to what its name says, an engine is one that was open or is all zeros, and nobody else uses it meanwhile.
#![allow(unsafe_code)]
#![allow(clippy::missing_safety_doc, reason = "said above, and in the header, for all")]

use core::ptr;
use core::slice;

use goldcrest_engine::Engine;

use crate::gc_model;
use crate::gc_status::{self, GC_ARENA, GC_CLOSED, GC_INPUT, GC_MISALIGNED, GC_NULL, GC_OK};

/// A model in an arena. Static memory, or the stack of a caller that outlives its use; no need to initialize
/// it before gc_open, nor to close it. What is in it is the library's business.
#[repr(C)]
#[derive(Debug)]
pub struct gc_engine {
    /// Not for use.
    private_words: [usize; 10],
}

/// What the first word of an open engine holds.
const OPEN: usize = 0x676f_6c64;

const _: () = {
    assert!(size_of::<Engine<'static>>() <= size_of::<[usize; 9]>());
    assert!(align_of::<Engine<'static>>() <= align_of::<usize>());
    assert!(size_of::<gc_engine>() == size_of::<[usize; 10]>());
};

/// The engine of an open handle.
///
/// # Safety
/// The handle is null, or leads to one that is open or whose first word says that it is not; nobody else uses
/// it.
unsafe fn engine<'e>(handle: *mut gc_engine) -> Option<&'e mut Engine<'static>> {
    if handle.is_null() || !handle.is_aligned() {
        return None;
    }
    // SAFETY: the handle is one; its second word is where `gc_open` put the engine, if its first word says
    // so.
    unsafe {
        let words = handle.cast::<usize>();
        (words.read() == OPEN).then(|| &mut *words.add(1).cast())
    }
}

/// The same to look at.
///
/// # Safety
/// As for [`engine`].
unsafe fn look<'e>(handle: *const gc_engine) -> Option<&'e Engine<'static>> {
    // SAFETY: as the caller promises; the exclusive reference is given up at once.
    unsafe { engine(handle.cast_mut()).map(|engine| &*engine) }
}

/// Checks a model, once for all its runs, and puts it into an arena: at least as many bytes as the model
/// needs, at a multiple of 4 (an array of uint32_t). Whatever is wrong with image or arena is found here; the
/// engine is then closed, and calls with it do nothing.
///
/// Model, device image and arena must stay while the engine is used. To open another model, or the same anew,
/// needs no closing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gc_open(
    engine: *mut gc_engine,
    model: *const gc_model,
    arena: *mut core::ffi::c_void,
    arena_bytes: usize,
) -> gc_status {
    if engine.is_null() {
        return GC_NULL;
    }
    if !engine.is_aligned() {
        return GC_MISALIGNED;
    }
    let words = engine.cast::<usize>();
    // SAFETY: not null and aligned; the caller's.
    unsafe { words.write(0) };
    if model.is_null() || arena.is_null() {
        return GC_NULL;
    }
    let arena = arena.cast::<u32>();
    if !arena.is_aligned() || !model.is_aligned() {
        return GC_MISALIGNED;
    }
    // SAFETY: as the caller promises.
    let image = match unsafe { (*model).open() } {
        Ok(image) => image,
        Err(status) => return status,
    };
    // SAFETY: not null, aligned, and the caller's alone while the engine is used.
    let arena = unsafe { slice::from_raw_parts_mut(arena, arena_bytes / size_of::<u32>()) };
    let Ok(opened) = Engine::new(&image, arena) else { return GC_ARENA };
    // SAFETY: room and alignment are checked above, when compiling.
    unsafe {
        words.add(1).cast::<Engine<'static>>().write(opened);
        words.write(OPEN);
    }
    GC_OK
}

/// The place of the next picture: gc_input_bytes bytes, u8 pixels, row by row, channels side by side, of the
/// model's size. Begins a new run. NULL where the engine is not open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gc_input(engine: *mut gc_engine) -> *mut u8 {
    // SAFETY: as the caller promises.
    unsafe { self::engine(engine) }.map_or(ptr::null_mut(), |engine| engine.input_u8().as_mut_ptr())
}

/// The same place for the network's own int8 values, for inputs that are not pictures. Begins a new run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gc_input_i8(engine: *mut gc_engine) -> *mut i8 {
    // SAFETY: as the caller promises.
    unsafe { self::engine(engine) }.map_or(ptr::null_mut(), |engine| engine.input_i8().as_mut_ptr())
}

/// Bytes of the input; 0 where the engine is not open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gc_input_bytes(engine: *const gc_engine) -> usize {
    // SAFETY: as the caller promises.
    unsafe { look(engine) }.map_or(0, |engine| engine.image().input_shape().len())
}

/// Copies a picture into gc_input, if it has the right number of bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gc_load(engine: *mut gc_engine, pixels: *const u8, bytes: usize) -> gc_status {
    if engine.is_null() || pixels.is_null() {
        return GC_NULL;
    }
    // SAFETY: as the caller promises.
    let Some(engine) = (unsafe { self::engine(engine) }) else { return GC_CLOSED };
    // SAFETY: not null, as many bytes as the caller says.
    match engine.load_pixels(unsafe { slice::from_raw_parts(pixels, bytes) }) {
        Ok(()) => GC_OK,
        Err(_) => GC_INPUT,
    }
}

/// Runs the next layer: 1 while layers are left, 0 when the logits are there or the engine is not open.
/// Between two calls the program may do what it likes, but write to the arena.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gc_step(engine: *mut gc_engine) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { self::engine(engine) }.map_or(0, |engine| i32::from(engine.step()))
}

/// Runs the layers that are left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gc_run(engine: *mut gc_engine) -> gc_status {
    if engine.is_null() {
        return GC_NULL;
    }
    // SAFETY: as the caller promises.
    let Some(engine) = (unsafe { self::engine(engine) }) else { return GC_CLOSED };
    engine.run();
    GC_OK
}

/// The logits, gc_classes of them; NULL while layers are left. They stay until the next input is written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gc_logits(engine: *const gc_engine) -> *const i8 {
    // SAFETY: as the caller promises.
    let logits = unsafe { look(engine) }.map_or(&[][..], |engine| engine.logits());
    if logits.is_empty() { ptr::null() } else { logits.as_ptr() }
}

/// Number of classes; 0 where the engine is not open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gc_classes(engine: *const gc_engine) -> usize {
    // SAFETY: as the caller promises.
    unsafe { look(engine) }.map_or(0, |engine| engine.image().classes())
}

/// The class with the largest logit, the first of equal ones; -1 while layers are left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gc_best(engine: *const gc_engine) -> i32 {
    // SAFETY: as the caller promises.
    let best = unsafe { look(engine) }.and_then(|engine| engine.best());
    best.map_or(-1, |(class, _)| class as i32)
}

/// Copies the name of a class, UTF-8, into a buffer of `size` bytes, cut where it does not fit, and ends it
/// with a zero. Returns the bytes of the whole name without the zero, as snprintf does; 0 for a class without
/// a name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gc_label(
    engine: *const gc_engine,
    class_index: i32,
    buffer: *mut core::ffi::c_char,
    size: usize,
) -> usize {
    // SAFETY: as the caller promises.
    let engine = unsafe { look(engine) };
    let class = usize::try_from(class_index).ok();
    let label = engine.zip(class).and_then(|(engine, class)| engine.image().labels().nth(class));
    let label = label.unwrap_or_default().as_bytes();
    if !buffer.is_null() && size > 0 {
        let copied = label.len().min(size - 1);
        // SAFETY: `copied` is less than the bytes of the buffer, and at most those of the label.
        unsafe {
            ptr::copy_nonoverlapping(label.as_ptr(), buffer.cast(), copied);
            buffer.add(copied).write(0);
        }
    }
    label.len()
}

/// Writes the probability of each class, softmax of the logits, in 1/32768, by integer arithmetic; at most
/// `count` of them, zeros while layers are left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gc_probabilities(
    engine: *const gc_engine,
    into: *mut u16,
    count: usize,
) -> gc_status {
    if engine.is_null() || into.is_null() {
        return GC_NULL;
    }
    if !into.is_aligned() {
        return GC_MISALIGNED;
    }
    // SAFETY: as the caller promises.
    let Some(engine) = (unsafe { look(engine) }) else { return GC_CLOSED };
    // SAFETY: not null, aligned, as many values as the caller says.
    engine.probabilities(unsafe { slice::from_raw_parts_mut(into, count) });
    GC_OK
}

/// Runs the golden vectors of the device image and compares every logit, bit for bit: the proof that this
/// program, on this core, computes what the model says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gc_selftest(engine: *mut gc_engine) -> gc_status {
    if engine.is_null() {
        return GC_NULL;
    }
    // SAFETY: as the caller promises.
    let Some(engine) = (unsafe { self::engine(engine) }) else { return GC_CLOSED };
    engine.selftest().map_or_else(gc_status::from, |_| GC_OK)
}
