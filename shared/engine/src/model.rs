//! A device image that is part of the program.

use crate::engine::{Engine, OpenError};
use crate::image::{Image, ImageError, MAGIC, Record, VERSION, header_field as field, u16_at, u32_at};
use crate::kernels::{self, Family, Kernel};
use crate::shape::Shape;

/// A device image in the program and the kernels that it needs; made by [`model!`](crate::model!). Its sizes
/// are constants.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    image: &'static [u8],
    kernels: &'static [&'static Kernel],
}

impl Model {
    /// What [`model!`](crate::model!) calls while the program is compiled.
    ///
    /// # Errors
    /// What is wrong with the image, as far as a compiler can tell without running kernels.
    #[doc(hidden)]
    pub const fn at_build_time(
        image: &'static [u8],
        kernels: &'static [&'static Kernel],
    ) -> Result<Self, &'static str> {
        if image.len() < field::END || u32_at(image, field::MAGIC) != u32::from_le_bytes(MAGIC) {
            return Err("not a device image: make one with `goldcrest pack`");
        }
        if u16_at(image, field::VERSION) != VERSION {
            return Err("the device image has another format than this version of goldcrest-engine reads; \
                        pack the model again");
        }
        if u32_at(image, field::LENGTH) as usize > image.len() {
            return Err("the device image is truncated; pack the model again");
        }
        match Family::from_code(image[field::FAMILY]) {
            Some(family) if family.runs_here() => {}
            Some(Family::Mve) => {
                return Err("the device image is for MVE (Helium), which this build does not have: build \
                            for thumbv8m.main with RUSTFLAGS=\"-C target-cpu=cortex-m55\", or pack the \
                            model for another board");
            }
            _ => {
                return Err(
                    "the device image is for DSP instructions, which this build does not have: build \
                            for thumbv7em, or for thumbv8m.main with RUSTFLAGS=\"-C \
                            target-cpu=cortex-m33\", or pack the model for another board",
                );
            }
        }
        let (table, layers) = (u32_at(image, field::LAYERS) as usize, u16_at(image, field::LAYER_COUNT));
        let mut layer = 0;
        while layer < layers as usize {
            let at = table + layer * Record::BYTES;
            if at >= image.len() {
                return Err("the layer table of the device image is outside of it; pack the model again");
            }
            if !has(kernels, image[at]) {
                return Err(kernels::advice(image[at]));
            }
            layer += 1;
        }
        Ok(Self { image, kernels })
    }

    /// Checks the image, once: no inference checks again. One [`Image`] makes any number of engines.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn open(&self) -> Result<Image<'static>, ImageError> {
        Image::new_checked(self.image, self.kernels)
    }

    /// Checks the image and puts the network into an arena of [`Model::arena_words`].
    ///
    /// # Errors
    /// The first thing found wrong with the image, or an arena that is too small.
    pub fn engine<'a>(&self, arena: &'a mut [u32]) -> Result<Engine<'a>, OpenError> {
        Ok(Engine::new(&self.open()?, arena)?)
    }

    /// The device image as it stands in the program.
    pub const fn image(&self) -> &'static [u8] {
        self.image
    }

    /// The kernels that the program has for it.
    pub const fn kernels(&self) -> &'static [&'static Kernel] {
        self.kernels
    }

    /// Bytes of arena that inference needs.
    pub const fn arena_bytes(&self) -> usize {
        u32_at(self.image, field::ARENA_BYTES) as usize
    }

    /// Words of arena that inference needs: `[0; MODEL.arena_words()]`.
    pub const fn arena_words(&self) -> usize {
        self.arena_bytes().div_ceil(size_of::<u32>())
    }

    /// Shape of the input picture.
    pub const fn input_shape(&self) -> Shape {
        let image = self.image;
        Shape {
            height: u16_at(image, field::HEIGHT) as usize,
            width: u16_at(image, field::WIDTH) as usize,
            channels: u16_at(image, field::CHANNELS) as usize,
        }
    }

    /// Bytes of the input picture.
    pub const fn input_len(&self) -> usize {
        self.input_shape().len()
    }

    /// Number of classes.
    pub const fn classes(&self) -> usize {
        u16_at(self.image, field::CLASSES) as usize
    }
}

const fn has(kernels: &[&'static Kernel], id: u8) -> bool {
    let mut at = 0;
    while at < kernels.len() {
        if kernels[at].id() == id {
            return true;
        }
        at += 1;
    }
    false
}

/// Bytes at an address that suits a device image; what [`model!`](crate::model!) puts them in.
#[doc(hidden)]
#[repr(C, align(16))]
#[derive(Debug)]
pub struct Aligned<T: ?Sized>(pub T);

/// Makes a device image, a file of `goldcrest pack`, a part of the program: a [`Model`] with the kernels that
/// it needs, by their names in [`kernels`](crate::kernels).
///
/// The path is that of `include_bytes!`: relative to the source file, or `concat!(env!("OUT_DIR"),
/// "/a.gci")`.
///
/// ```
/// use goldcrest_engine::{Model, model};
///
/// static SIGNS: Model = model!(
///     concat!(env!("CARGO_MANIFEST_DIR"), "/signs.gci"),
///     [PIXEL_PAIR_CONV, MAX_POOL, FULLY_CONNECTED]
/// );
/// static PICTURE: [u8; SIGNS.input_len()] = [0; SIGNS.input_len()];
///
/// let mut arena = [0; SIGNS.arena_words()];
/// let mut engine = SIGNS.engine(&mut arena).unwrap();
/// engine.load_pixels(&PICTURE).unwrap();
/// assert_eq!(engine.run().len(), SIGNS.classes());
/// ```
///
/// While the program is compiled, the compiler checks that the file is a device image of this engine's
/// format, for the instructions of this build, and that no kernel is missing:
///
/// ```compile_fail
/// # use goldcrest_engine::{Model, model};
/// static SIGNS: Model =
///     model!(concat!(env!("CARGO_MANIFEST_DIR"), "/signs.gci"), [PIXEL_PAIR_CONV, MAX_POOL]);
/// // error: the device image needs kernels::FULLY_CONNECTED; add it to the model's list
/// ```
#[macro_export]
macro_rules! model {
    ($path:expr, [$($kernel:ident),* $(,)?]) => {
        const {
            static IMAGE: &$crate::Aligned<[u8]> = &$crate::Aligned(*include_bytes!($path));
            static KERNELS: &[&$crate::kernels::Kernel] = &[$(&$crate::kernels::$kernel),*];
            match $crate::Model::at_build_time(&IMAGE.0, KERNELS) {
                Ok(model) => model,
                Err(problem) => panic!("{}", problem),
            }
        }
    };
}
