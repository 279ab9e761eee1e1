//! The images that a model loses against another, as files to look at.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use goldcrest_data::Split;
use image::{ExtendedColorType, ImageFormat};

/// Why an image could not be saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The folder cannot be made.
    #[error("{path}: cannot make the folder: {source}")]
    Folder { path: PathBuf, source: std::io::Error },
    /// A file cannot be written.
    #[error("{path}: cannot write: {source}")]
    Write { path: PathBuf, source: image::ImageError },
    /// Images of neither one nor three channels.
    #[error("images of {0} channels have no PNG form")]
    Channels(usize),
}

/// Saves images of a split as `INDEX-CLASS-not-ANSWER.png` in a folder, which is made when it is missing.
/// `answers` are the model's, one per image of the split.
///
/// # Errors
/// When the folder or a file cannot be written.
pub fn save(
    folder: &Path,
    images: &Split,
    chosen: &[usize],
    answers: &[usize],
    labels: &[String],
) -> Result<(), SaveError> {
    std::fs::create_dir_all(folder)
        .map_err(|source| SaveError::Folder { path: folder.to_owned(), source })?;
    let shape = images.shape();
    let color = match shape.channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        channels => return Err(SaveError::Channels(channels)),
    };
    for &index in chosen {
        let name = |class: usize| labels.get(class).map_or_else(|| class.to_string(), |name| file_name(name));
        let file = format!("{index:05}-{}-not-{}.png", name(images.label(index)), name(answers[index]));
        let path = folder.join(file);
        let (width, height) = (shape.width as u32, shape.height as u32);
        let mut png = Cursor::new(Vec::new());
        let format = ImageFormat::Png;
        image::write_buffer_with_format(&mut png, images.image(index), width, height, color, format)
            .and_then(|()| Ok(goldcrest_files::write(&path, png.get_ref())?))
            .map_err(|source| SaveError::Write { path, source })?;
    }
    Ok(())
}

/// A class name with nothing that a file system could take for something else.
fn file_name(label: &str) -> String {
    label.chars().map(|c| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldcrest_engine::shape::Shape;

    #[test]
    fn saved_images_hold_their_pixels_and_say_what_went_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let pixels: Vec<u8> = (0..24).collect();
        let images = Split::new(Shape::new(2, 2, 3), pixels, vec![1, 0]);
        let labels = ["a/b".to_owned(), "ünder".to_owned()];
        let path = folder.path().join("lost");
        save(&path, &images, &[1], &[1, 1], &labels).unwrap();
        let files: Vec<_> = std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(files, ["00001-a_b-not-ünder.png"]);
        let saved = image::open(path.join(&files[0])).unwrap().into_rgb8();
        assert_eq!(saved.into_raw(), images.image(1));
    }
}
