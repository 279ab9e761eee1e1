//! The architectures and recipes that come with Goldcrest, as the TOML files that they are.
//!
//! A new one is a file and a line here.
#![no_std]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

/// The architectures: name and TOML.
pub const ARCHITECTURES: &[(&str, &str)] = &[
    ("lenet5", include_str!("../lenet5.toml")),
    ("resnet8", include_str!("../resnet8.toml")),
    ("resnet20", include_str!("../resnet20.toml")),
    ("mobilenetv1-025", include_str!("../mobilenetv1-025.toml")),
    ("dscnn", include_str!("../dscnn.toml")),
];

/// The recipes: the architecture that each is for, and TOML.
pub const RECIPES: &[(&str, &str)] = &[
    ("lenet5", include_str!("../recipes/lenet5.toml")),
    ("resnet8", include_str!("../recipes/resnet8.toml")),
    ("resnet20", include_str!("../recipes/resnet20.toml")),
    ("mobilenetv1-025", include_str!("../recipes/mobilenetv1-025.toml")),
    ("dscnn", include_str!("../recipes/dscnn.toml")),
];
