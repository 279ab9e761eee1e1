//! Any bytes as a device image: when the check lets them through, running them stays in bounds (the engine's
//! own assertions are compiled in). Without an allocator the check allocates nothing; the caller's arena is
//! limited here.
//!
//! Bytes changed at random are seldom an image. So half of the mutations change a field of the header or of a
//! layer's record, and some of these then make the record's lengths what its kernel needs, as a forger would.
#![no_main]

use goldcrest_engine::Engine;
use goldcrest_engine::packer::{ALIGNMENT, Channel, MAGIC, Record, VERSION, checksum, header_field};
use goldcrest_engine::ImageBuf;
use goldcrest_engine::kernels;
use goldcrest_quantize::random::Random;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

/// Bytes of arena that are given to an image.
const ARENA: usize = 1 << 14;

fuzz_target!(|bytes: &[u8]| {
    run(bytes);
    // Behind the envelope: the same bytes with magic, version, length and checksum made right.
    if bytes.len() >= header_field::END {
        let mut image = bytes.to_vec();
        image[..4].copy_from_slice(&MAGIC);
        image[header_field::VERSION..][..2].copy_from_slice(&VERSION.to_le_bytes());
        image[header_field::LENGTH..][..4].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
        let sum = checksum(&image).to_le_bytes();
        image[header_field::CHECKSUM..][..4].copy_from_slice(&sum);
        run(&image);
    }
});

fn run(bytes: &[u8]) {
    let Ok(image) = ImageBuf::new_checked(bytes) else { return };
    let image = image.image();
    assert_eq!(image.labels().count(), image.classes());
    if image.arena_bytes() > ARENA {
        return;
    }
    let mut arena = vec![0; image.arena_words()];
    let Ok(mut engine) = Engine::new(&image, &mut arena) else {
        panic!("the arena is as large as the image asks")
    };
    let pixels = vec![3; image.input_shape().len()];
    engine.load_pixels(&pixels).expect("as many pixels as the input has");
    assert_eq!(engine.run().len(), image.classes());
}

fuzz_mutator!(|bytes: &mut [u8], size: usize, most: usize, seed: u32| {
    let mut random = Random::new(seed.into());
    match random.within(0, 1) {
        0 => fuzzer_mutate(bytes, size, most),
        _ => {
            if size >= header_field::END {
                change_field(&mut bytes[..size], &mut random);
            }
            size
        }
    }
});

/// Changes a field of the header or of a layer's record.
fn change_field(image: &mut [u8], random: &mut Random) {
    let word = |at: usize| u32::from_le_bytes([image[at], image[at + 1], image[at + 2], image[at + 3]]);
    let (table, layers) = (word(header_field::LAYERS) as usize, word(header_field::LAYER_COUNT) as u16);
    let record = |index: usize| {
        let start = table.checked_add(index * Record::BYTES)?;
        start.checked_add(Record::BYTES).filter(|&end| end <= image.len()).map(|end| start..end)
    };
    let layers: Vec<_> = (0..usize::from(layers)).map_while(record).collect();
    let pick = |random: &mut Random, count: usize| random.within(0, count as i64 - 1) as usize;
    if layers.is_empty() || random.within(0, 7) == 0 {
        return change(&mut image[header_field::FLAGS..header_field::END], random);
    }
    let place = layers[pick(random, layers.len())].clone();
    match random.within(0, 7) {
        // Another layer in its place.
        0 => image.copy_within(layers[pick(random, layers.len())].clone(), place.start),
        // Another kernel.
        1 => image[place.start] = kernels::ALL[pick(random, kernels::ALL.len())].id(),
        _ => change(&mut image[place.clone()], random),
    }
    if random.within(0, 3) > 0 {
        let length = image.len();
        if let Some(bytes) = image[place].first_chunk_mut() {
            make_fit(bytes, length);
        }
    }
}

/// Makes a number of 8, 16 or 32 bits larger, smaller, or one of those that computing trips over.
fn change(fields: &mut [u8], random: &mut Random) {
    let width = [1, 2, 2, 2, 4, 4][random.within(0, 5) as usize];
    let at = width * random.within(0, (fields.len() / width) as i64 - 1) as usize;
    let mut bytes = [0; 4];
    bytes[..width].copy_from_slice(&fields[at..at + width]);
    let before = u32::from_le_bytes(bytes);
    let after = match random.within(0, 5) {
        0 => before.wrapping_add(random.within(1, 4) as u32),
        1 => before.wrapping_sub(random.within(1, 4) as u32),
        2 => random.within(0, 16) as u32,
        3 => before.wrapping_mul(2),
        4 => [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_fffc, u32::MAX][random.within(0, 8) as usize],
        _ => random.bits() as u32,
    };
    fields[at..at + width].copy_from_slice(&after.to_le_bytes()[..width]);
}

/// Gives a record the weights, constants and scratch memory that its kernel needs, inside an image of some
/// length.
fn make_fit(bytes: &mut [u8; Record::BYTES], length: usize) {
    let mut record = Record::decode(bytes);
    let kernel = kernels::find(kernels::ALL, record.kernel);
    let Some(needs) = kernel.and_then(|kernel| kernel.needs(&record)) else { return };
    let fit = |offset: usize, bytes: u64| {
        let last = (length as u64).saturating_sub(bytes) as usize;
        offset.min(last) / ALIGNMENT * ALIGNMENT
    };
    record.scratch.1 = needs.scratch as usize;
    record.weights = (fit(record.weights.0, needs.weights), needs.weights as usize);
    let constants = needs.channels.saturating_mul(Channel::BYTES as u64);
    record.channels = (fit(record.channels.0, constants), needs.channels as usize);
    if let Ok(fitting) = record.encode() {
        *bytes = fitting;
    }
}
