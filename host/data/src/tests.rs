//! Opening data sets: good ones, broken ones and hostile ones.

use std::{
    fs,
    io::{Cursor, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use goldcrest_engine::picture::{Fit, color};
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use tempfile::TempDir;

use super::inspect::Inspection;
use super::*;

fn options() -> Options {
    Options { cache: Cache::Off, ..Options::default() }
}

fn open(path: &Path) -> Result<Dataset, DatasetError> {
    Dataset::open(&Spec::Path(path.to_owned()), &options())
}

/// The message of an error that must happen.
fn complaint(path: &Path) -> String {
    match open(path) {
        Ok(dataset) => panic!("{} was opened: {dataset:?}", path.display()),
        Err(error) => error.to_string(),
    }
}

fn encode(image: DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn rgb(width: u32, height: u32, shade: u8) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, y| image::Rgb([shade, x as u8, y as u8])).into()
}

fn png(shade: u8) -> Vec<u8> {
    encode(rgb(6, 4, shade), ImageFormat::Png)
}

/// Files of a small, good data set.
fn good() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for (part, count) in [("train", 3), ("test", 2)] {
        for (label, class) in ["cat", "dog"].iter().enumerate() {
            for number in 0..count {
                files.push((format!("{part}/{class}/{number}.png"), png(label as u8 * 100 + number)));
            }
        }
    }
    files
}

