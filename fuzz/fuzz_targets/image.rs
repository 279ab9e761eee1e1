//! Any bytes as a device image: when the check lets them through, running them stays in bounds (the engine's own
//! assertions are compiled in). Without an allocator the check allocates nothing; the caller's arena is limited here.
#![no_main]

use goldcrest_shared::engine::{Engine, bytes as bytes_of, values_mut};
use goldcrest_shared::image::{Image, MAGIC, VERSION, checksum, header_field};
use libfuzzer_sys::fuzz_target;

/// Bytes of arena that are given to an image.
const ARENA: usize = 1 << 14;

fuzz_target!(|bytes: &[u8]| {
    let mut words = vec![0u32; bytes.len().div_ceil(4)];
    values_mut(&mut words).iter_mut().zip(bytes).for_each(|(to, &from)| *to = from as i8);
    run(&bytes_of(&words)[..bytes.len()]);
    // Behind the envelope: the same bytes with magic, version, length and checksum made right.
    if bytes.len() >= header_field::END {
        let mut image = bytes.to_vec();
        image[..4].copy_from_slice(&MAGIC);
        image[header_field::VERSION..][..2].copy_from_slice(&VERSION.to_le_bytes());
        image[header_field::LENGTH..][..4].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
        let sum = checksum(&image).to_le_bytes();
        image[header_field::CHECKSUM..][..4].copy_from_slice(&sum);
        values_mut(&mut words).iter_mut().zip(&image).for_each(|(to, &from)| *to = from as i8);
        run(&bytes_of(&words)[..bytes.len()]);
    }
});

fn run(bytes: &[u8]) {
    let Ok(image) = Image::new_checked(bytes) else { return };
    assert_eq!(image.labels().count(), image.classes());
    if image.arena_bytes() > ARENA {
        return;
    }
    let mut arena = vec![0; Engine::words(&image)];
    let Ok(mut engine) = Engine::new(&image, &mut arena) else {
        panic!("the arena is as large as the image asks")
    };
    let pixels = vec![3; image.input_shape().len()];
    engine.load_pixels(&pixels).expect("as many pixels as the input has");
    assert_eq!(engine.run().len(), image.classes());
}
