//! Whether a network fits a data set.

use goldcrest_data::Dataset;
use goldcrest_onnx::{Data, Dimension, Model, native};

use super::error::TrainError;

/// Checks that a network's input and output fit the images and classes of a data set.
///
/// # Errors
/// [`TrainError::Native`], [`TrainError::Empty`], [`TrainError::Integers`], [`TrainError::Shape`],
/// [`TrainError::Classes`].
pub fn check(model: &Model, dataset: &Dataset) -> Result<(), TrainError> {
    native::admit(model)?;
    let integers = |name: &String| {
        let weights = model.graph.initializers.get(name);
        weights.is_some_and(|weights| {
            weights.shape.len() > 1 && matches!(weights.data, Data::I8(_) | Data::U8(_))
        })
    };
    if let Some(name) = model.graph.nodes.iter().flat_map(|node| &node.inputs).find(|&name| integers(name)) {
        return Err(TrainError::Integers { name: name.clone() });
    }
    for (part, split) in [("training", &dataset.train), ("test", &dataset.test)] {
        if split.is_empty() {
            return Err(TrainError::Empty { part });
        }
    }
    let fits = |dimension: Option<&Dimension>, expected: usize| match dimension {
        Some(Dimension::Fixed(found)) => *found == expected as i64,
        _ => true,
    };
    let shape = dataset.shape;
    let input = model.graph.inputs.first().and_then(|input| input.shape.as_deref()).unwrap_or(&[]);
    let expected = [shape.channels, shape.height, shape.width];
    if !input.is_empty()
        && (input.len() != 4 || !(1..4).all(|axis| fits(input.get(axis), expected[axis - 1])))
    {
        let advice = if fits(input.get(1), shape.channels) {
            "pass --resize with its size"
        } else {
            "take a network for as many channels"
        };
        return Err(TrainError::Shape {
            found: describe(input.get(1..).unwrap_or(&[])),
            expected: shape,
            advice,
        });
    }
    let output = model.graph.outputs.first().and_then(|output| output.shape.as_deref()).unwrap_or(&[]);
    if !output.is_empty() && !fits(output.last(), dataset.classes.len()) {
        let found = describe(&output[output.len() - 1..]);
        return Err(TrainError::Classes { found, expected: dataset.classes.len() });
    }
    Ok(())
}

fn describe(shape: &[Dimension]) -> String {
    let text: Vec<String> = shape
        .iter()
        .map(|dimension| match dimension {
            Dimension::Fixed(size) => size.to_string(),
            Dimension::Named(name) => name.clone(),
        })
        .collect();
    text.join("x")
}