fn folder(files: &[(String, Vec<u8>)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    root
}

fn put(root: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = root.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(name.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn assert_good(dataset: &Dataset) {
    assert_eq!(dataset.classes, ["cat", "dog"]);
    assert_eq!(dataset.shape, Shape::new(4, 6, 3));
    assert_eq!(dataset.train.labels(), [0, 1, 0, 1, 0, 1]);
    assert_eq!(dataset.test.labels(), [0, 1, 0, 1]);
    // Row 2, column 5 of the third training image: the second cat.
    assert_eq!(dataset.train.image(2)[(2 * 6 + 5) * 3..][..3], [1, 5, 2]);
    assert_eq!(dataset.test.image(3)[..3], [101, 0, 0]);
}

#[test]
fn folder_and_archives_hold_the_same() {
    let root = folder(&good());
    put(&root, "train/cat/notes.txt", b"not an image");
    put(&root, "train/cat/.hidden.png", b"not an image");
    put(&root, "README.md", b"text");
    assert_good(&open(root.path()).unwrap());
    let tar_bytes = tar(&good());
    for (name, bytes) in
        [("birds.tar", tar_bytes.clone()), ("birds.tar.gz", gzip(&tar_bytes)), ("x.bin", gzip(&tar_bytes))]
    {
        let dataset = open(&put(&root, name, &bytes)).unwrap();
        assert_good(&dataset);
        assert_eq!(dataset.name, name.split(".tar").next().unwrap());
    }
    let zipped = zip(&good());
    assert_good(&open(&put(&root, "birds.zip", &zipped)).unwrap());
    let mut changed = zipped.clone();
    changed[60] ^= 1;
    assert!(complaint(&put(&root, "changed.zip", &changed)).contains("damaged archive"));
    let wrapped =
        folder(&good().into_iter().map(|(name, bytes)| (format!("v1/{name}"), bytes)).collect::<Vec<_>>());
    assert_good(&open(wrapped.path()).unwrap());
    let nested: Vec<_> = good().into_iter().map(|(name, bytes)| (format!("./top/{name}"), bytes)).collect();
    assert_good(&open(&put(&root, "nested.tar", &tar(&nested))).unwrap());
}

#[test]
fn a_long_name_is_a_name() {
    let long = "n".repeat(150);
    let files: Vec<_> = good().into_iter().map(|(name, bytes)| (format!("{long}/{name}"), bytes)).collect();
    let root = folder(&[]);
    assert_good(&open(&put(&root, "long.tar", &tar(&files))).unwrap());
}

#[test]
fn without_a_test_folder_a_fifth_is_set_aside_and_said() {
    let files: Vec<_> =
        (0..20u8).map(|n| (format!("{}/{n}.png", ["cat", "dog"][usize::from(n % 2)]), png(n))).collect();
    let dataset = open(folder(&files).path()).unwrap();
    assert!(dataset.name.ends_with(" (80/20 split)"), "{}", dataset.name);
    assert_eq!((dataset.train.len(), dataset.test.len()), (16, 4));
}

#[test]
fn gray_stays_gray_only_when_all_are() {
    let gray = |shade| encode(GrayImage::from_pixel(6, 4, image::Luma([shade])).into(), ImageFormat::Png);
    let mut files: Vec<_> = good().into_iter().map(|(name, _)| (name, gray(77))).collect();
    let dataset = open(folder(&files).path()).unwrap();
    assert_eq!((dataset.shape, dataset.train.image(0)), (Shape::new(4, 6, 1), &[77; 24][..]));
    files[4].1 = png(9);
    let dataset = open(folder(&files).path()).unwrap();
    assert_eq!((dataset.shape, dataset.train.image(0)), (Shape::new(4, 6, 3), &[77; 72][..]));
}

#[test]
fn sixteen_bits_and_transparency_become_bytes() {
    let deep = image::ImageBuffer::from_pixel(6, 4, image::Rgba([0x1234u16, 0xffff, 0, 0x8000]));
    let mut files = good();
    files[0].1 = encode(deep.into(), ImageFormat::Png);
    let dataset = open(folder(&files).path()).unwrap();
    // Half transparent, over white.
    assert_eq!(dataset.train.image(0)[..3], [136, 255, 127]);
    assert_eq!((dataset.findings.transparent.count, dataset.findings.dark.count), (1, 0));
    let black = Options {
        preprocessing: Preprocessing { background: [0; 3], ..Preprocessing::default() },
        ..options()
    };
    let dataset = Dataset::open(&Spec::Path(folder(&files).path().to_owned()), &black).unwrap();
    assert_eq!(dataset.train.image(0)[..3], [9, 128, 0]);
    // 8 bits that were stored in 16: all but black, and said.
    let wrong = image::ImageBuffer::from_fn(6, 4, |x, y| image::Luma([(x * 40 + y) as u16]));
    files[0].1 = encode(wrong.into(), ImageFormat::Png);
    let dataset = open(folder(&files).path()).unwrap();
    assert_eq!(dataset.findings.dark.count, 1);
    assert!(dataset.remarks().iter().any(|remark| remark.contains("16 bits")), "{:?}", dataset.remarks());
}

#[test]
fn every_format_gives_the_same_pixels() {
    let expected = open(folder(&good()).path()).unwrap();
    for format in [ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Tiff] {
        let extension = format.extensions_str()[0];
        let recode = |(name, bytes): (String, Vec<u8>)| {
            let image = image::load_from_memory(&bytes).unwrap();
            (name.replace("png", extension), encode(image, format))
        };
        let dataset = open(folder(&good().into_iter().map(recode).collect::<Vec<_>>()).path()).unwrap();
        // Few colours: GIF keeps them too.
        assert_eq!(dataset.train.pixels(), expected.train.pixels(), "{extension}");
        assert_eq!(dataset.test.pixels(), expected.test.pixels(), "{extension}");
    }
}

#[test]
fn what_is_found_is_told() {
    let mut files = good();
    for (index, (_, bytes)) in files.iter_mut().filter(|(name, _)| name.starts_with("test/")).enumerate() {
        *bytes = png(200 + index as u8);
    }
    files.push(("train/cat/a.heic".into(), vec![]));
    files.push(("train/dog/b.HEIC".into(), vec![]));
    files.push(("test/dog/notes".into(), vec![]));
    files[0].1 = encode(GrayImage::from_pixel(6, 4, image::Luma([7])).into(), ImageFormat::Png);
    let copy = files[1].1.clone();
    let test = files.iter_mut().find(|(name, _)| name.starts_with("test/")).unwrap();
    test.1 = copy;
    let root = folder(&files);
    let dataset = open(root.path()).unwrap();
    let remarks = dataset.remarks().join("\n");
    for says in [
        "3 files ignored: 2 .heic, 1 without extension",
        "1 of 10 pictures are gray (such as ",
        "1 of 10 images have one value everywhere",
        "1 of 4 test images are training images too",
    ] {
        assert!(remarks.contains(says), "{says}: {remarks}");
    }
    let summary = dataset.summary();
    assert!(summary.contains("6 training and 4 test images of 2 classes (cat, dog), 4x6 RGB"), "{summary}");

    put(&root, "train/dog/0.png", b"broken");
    let found = Inspection::of(&Spec::Path(root.path().to_owned()), &options()).unwrap();
    assert!(found.broken.len() == 1 && found.broken[0].0.ends_with("train/dog/0.png"), "{:?}", found.broken);
    assert!(
        found.constant.len() == 1 && found.constant[0].ends_with("train/cat/0.png"),
        "{:?}",
        found.constant
    );
    let problems = found.problems().join("\n");
    assert!(problems.contains("1 broken picture,") && problems.contains("copy of a training"), "{problems}");

    // Of noise, in which no picture is like another.
    let mut random = random::Random::new(3);
    let mut noise = || RgbImage::from_fn(16, 16, |_, _| image::Rgb([(); 3].map(|()| random.bits() as u8)));
    let clean: Vec<_> =
        good().into_iter().map(|(name, _)| (name, encode(noise().into(), ImageFormat::Png))).collect();
    let problems =
        Inspection::of(&Spec::Path(folder(&clean).path().to_owned()), &options()).unwrap().problems();
    assert!(problems.is_empty(), "{problems:?}");
}

/// A data set's loader and a single picture, whatever the size and the form of colour.
#[test]
fn every_path_makes_the_same_input() {
    let mut random = random::Random::new(5);
    let mut below = |limit: u32| (random.bits() % u64::from(limit)) as u32;
    let mut files = Vec::new();
    for number in 0..200 {
        let (width, height, form) = (1 + below(50), 1 + below(50), below(8));
        let noise = image::ImageBuffer::from_fn(width, height, |_, _| {
            image::Rgba([(); 4].map(|()| below(65536) as u16))
        });
        let image = DynamicImage::ImageRgba16(noise);
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
        let name =
            format!("{}/{}/{number:03}.png", ["train", "test"][number % 2], ["a", "b"][number / 2 % 2]);
        files.push((name, encode(image, format)));
    }
    let root = folder(&files);
    for fit in Fit::ALL {
        for channels in [1, 3] {
            let preprocessing = Preprocessing { fit, background: [200, 10, 60] };
            let options =
                Options { resize: Some([12, 20]), channels: Some(channels), preprocessing, ..options() };
            let dataset = Dataset::open(&Spec::Path(root.path().to_owned()), &options).unwrap();
            for (part, split) in [("train", &dataset.train), ("test", &dataset.test)] {
                let mut names: Vec<Vec<&String>> = ["a", "b"]
                    .map(|class| {
                        let mine = format!("{part}/{class}/");
                        files.iter().map(|(name, _)| name).filter(|name| name.starts_with(&mine)).collect()
                    })
                    .into();
                assert_eq!(split.len(), 100);
                for index in 0..split.len() {
                    let name = names[split.label(index)].remove(0);
                    let picture =
                        picture::Picture::open(&root.path().join(name), preprocessing.background).unwrap();
                    let input = picture.fit(split.shape(), &preprocessing).unwrap();
                    assert_eq!(split.image(index), input, "{name} {fit} {channels}");
                }
            }
        }
    }
}

#[test]
fn images_are_of_the_colour_asked_for() {
    let root = folder(&good());
    let spec = Spec::Path(root.path().to_owned());
    let gray = Dataset::open(&spec, &Options { channels: Some(1), ..options() }).unwrap();
    let colour = Dataset::open(&spec, &options()).unwrap();
    let luma: Vec<u8> =
        colour.train.pixels().as_chunks::<3>().0.iter().map(|&pixel| color::gray(pixel)).collect();
    assert_eq!((gray.shape.channels, gray.train.pixels()), (1, &luma[..]));
    assert!(gray.remarks().iter().any(|remark| remark.contains("are coloured")), "{:?}", gray.remarks());
    let glyphs = Spec::Glyphs { train: 10, test: 10 };
    let gray = Dataset::open(&glyphs, &Options { channels: Some(1), ..options() }).unwrap();
    assert_eq!(gray.test.shape(), Shape::new(32, 32, 1));
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf_8_stay_apart() {
    use std::os::unix::ffi::OsStrExt;
    let root = folder(&[]);
    for (class, shade) in [(&b"caf\xe9"[..], 10), (b"caf\xe8", 20), (b"the", 30)] {
        for part in ["train", "test"] {
            let folder = root.path().join(part).join(std::ffi::OsStr::from_bytes(class));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("0.png"), png(shade + u8::from(part == "test"))).unwrap();
        }
    }
    let dataset = open(root.path()).unwrap();
    assert_eq!(dataset.classes, ["caf\\xe8", "caf\\xe9", "the"]);
    assert_eq!((dataset.train.len(), dataset.train.image(1)[0]), (3, 10));
}

#[test]
fn jpeg_is_close_to_what_was_encoded() {
    let smooth = RgbImage::from_fn(16, 16, |x, y| image::Rgb([(x * 16) as u8, (y * 16) as u8, 128]));
    let files: Vec<_> = good()
        .into_iter()
        .map(|(name, _)| (name.replace("png", "jpg"), encode(smooth.clone().into(), ImageFormat::Jpeg)))
        .collect();
    let dataset = open(folder(&files).path()).unwrap();
    let off = |(a, b): (&u8, &u8)| u64::from(a.abs_diff(*b));
    let total: u64 = dataset.train.image(0).iter().zip(smooth.as_raw()).map(off).sum();
    assert!(total / 768 < 8, "mean error {}", total / 768);
}

/// A camera held upright writes a sideways picture and says so in EXIF.
#[test]
fn pictures_are_turned_upright() {
    let mut files = good();
    let grows_down = RgbImage::from_fn(4, 6, |_, y| image::Rgb([40 * y as u8; 3]));
    let sideways = encode(grows_down.into(), ImageFormat::Jpeg);
    // APP1 with a TIFF header and one entry: tag 0x0112 (orientation), type short, value 6.
    let exif = b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    files[1].1 = [&sideways[..2], exif, &sideways[2..]].concat();
    let dataset = open(folder(&files).path()).unwrap();
    // After a quarter turn clockwise it grows to the left.
    let row: Vec<u8> = (0..6).map(|column| dataset.train.image(2)[column * 3]).collect();
    assert!(row.windows(2).all(|pair| pair[0] > pair[1] + 20), "{row:?}");
    files[1].1 = sideways;
    let complaint = complaint(folder(&files).path());
    assert!(complaint.contains("/train/cat/1.png: 4x6 image"), "{complaint}");
}

#[test]
fn sizes_must_agree_unless_resized() {
    let root = folder(&good());
    put(&root, "test/cat/0.png", &encode(rgb(48, 50, 0), ImageFormat::Png));
    put(&root, "test/dog/1.png", &encode(rgb(6, 5, 0), ImageFormat::Png));
    assert_eq!(
        complaint(root.path()),
        format!(
            "2 images cannot be used\n  {0}/test/cat/0.png: 48x50 image, but {0}/train/cat/0.png is 6x4 \
             (width x \
             height); pass --resize\n  {0}/test/dog/1.png: 6x5 image, but {0}/train/cat/0.png is 6x4 (width \
             x height); pass --resize",
            root.path().display()
        )
    );
    let resize = Options { resize: Some([8, 10]), ..options() };
    let spec = Spec::Path(root.path().to_owned());
    let dataset = Dataset::open(&spec, &resize).unwrap();
    assert_eq!((dataset.shape, dataset.test.len()), (Shape::new(8, 10, 3), 4));
    // The red channel is constant, so resizing keeps it.
    assert!(dataset.train.image(2).chunks(3).all(|pixel| pixel[0] == 1));
    for size in [[0, 8], [8, 0], [1 << 20, 8]] {
        let error = Dataset::open(&spec, &Options { resize: Some(size), ..options() }).unwrap_err();
        assert!(matches!(error, DatasetError::Resize { .. }), "{error}");
    }
    let glyphs = Spec::Glyphs { train: 10, test: 10 };
    assert_eq!(Dataset::open(&glyphs, &resize).unwrap().test.shape(), Shape::new(8, 10, 3));
}

#[test]
fn broken_pictures_are_named() {
    let jpeg = encode(rgb(64, 64, 3), ImageFormat::Jpeg);
    let cases: [(&[u8], &str); 7] = [
        (&jpeg[..jpeg.len() / 2], "truncated JPEG"),
        (&jpeg[..jpeg.len() - 2], "truncated JPEG"),
        (&png(1)[..60], ""),
        (b"", "the file is empty"),
        (b"hello", "not a picture; JPEG, PNG, WebP"),
        (b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", ""),
        (b"P6 1 1 255 \x00\x00\x00", "Pnm content; JPEG, PNG, WebP"),
    ];
    for (bytes, reason) in cases {
        let root = folder(&good());
        put(&root, "train/dog/0.png", bytes);
        let message = complaint(root.path());
        let place = root.path().join("train/dog/0.png");
        assert!(message.starts_with(&format!("{}: broken image: {reason}", place.display())), "{message}");
        assert!(message.contains("; replace or delete it") && message.contains("--skip-broken"), "{message}");
    }
}

#[test]
fn all_broken_pictures_are_named_and_can_be_left_out() {
    let root = folder(&good());
    // The first picture of all says the size.
    for name in ["train/cat/0.png", "train/dog/2.png", "test/dog/0.png"] {
        put(&root, name, b"<html>404</html>");
    }
    let error = open(root.path()).unwrap_err();
    let named: Vec<String> = error.pictures().iter().map(|(name, _)| (*name).to_owned()).collect();
    let path = |name: &str| root.path().join(name).display().to_string();
    assert_eq!(named, [path("train/cat/0.png"), path("train/dog/2.png"), path("test/dog/0.png")]);
    let message = error.to_string();
    assert!(named.iter().all(|name| message.contains(name)), "{message}");
    let spec = Spec::Path(root.path().to_owned());
    let lenient = Options { skip_broken: true, ..options() };
    let dataset = Dataset::open(&spec, &lenient).unwrap();
    assert_eq!((dataset.train.labels(), dataset.test.labels()), (&[1, 0, 1, 0][..], &[0, 0, 1][..]));
    assert_eq!((dataset.train.image(0)[0], dataset.train.image(3)[0]), (100, 2));
    assert_eq!(dataset.findings.skipped.len(), 3);
    assert!(dataset.remarks()[0].starts_with("3 broken pictures are left out"), "{:?}", dataset.remarks());
    put(&root, "test/dog/1.png", b"");
    let error = Dataset::open(&spec, &lenient).unwrap_err().to_string();
    assert!(error.contains("/dog: no ") && error.contains("not broken"), "{error}");
}

#[test]
fn copies_stay_on_one_side_and_twins_across_are_found() {
    let noise = |seed: u64, shift: u8| {
        let mut random = random::Random::new(seed);
        let coarse: Vec<u8> = (0..64).map(|_| (random.bits() % 200) as u8).collect();
        let image =
            RgbImage::from_fn(48, 48, |x, y| image::Rgb([coarse[(y / 6 * 8 + x / 6) as usize] + shift; 3]));
        encode(image.into(), ImageFormat::Png)
    };
    let mut files = Vec::new();
    for picture in 0..20u64 {
        for copy in 0..5 {
            files.push((
                format!("{}/{picture}-{copy}.png", ["a", "b"][picture as usize % 2]),
                noise(picture, 0),
            ));
        }
    }
    let root = folder(&files);
    let inspection = Inspection::of(&Spec::Path(root.path().to_owned()), &options()).unwrap();
    assert_eq!(inspection.counts, [[40, 40], [10, 10]]);
    assert!(inspection.copies.len() == 20 && !inspection.copies.iter().any(|copies| copies.are_across()));
    assert_eq!((inspection.near.len(), inspection.problems()), (0, vec![]));

    let mut files = Vec::new();
    for picture in 0..20u64 {
        let part = ["train", "test"][usize::from(picture % 10 > 7)];
        files.push((format!("{part}/{}/{picture}.png", ["a", "b"][picture as usize % 2]), noise(picture, 0)));
    }
    // The same scene a little brighter.
    files.push(("test/a/twin.png".to_owned(), noise(2, 9)));
    let root = folder(&files);
    let inspection = Inspection::of(&Spec::Path(root.path().to_owned()), &options()).unwrap();
    let [near] = &inspection.near[..] else { panic!("{:?}", inspection.near) };
    assert!(near.is_across && near.agree, "{near:?}");
    assert!(near.picture.ends_with("test/a/twin.png") && near.twin.ends_with("train/a/2.png"), "{near:?}");
    let [problem] = &inspection.problems()[..] else { panic!("{:?}", inspection.problems()) };
    assert!(problem.starts_with("1 of 5 test pictures look like a training picture"), "{problem}");
}

#[test]
fn a_picture_with_an_absurd_size_is_refused_before_memory_is_taken() {
    // A PNG header that promises 60000 x 60000 pixels.
    let mut huge = png(1);
    huge[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    huge[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    for name in ["train/cat/0.png", "train/cat/1.png"] {
        let root = folder(&good());
        put(&root, name, &huge);
        let message = complaint(root.path());
        let place = root.path().join(name);
        assert!(message.starts_with(&format!("{}: broken image: ", place.display())), "{message}");
    }
    let root = folder(&good());
    let tight = Options { memory_limit: 700, ..options() };
    let error = Dataset::open(&Spec::Path(root.path().to_owned()), &tight).unwrap_err().to_string();
    assert!(error.contains("10 images of 4x6x3 take"), "{error}");
}

#[test]
fn missing_things_are_named() {
    let root = folder(&good());
    let nowhere = root.path().join("nowhere");
    assert!(complaint(&nowhere).starts_with(&format!("{}: no such file or folder", nowhere.display())));
    fs::create_dir_all(root.path().join("train/owl")).unwrap();
    assert!(complaint(root.path()).contains("/owl: no .jpg, .png, .webp, .bmp, .gif or .tif image"));
    put(&root, "train/owl/1.heic", b"RIFF");
    assert!(
        complaint(root.path())
            .contains("/owl: no .jpg, .png, .webp, .bmp, .gif or .tif image (only `1.heic`)")
    );
    assert!(
        complaint(tempfile::tempdir().unwrap().path())
            .contains("no images found; expected train/<class>/*.jpg")
    );
    let root = folder(&good());
    put(&root, "train/cat/deeper/1.png", &png(1));
    assert!(complaint(root.path()).contains("train/cat/deeper/1.png: misplaced"));
}

#[test]
fn what_is_no_archive_is_said() {
    let root = folder(&[]);
    let cases: [(&[u8], &str); 6] = [
        (b"", "the file is empty"),
        (b"hello, world", "the content is not an archive"),
        (b"\0\0\0\0TFL3rest", "a model, not images"),
        (b"\xfd7zXZ\x00rest", "an xz-compressed file"),
        (&png(1), "a single image"),
        (&[b'x'; 2000], "the content is not an archive"),
    ];
    for (bytes, found) in cases {
        let path = put(&root, "set.tar.gz", bytes);
        let expected = format!("{}: {found}; expected is a folder of images, or a .tar, ", path.display());
        assert!(complaint(&path).starts_with(&expected), "{}", complaint(&path));
    }
    for (name, found) in [
        ("m.onnx", "a model"),
        ("m.pt", "a model"),
        ("m.h5", "a model"),
        ("m.tflite", "a model"),
        ("l.csv", "a CSV file"),
    ] {
        let message = complaint(&put(&root, name, b"something, something else"));
        assert!(message.contains(&format!("{name}: {found}")), "{message}");
    }
    let path = put(&root, "half.zip", b"PK\x03\x04rest");
    assert!(complaint(&path).contains("half.zip: truncated or damaged archive"), "{}", complaint(&path));
    let path = put(&root, "text.gz", &gzip(&b"hello, world ".repeat(100)));
    assert!(complaint(&path).contains("truncated or damaged archive"));
    let path = put(&root, "text.tar", &tar(&[("a.txt".to_owned(), b"hello".to_vec())]));
    assert!(complaint(&path).contains("no images found"));
    let path = put(&root, "python.tar", &tar(&[("cifar/data_batch_1".to_owned(), b"hello".to_vec())]));
    assert!(complaint(&path).contains("CIFAR-10's Python version"));
}

#[test]
fn a_cut_or_changed_archive_is_noticed_wherever_it_is() {
    let root = folder(&[]);
    let whole = tar(&good());
    let packed = gzip(&whole);
    let mut shown = 0;
    for cut in (1..whole.len() - 1024).step_by(331).chain([512, 1024, whole.len() - 1024]) {
        let path = put(&root, "cut.tar", &whole[..cut]);
        let message = complaint(&path);
        let known = cut < 512 && message.contains("not an archive");
        assert!(known || message.contains("truncated or damaged archive"), "{cut}: {message}");
        assert!(message.contains("cut.tar"), "{message}");
        shown += 1;
    }
    for cut in (3..packed.len()).step_by(97).chain([packed.len() - 1, packed.len() - 8]) {
        let message = complaint(&put(&root, "cut.tar.gz", &packed[..cut]));
        assert!(message.contains("truncated or damaged archive"), "{cut}: {message}");
        shown += 1;
    }
    // The gzip checksum covers what the tar reader skips.
    let mut changed = packed.clone();
    let at = changed.len() - 7;
    changed[at] ^= 1;
    assert!(complaint(&put(&root, "changed.tar.gz", &changed)).contains("truncated or damaged archive"));
    assert!(shown > 40);
}

/// An archive with one entry that is not as it should be.
fn hostile(name: &[u8], kind: tar::EntryType, size: u64, data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes.extend(tar(&good()));
    bytes
}

#[test]
fn hostile_archives_do_nothing() {
    use tar::EntryType;
    let root = folder(&[]);
    let gigantic = 7 << 30;
    let cases = [
        (
            hostile(b"../../train/cat/x.png", EntryType::Regular, 3, b"abc"),
            "entry `../../train/cat/x.png` has `..`",
        ),
        (hostile(b"train/cat/x.png", EntryType::Symlink, 0, b""), "is not a plain file"),
        (hostile(b"train/cat/x.png", EntryType::Link, 0, b""), "is not a plain file"),
        (hostile(b"train/cat/x.png", EntryType::Char, 0, b""), "is not a plain file"),
        (
            hostile(b"train/c\x1b[2Jt/x.png", EntryType::Regular, 3, b"abc"),
            "has control characters in its name",
        ),
        (
            hostile(b"train/cat/x.png", EntryType::Regular, gigantic, b""),
            "has 7516192768 bytes, and the limit is",
        ),
        (
            hostile(b"data_batch_1.bin", EntryType::Regular, gigantic, b""),
            "has 7516192768 bytes, and the limit is",
        ),
        (hostile(b"x", EntryType::GNULongName, gigantic, b""), "claims 7516192768 bytes"),
        (hostile(b"x", EntryType::XHeader, gigantic, b""), "claims 7516192768 bytes"),
        (hostile(b"x", EntryType::XHeader, 12, b"12 size=999\n"), "a file beyond 8 GiB"),
        (hostile(b"notes.txt", EntryType::Regular, gigantic, b""), "truncated or damaged archive"),
    ];
    for (bytes, expected) in cases {
        let message = complaint(&put(&root, "hostile.tar", &bytes));
        assert!(message.contains(expected) && !message.contains('\x1b'), "{message}");
    }
    // Names that begin at the root are only names.
    let rooted: Vec<_> = good().into_iter().map(|(name, bytes)| (format!("x/{name}"), bytes)).collect();
    let mut bytes = tar(&rooted);
    let mut at = 0;
    while bytes[at] != 0 {
        bytes[at] = b'/';
        let mut header = tar::Header::from_byte_slice(&bytes[at..at + 512]).clone();
        header.set_cksum();
        bytes[at..at + 512].copy_from_slice(header.as_bytes());
        at += 512 + header.entry_size().unwrap().next_multiple_of(512) as usize;
    }
    assert_good(&open(&put(&root, "rooted.tar", &bytes)).unwrap());
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let root = folder(&[]);
    let mut files = good();
    files.insert(0, ("zeros.bin".to_owned(), vec![0; 8 << 20]));
    let packed = gzip(&tar(&files));
    assert!(packed.len() < 200_000);
    let path = put(&root, "bomb.tar.gz", &packed);
    let tight = Options { memory_limit: 1 << 20, ..options() };
    let error = Dataset::open(&Spec::Path(path.clone()), &tight).unwrap_err().to_string();
    assert!(error.contains("and the limit is 1 MiB"), "{error}");
    assert_good(&open(&path).unwrap());
}

const RECORD: usize = 3073;

fn cifar_file(labels: &[u8]) -> Vec<u8> {
    labels
        .iter()
        .flat_map(|&label| {
            std::iter::once(label)
                .chain((0..3072).map(move |at| (at / 1024 * 50) as u8 + (at % 32) as u8 + label))
        })
        .collect()
}

fn cifar() -> Vec<(String, Vec<u8>)> {
    vec![
        ("data_batch_2.bin".to_owned(), cifar_file(&[4, 5])),
        ("data_batch_1.bin".to_owned(), cifar_file(&[0, 9, 3])),
        ("test_batch.bin".to_owned(), cifar_file(&[7])),
    ]
}

#[test]
fn cifar_binary_files_from_folder_and_archive() {
    let root = folder(&cifar());
    let nested: Vec<_> =
        cifar().into_iter().map(|(name, bytes)| (format!("cifar-10-batches-bin/{name}"), bytes)).collect();
    let archive = put(&root, "cifar.tar.gz", &gzip(&tar(&nested)));
    for path in [root.path(), &archive] {
        let dataset = open(path).unwrap();
        assert_eq!((dataset.shape, dataset.classes.len()), (Shape::new(32, 32, 3), 10));
        assert_eq!((&*dataset.classes[0], &*dataset.classes[9]), ("airplane", "truck"));
        assert_eq!(dataset.train.labels(), [0, 9, 3, 4, 5]);
        assert_eq!(dataset.test.labels(), [7]);
        assert_eq!(dataset.train.image(1)[33 * 3..][..3], [10, 60, 110]);
    }
    put(&root, "batches.meta.txt", b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
    assert_eq!(open(root.path()).unwrap().classes[9], "j");
    put(&root, "batches.meta.txt", b"a\nb\n");
    assert!(complaint(root.path()).starts_with("batches.meta.txt: 2 usable class names"));
}

#[test]
fn bad_cifar_files_are_named() {
    let change = |name: &str, bytes: Option<Vec<u8>>| {
        let root = folder(&cifar());
        match bytes {
            Some(bytes) => drop(put(&root, name, &bytes)),
            None => fs::remove_file(root.path().join(name)).unwrap(),
        }
        complaint(root.path())
    };
    assert_eq!(
        change("data_batch_2.bin", Some(cifar_file(&[1, 2, 10]))),
        format!(
            "data_batch_2.bin: record 2 (byte {}) has label 10, but there are 10 classes (0 to 9); the file \
             is damaged or no CIFAR-10 file",
            2 * RECORD
        )
    );
    for size in [0, 1, RECORD - 1, RECORD + 1, 2 * RECORD + 512] {
        let message = change("test_batch.bin", Some(vec![0; size]));
        assert!(
            message.starts_with(&format!("test_batch.bin: {size} bytes, but CIFAR-10's binary files")),
            "{message}"
        );
    }
    assert!(change("test_batch.bin", None).contains("test_batch.bin not found"));
    let root = folder(&[("test_batch.bin".to_owned(), cifar_file(&[1]))]);
    assert!(complaint(root.path()).contains("data_batch_1.bin not found"));
    // A sparse file that claims a terabyte is refused by its size.
    let root = folder(&cifar());
    fs::File::create(root.path().join("data_batch_3.bin")).unwrap().set_len(1 << 40).unwrap();
    assert!(complaint(root.path()).starts_with("data_batch_3.bin: 1099511627776 bytes"));
}

#[test]
fn the_cache_gives_the_same_data_and_follows_changes() {
    let files: Vec<_> = (0..120u32)
        .flat_map(|n| {
            let image = encode(rgb(128, 100, n as u8), ImageFormat::Png);
            let class = ["cat", "dog"][n as usize % 2];
            [(format!("train/{class}/{n}.png"), image.clone()), (format!("test/{class}/{n}.png"), image)]
        })
        .collect();
    let root = folder(&files);
    let cache = tempfile::tempdir().unwrap();
    let options = Options { cache: Cache::Folder(cache.path().to_owned()), ..options() };
    let spec = Spec::Path(root.path().to_owned());
    let kept = || fs::read_dir(cache.path().join("datasets")).map_or(0, Iterator::count);
    let first = Dataset::open(&spec, &options).unwrap();
    assert_eq!(kept(), 1);
    let second = Dataset::open(&spec, &options).unwrap();
    assert_eq!(first.train.pixels(), second.train.pixels());
    assert_eq!((first.name, first.classes), (second.name, second.classes));
    put(&root, "train/cat/0.png", b"broken now");
    assert!(matches!(Dataset::open(&spec, &options), Err(DatasetError::Broken { .. })));
}

#[cfg(unix)]
#[test]
fn devices_and_links_in_folders() {
    let root = folder(&good());
    std::os::unix::fs::symlink("/dev/zero", root.path().join("train/cat/zero.png")).unwrap();
    assert_good(&open(root.path()).unwrap());
    // A folder of links to the pictures is a good data set.
    let links = tempfile::tempdir().unwrap();
    for part in ["train", "test"] {
        std::os::unix::fs::symlink(root.path().join(part), links.path().join(part)).unwrap();
    }
    assert_good(&open(links.path()).unwrap());
    std::os::unix::fs::symlink("nowhere", root.path().join("train/cat/lost.png")).unwrap();
    assert!(complaint(root.path()).contains("lost.png: no such file"));
}
