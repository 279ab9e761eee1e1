//! The board's memory as the linker laid it out.
//!
//! ```text
//! RAM:   | .data .bss .uninit | frame buffer | arena  | guard  | stack |
//!                             ^ __sheap               ^        ^       ^ _stack_start
//!                               __frame_bytes         _guard_size  _stack_start - _stack_size
//! flash: | vectors, code, constants, initial values | ... | slot      |
//!                                                 __model_start  __model_end, and __spare_start,
//!                                                 __spare_end where there is a second slot
//! ```

use core::ptr;

use crate::app::Stack;

unsafe extern "C" {
    static mut __sheap: u8;
    static mut _stack_start: u8;
    static _stack_size: u8;
    static _guard_size: u8;
    static __frame_bytes: u8;
    static __model_start: u8;
    static __model_end: u8;
    static __spare_start: u8;
    static __spare_end: u8;
    static __firmware_bytes: u8;
}

/// What the program does not use itself.
pub struct Memory {
    /// The device image's flash slot.
    pub slots: [Region; 2],
    /// Buffer for a received frame.
    pub frame: &'static mut [u8],
    /// All other free RAM.
    pub arena: &'static mut [u32],
    /// The stack's gauge.
    pub stack: PaintedStack,
    /// Bytes of flash the program occupies.
    pub firmware_bytes: u32,
}

/// A slot for a device image.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    start: *mut u8,
    bytes: usize,
}

impl Region {
    /// Whether the board has this slot.
    pub fn exists(self) -> bool {
        self.bytes > 0
    }

    /// Its first address and its length.
    pub fn place(self) -> (*mut u8, usize) {
        (self.start, self.bytes)
    }

    /// Its bytes.
    ///
    /// # Safety
    /// Nobody writes them for as long as `'m`.
    pub unsafe fn bytes<'m>(self) -> &'m [u8] {
        // SAFETY: the linker script reserves the range; the caller promises that it stays as it is.
        unsafe { core::slice::from_raw_parts(self.start, self.bytes) }
    }
}

/// Alignment of the arena: a vector register of MVE.
const ALIGNMENT: usize = 16;

impl Memory {
    /// What the board's memory map has for the frame buffer.
    pub fn frame_bytes() -> usize {
        (&raw const __frame_bytes).addr()
    }

    /// Divides free memory and paints the stack.
    ///
    /// # Safety
    /// Called at most once, with nothing else in the memory above `__sheap`.
    pub unsafe fn take(frame_bytes: usize) -> Self {
        let address = |symbol: *const u8| symbol.addr();
        let stack_top = address(&raw const _stack_start);
        let stack_bottom = stack_top - address(&raw const _stack_size);
        let frame = address(&raw const __sheap);
        let arena = (frame + frame_bytes).next_multiple_of(ALIGNMENT);
        // A board without room has an arena of 0 bytes, and no model fits it.
        let arena_end = stack_bottom - address(&raw const _guard_size);
        let arena_words = arena_end.saturating_sub(arena) / size_of::<u32>();
        let region = |start: *const u8, end: *const u8| Region {
            start: ptr::with_exposed_provenance_mut(address(start)),
            bytes: address(end) - address(start),
        };
        let slots = [
            region(&raw const __model_start, &raw const __model_end),
            region(&raw const __spare_start, &raw const __spare_end),
        ];
        // SAFETY: by the linker script the two ranges lie in RAM or flash, apart from each other,
        // from all statics and from the stack; the caller promises that this is the only claim.
        // RAM is zeroed because its content after power-up is not initialized memory to Rust.
        unsafe {
            let frame = ptr::with_exposed_provenance_mut::<u8>(frame);
            let arena = ptr::with_exposed_provenance_mut::<u32>(arena);
            frame.write_bytes(0, frame_bytes);
            arena.write_bytes(0, arena_words);
            Self {
                slots,
                frame: core::slice::from_raw_parts_mut(frame, frame_bytes),
                arena: core::slice::from_raw_parts_mut(arena, arena_words),
                stack: PaintedStack::paint(stack_bottom, stack_top),
                firmware_bytes: address(&raw const __firmware_bytes) as u32,
            }
        }
    }
}

/// Measures the stack by what is left of the pattern below it.
pub struct PaintedStack {
    bottom: usize,
    top: usize,
}

impl PaintedStack {
    const PATTERN: u32 = 0x5eed_c0de;
    /// Bytes below the current frame left unpainted: the frame of the painting function itself.
    const MARGIN: usize = 128;

    /// Paints the unused part of the stack that reaches from `bottom` to `top`.
    ///
    /// # Safety
    /// The stack grows down from `top`, and nothing else lies above `bottom`.
    #[inline(never)]
    unsafe fn paint(bottom: usize, top: usize) -> Self {
        let here = 0u32;
        let here = (&raw const here).addr();
        let stop = (here - Self::MARGIN) & !3;
        let mut word = bottom;
        while word < stop {
            // SAFETY: below the current frame and above `bottom` lies unused stack only.
            unsafe { ptr::with_exposed_provenance_mut::<u32>(word).write_volatile(Self::PATTERN) };
            word += size_of::<u32>();
        }
        Self { bottom, top }
    }

    fn is_painted(word: usize) -> bool {
        // SAFETY: words of the stack's range are readable RAM; a volatile read takes any content.
        unsafe { ptr::with_exposed_provenance::<u32>(word).read_volatile() == Self::PATTERN }
    }
}

impl Stack for PaintedStack {
    fn capacity(&self) -> u32 {
        (self.top - self.bottom) as u32
    }

    fn used(&self) -> u32 {
        let mut words = (self.bottom..self.top).step_by(size_of::<u32>());
        words.find(|&word| !Self::is_painted(word)).map_or(0, |word| (self.top - word) as u32)
    }

    fn overflowed(&self) -> bool {
        !Self::is_painted(self.bottom)
    }
}
