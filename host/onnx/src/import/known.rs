//! Constants as the importer knows them: of the file, computed from others, or integers that stand for
//! floats.

use std::ops::Deref;
use std::rc::Rc;

use super::quantized::Scales;
use crate::{Data, Tensor};

/// A constant tensor.
#[derive(Clone, Debug)]
pub enum Constant<'a> {
    /// Of the file.
    Given(&'a Tensor),
    /// Computed from others.
    Computed(Rc<Tensor>),
}

impl Deref for Constant<'_> {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        match self {
            Self::Given(tensor) => tensor,
            Self::Computed(tensor) => tensor,
        }
    }
}

impl From<Tensor> for Constant<'_> {
    fn from(tensor: Tensor) -> Self {
        Self::Computed(Rc::new(tensor))
    }
}

/// Integers and their scales. As floats they would take four times the memory, so they become floats where
/// these are used.
#[derive(Clone, Debug)]
pub struct Dequantized<'a> {
    /// The integers.
    pub integers: Constant<'a>,
    /// What they stand for.
    pub scales: Scales<'a>,
}

impl Dequantized<'_> {
    /// The element at a place.
    pub fn at(&self, index: usize) -> f32 {
        self.scales.real(&self.integers, index)
    }

    /// All elements.
    pub fn tensor(&self) -> Tensor {
        Tensor::f32(&self.integers.shape, (0..self.integers.data.len()).map(|index| self.at(index)).collect())
    }
}

/// Float weights, or integers that stand for them.
#[derive(Clone, Debug)]
pub enum Weights<'a> {
    /// A tensor of floats.
    Floats(Constant<'a>),
    /// Integers with scales.
    Integers(Dequantized<'a>),
}

impl Weights<'_> {
    /// Sizes of the dimensions.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Floats(tensor) => &tensor.shape,
            Self::Integers(Dequantized { integers, .. }) => &integers.shape,
        }
    }

    /// The element at a place.
    pub fn at(&self, index: usize) -> f32 {
        match self {
            Self::Floats(tensor) => match &tensor.data {
                Data::F32(values) => values[index],
                _ => f32::NAN,
            },
            Self::Integers(integers) => integers.at(index),
        }
    }
}
