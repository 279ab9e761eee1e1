//! 200 pictures of odd sizes and colour forms become the same input on every path, byte for byte: the data
//! set that training, calibration and `eval` read, training's loader, single pictures as `classify` and
//! `infer` read them, the code with which a board makes inputs of pictures in its flash, and an emulated
//! board that is sent the pictures as they are.

use std::io::Cursor;
use std::time::{Duration, Instant};

use goldcrest_board::emulator::{self, Emulator};
use goldcrest_board::table;
use goldcrest_data::picture::Picture;
use goldcrest_data::random::Random;
use goldcrest_data::{Batches, Cache, Dataset, Normalization, Options, Spec};
use goldcrest_engine::picture::{Fit, Preprocessing, Resize, Scratch};
use goldcrest_engine::shape::Shape;
use goldcrest_engine::{Engine, ImageBuf};
use goldcrest_firmware::source::ImageSource;
use goldcrest_firmware::source::stored::Stored;
use goldcrest_link::CRC;
use goldcrest_quantize::pack::{PackOptions, pack};
use goldcrest_quantize::random::Builder;
use image::{DynamicImage, ImageBuffer, ImageFormat, Rgba};

const PICTURES: usize = 200;
const BACKGROUND: [u8; 3] = [200, 10, 60];

/// A picture of noise in one of eight forms.
fn noise(random: &mut Random) -> Vec<u8> {
    let mut below = |limit: u32| (random.bits() % u64::from(limit)) as u32;
    let (width, height, form) = (1 + below(50), 1 + below(50), below(8));
    let image: DynamicImage = DynamicImage::ImageRgba16(ImageBuffer::from_fn(width, height, |_, _| {
        Rgba([(); 4].map(|()| below(65536) as u16))
    }));
    let (image, format): (DynamicImage, _) = match form {
        0 => (image.into_luma8().into(), ImageFormat::Png),
        1 => (image.into_luma_alpha8().into(), ImageFormat::Png),
        2 => (image.into_rgb8().into(), ImageFormat::Bmp),
        3 => (image.into_rgba8().into(), ImageFormat::WebP),
        4 => (image.into_luma16().into(), ImageFormat::Png),
        5 => (image.into_rgb8().into(), ImageFormat::Jpeg),
        6 => (image.into_rgb16().into(), ImageFormat::Tiff),
        _ => (image, ImageFormat::Png),
    };
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("encoded");
    bytes.into_inner()
}

/// What a board makes of a picture in its flash, which is always RGB.
fn from_flash(rule: &Preprocessing, picture: &Picture, to: Shape) -> Vec<u8> {
    let shape = Shape { channels: 3, ..picture.shape };
    let pixels: Vec<u8> = match picture.shape.channels {
        1 => picture.pixels.iter().flat_map(|&value| [value; 3]).collect(),
        _ => picture.pixels.clone(),
    };
    let (mut row, mut sums) = (vec![0; shape.width], vec![0; Resize::sums(to)]);
    let mut file = format!("P6 {} {} 255\n", shape.width, shape.height).into_bytes();
    file.extend(pixels);
    let mut source = Stored::new(&file, Scratch { row: &mut row, sums: &mut sums }).expect("a source");
    let mut input = vec![0; to.len()];
    source.fill(rule, to, &mut input).expect("an input");
    input
}

/// An emulated board with a small network of that input and preprocessing.
fn board(to: Shape, rule: Preprocessing) -> (Emulator, ImageBuf) {
    let board = table::find("mps2-an386").expect("the board");
    let mut net = Builder::new(1, to, false);
    let logits = net.fully_connected(net.input(), 3);
    let mut model = net.finish(logits);
    model.info.preprocessing = rule;
    let options = PackOptions { family: board.family, ..PackOptions::default() };
    let image = pack(&model, &options).expect("packed").image;
    let emulator = Emulator::start(board, image.bytes(), emulator::Options::default());
    (emulator.unwrap_or_else(|error| panic!("{error}")), image)
}

#[test]
fn every_path_makes_the_same_input() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut random = Random::new(11);
    for number in 0..PICTURES {
        let (part, class) = (["train", "test"][number % 2], ["a", "b"][number / 2 % 2]);
        let path = folder.path().join(part).join(class);
        std::fs::create_dir_all(&path).expect("a folder");
        std::fs::write(path.join(format!("{number:03}.png")), noise(&mut random)).expect("written");
    }
    let (mut compared, mut slowest) = (0, Duration::ZERO);
    for (fit, channels) in Fit::ALL.into_iter().flat_map(|fit| [(fit, 1), (fit, 3)]) {
        let preprocessing = Preprocessing { fit, background: BACKGROUND };
        let options = Options {
            resize: Some([12, 20]),
            channels: Some(channels),
            preprocessing,
            cache: Cache::Off,
            ..Options::default()
        };
        let dataset = Dataset::open(&Spec::Path(folder.path().to_owned()), &options).expect("a data set");
        let (mut board, image) = board(dataset.train.shape(), preprocessing);
        let mut arena = vec![0; image.image().arena_words()];
        let mut engine = Engine::new(&image.image(), &mut arena).expect("an arena");
        for (part, split) in [("train", &dataset.train), ("test", &dataset.test)] {
            // Unchanged pixels are pixels from 0 to 1, channel by channel.
            let plain = Normalization { mean: vec![0.0; channels], std: vec![1.0; channels] };
            let loaded: Vec<f32> = Batches::plain(split, &plain, 16).flat_map(|batch| batch.images).collect();
            let mut numbers = [0, 1].map(|class| {
                let first = usize::from(part == "test") + 2 * class;
                (first..PICTURES).step_by(4)
            });
            assert_eq!(split.len(), PICTURES / 2);
            for index in 0..split.len() {
                let label = split.label(index);
                let number = numbers[label].next().expect("a picture");
                let path = folder.path().join(part).join(["a", "b"][label]).join(format!("{number:03}.png"));
                let picture = Picture::open(&path, BACKGROUND).expect("a picture");
                let input = picture.fit(split.shape(), &preprocessing).expect("an input");
                assert_eq!(split.image(index), input, "{} {fit} {channels}", path.display());
                let planes = &loaded[index * input.len()..][..input.len()];
                let pixels = input.len() / channels;
                let from_loader: Vec<u8> = (0..input.len())
                    .map(|at| (planes[at % channels * pixels + at / channels] * 255.0).round() as u8)
                    .collect();
                assert_eq!(from_loader, input, "{} {fit} {channels}, loaded", path.display());
                let stored = from_flash(&preprocessing, &picture, split.shape());
                assert_eq!(stored, input, "{}, from flash", path.display());
                // The picture as it is goes over the link, and the emulated board makes the input: in every
                // way, half of the pictures in gray and half in colour, since each byte takes QEMU its time.
                if (number % 2 == 0) != (channels == 1) {
                    continue;
                }
                let start = Instant::now();
                let answer = board.client().infer_picture(picture.shape, &picture.pixels);
                let (answer, crc) = answer.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                slowest = slowest.max(start.elapsed());
                assert_eq!(crc, CRC.checksum(&input), "{} {fit} {channels}, on a board", path.display());
                engine.load_pixels(&input).expect("pixels");
                assert_eq!(answer.logits, engine.run(), "{}", path.display());
                compared += 1;
            }
        }
    }
    println!("{compared} pictures, the slowest in {slowest:?}");
    assert_eq!(compared, Fit::ALL.len() * PICTURES);
}
