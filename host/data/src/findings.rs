//! What opening a data set came across that a user should hear of.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Dataset, Split};

/// Values of an image that lie no further apart are one value to the eye, and nearly so to a network.
const CONSTANT: u8 = 3;

/// What opening a data set came across. Sources without picture files have little of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Files that are not read: how many of each kind.
    pub ignored: BTreeMap<String, usize>,
    /// Broken pictures that were left out, each with the reason.
    #[serde(default)]
    pub skipped: Vec<(String, String)>,
    /// Coloured pictures.
    pub coloured: Pictures,
    /// Gray pictures.
    pub gray: Pictures,
    /// Pictures with transparent pixels.
    pub transparent: Pictures,
    /// Pictures of 16 bits whose values all lie below 256, as of 8 bits that were stored wrongly.
    pub dark: Pictures,
    /// Images with one value everywhere, or nearly.
    pub constant: usize,
    /// Test images with the pixels of a training image.
    pub copies: usize,
    /// The smallest and the largest picture by rows and columns; equal when all have one size.
    pub sizes: Option<[[usize; 2]; 2]>,
}

/// How many, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pictures {
    /// How many.
    pub count: usize,
    /// The name of the first.
    pub example: String,
}

impl Pictures {
    pub(super) fn add(&mut self, name: &str) {
        if self.count == 0 {
            name.clone_into(&mut self.example);
        }
        self.count += 1;
    }
}

impl Findings {
    /// Notes the size of a picture.
    pub(super) fn size(&mut self, size: [usize; 2]) {
        let [smallest, largest] = self.sizes.unwrap_or([size; 2]);
        let area = |[rows, columns]: [usize; 2]| rows * columns;
        let smaller = if area(size) < area(smallest) { size } else { smallest };
        let larger = if area(size) > area(largest) || size != largest && area(size) == area(largest) {
            size
        } else {
            largest
        };
        self.sizes = Some([smaller, larger]);
    }

    /// Counts constant images and test images that are training images too.
    pub(super) fn look_at(&mut self, train: &Split, test: &Split) {
        let count = |split: &Split, wanted: &(dyn Fn(&[u8]) -> bool + Sync)| {
            (0..split.len()).into_par_iter().filter(|&index| wanted(split.image(index))).count()
        };
        self.constant = count(train, &is_constant) + count(test, &is_constant);
        let hash = |image: &[u8]| {
            let mut hasher = DefaultHasher::new();
            image.hash(&mut hasher);
            hasher.finish()
        };
        let known: HashMap<u64, usize> =
            (0..train.len()).into_par_iter().map(|index| (hash(train.image(index)), index)).collect();
        self.copies =
            count(test, &|image| known.get(&hash(image)).is_some_and(|&index| train.image(index) == image));
    }

    /// Each finding that may surprise, as a sentence; `dataset` is the one it belongs to.
    pub fn remarks(&self, dataset: &Dataset) -> Vec<String> {
        let all = dataset.train.len() + dataset.test.len();
        let mut remarks = Vec::new();
        let ignored: usize = self.ignored.values().sum();
        if ignored > 0 {
            let mut kinds: Vec<(&String, &usize)> = self.ignored.iter().collect();
            kinds.sort_by_key(|&(_, &count)| std::cmp::Reverse(count));
            let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            remarks.push(format!("{} ignored: {}", files(ignored), kinds.join(", ")));
        }
        if let [(name, reason), ..] = &self.skipped[..] {
            let count = self.skipped.len();
            remarks.push(format!("{count} broken pictures are left out, such as {name}: {reason}"));
        }
        let (coloured, gray) = (&self.coloured, &self.gray);
        match dataset.shape.channels {
            1 if coloured.count > 0 => remarks.push(format!(
                "{} of {all} pictures are coloured (such as {}); the images are gray, so their colours are \
                 left out",
                coloured.count, coloured.example
            )),
            3 if coloured.count > 0 && gray.count > 0 => {
                let (few, which) =
                    if coloured.count < gray.count { (coloured, "coloured") } else { (gray, "gray") };
                remarks.push(format!(
                    "{} of {all} pictures are {which} (such as {}) among {} that are not; all become RGB",
                    few.count,
                    few.example,
                    all - few.count
                ));
            }
            _ => (),
        }
        if self.transparent.count > 0 {
            let [red, green, blue] = dataset.preprocessing.background;
            remarks.push(format!(
                "{} of {all} pictures have transparent pixels (such as {}); below them lies the background \
                 #{red:02x}{green:02x}{blue:02x}",
                self.transparent.count, self.transparent.example
            ));
        }
        if self.dark.count > 0 {
            remarks.push(format!(
                "{} pictures of 16 bits hold only values below 256 of 65536 (such as {}), so they are all \
                 but black; if they are pictures of 8 bits, store them as such",
                self.dark.count, self.dark.example
            ));
        }
        if self.copies > 0 {
            remarks.push(format!(
                "{} of {} test images are training images too; the accuracy on them says nothing of new ones",
                self.copies,
                dataset.test.len()
            ));
        }
        if self.constant > 0 {
            remarks.push(format!(
                "{} of {all} images have one value everywhere; nothing can be learned of them",
                self.constant
            ));
        }
        remarks
    }
}

/// Whether an image has one value everywhere, or nearly.
pub fn is_constant(image: &[u8]) -> bool {
    let Some(&first) = image.first() else { return true };
    let (mut low, mut high) = (first, first);
    for &value in image {
        (low, high) = (low.min(value), high.max(value));
        if high - low > CONSTANT {
            return false;
        }
    }
    true
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

impl Dataset {
    /// How many images of how many classes, and what size, in one line.
    pub fn summary(&self) -> String {
        let shape = self.shape;
        let form = if shape.channels == 1 { "gray" } else { "RGB" };
        let mut classes = self.classes.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
        if self.classes.len() > 10 {
            classes += ", ...";
        }
        let made = match self.findings.sizes {
            Some([smallest, largest]) if [smallest, largest] != [[shape.height, shape.width]; 2] => {
                let size = |[rows, columns]: [usize; 2]| format!("{rows}x{columns}");
                let sizes = if smallest == largest {
                    size(smallest)
                } else {
                    format!("{} to {}", size(smallest), size(largest))
                };
                format!(" ({sizes} before, fit {})", self.preprocessing.fit)
            }
            _ => String::new(),
        };
        format!(
            "{}: {} training and {} test images of {} classes ({classes}), {}x{} {form}{made}",
            self.name,
            self.train.len(),
            self.test.len(),
            self.classes.len(),
            shape.height,
            shape.width,
        )
    }

    /// What a user should hear of the images, each as a sentence.
    pub fn remarks(&self) -> Vec<String> {
        self.findings.remarks(self)
    }
}
