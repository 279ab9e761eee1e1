//! The gate in front of native code: a runtime in C++ takes the attributes of a file at their word, and some
//! end its process. What passes here has attributes in range, values of known sizes, and work in proportion.

use std::borrow::Cow;

use goldcrest_quantize::FloatGraph;

use crate::import::{ImportError, OPSETS, float_model};
use crate::shape_inference::{ShapeError, TensorType, Types};
use crate::{Attribute, Data, Dimension, Model, Node};

/// Maximum number of values in an activation of one image.
const VALUES: u64 = 1 << 23;
/// Maximum number of multiplications, or values looked at, for one image.
const WORK: u64 = 1 << 33;
/// Maximum number of nodes.
const NODES: usize = 4096;
/// Largest extent of a window, its stride, its dilation, its padding and its groups.
const EXTENT: i64 = u16::MAX as i64;
/// Largest rank of a value; no axis is further from 0.
const RANK: i64 = 8;

/// Why a model is not given to native code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NativeError {
    /// The operator set.
    #[error(
        "the model uses ONNX opset {0}, supported are {first} to {last}; export it again with one of these",
        first = OPSETS.start(),
        last = OPSETS.end()
    )]
    Opset(i64),
    /// The number of nodes.
    #[error("the model has {0} nodes, supported are up to {NODES}")]
    Nodes(usize),
    /// An attribute out of range.
    #[error("node `{node}` ({op}): {problem}; the file is damaged, or no exporter wrote it")]
    Attribute {
        /// The node's name.
        node: String,
        /// Its operator.
        op: String,
        /// What was found, and what was expected.
        problem: String,
    },
    /// A constant that is not all numbers.
    #[error("tensor `{0}` holds values that are not numbers (NaN); train or export the model again")]
    NotNumbers(String),
    /// Shapes that do not fit, or an operator whose shapes are not known.
    #[error("the model cannot be run safely: {shapes}")]
    Shapes {
        /// What is wrong.
        shapes: ShapeError,
    },
    /// Too large a value, or too much to compute.
    #[error("{what} for one image, supported are {limit}; is it a network for images of this size?")]
    Large {
        /// What would be too many.
        what: String,
        /// The limit.
        limit: u64,
    },
}

/// Whether a float model may be given to native code.
///
/// # Errors
/// Names the first node, or the tensor, that stands against it.
pub fn admit(model: &Model) -> Result<(), NativeError> {
    if !OPSETS.contains(&model.opset) {
        return Err(NativeError::Opset(model.opset));
    }
    if model.graph.nodes.len() > NODES {
        return Err(NativeError::Nodes(model.graph.nodes.len()));
    }
    for node in &model.graph.nodes {
        attributes(node).map_err(|problem| NativeError::Attribute {
            node: node.name.clone(),
            op: node.op.clone(),
            problem,
        })?;
    }
    for (name, tensor) in &model.graph.initializers {
        if let Data::F32(values) = &tensor.data
            && values.iter().any(|value| value.is_nan())
        {
            return Err(NativeError::NotNumbers(name.clone()));
        }
    }
    // What is imported has all shapes and parameters checked; shape inference knows other operators besides.
    match float_model(model) {
        Ok((graph, _)) => measure(&graph),
        Err(ImportError::Opset(opset)) => Err(NativeError::Opset(opset)),
        Err(_) => infer(model),
    }
}

/// Checks what a node says of itself, whatever it is applied to.
fn attributes(node: &Node) -> Result<(), String> {
    let has_window = node.op.contains("Conv") || node.op.contains("Pool");
    if has_window {
        for (name, lowest) in [
            ("strides", 1),
            ("dilations", 1),
            ("kernel_shape", 1),
            ("output_shape", 1),
            ("pads", 0),
            ("output_padding", 0),
        ] {
            in_range(node, name, lowest..=EXTENT)?;
        }
        in_range(node, "group", 1..=EXTENT)?;
        in_range(node, "p", 1..=EXTENT)?;
        for name in ["ceil_mode", "count_include_pad", "storage_order"] {
            in_range(node, name, 0..=1)?;
        }
        if let Some(auto_pad) = node.string("auto_pad")
            && !["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"].contains(&auto_pad)
        {
            return Err(format!("auto_pad = {auto_pad}, expected NOTSET, VALID, SAME_UPPER or SAME_LOWER"));
        }
    } else {
        // Pads before opset 11 and what crops them are inputs today.
        in_range(node, "pads", 0..=EXTENT)?;
    }
    for name in ["axis", "axes", "perm", "batch_dims"] {
        in_range(node, name, -RANK..=RANK)?;
    }
    in_range(node, "blocksize", 1..=EXTENT)
}

fn in_range(node: &Node, name: &str, range: std::ops::RangeInclusive<i64>) -> Result<(), String> {
    let values = match node.attributes.get(name) {
        None => return Ok(()),
        Some(Attribute::Int(value)) => std::slice::from_ref(value),
        Some(Attribute::Ints(values)) => values.as_slice(),
        Some(_) => return Err(format!("{name} is not of whole numbers")),
    };
    match values.iter().find(|value| !range.contains(value)) {
        Some(value) => {
            Err(format!("{name} = {values:?}, but {value} is outside {}..={}", range.start(), range.end()))
        }
        None => Ok(()),
    }
}

/// Adds up what the nodes of a graph compute.
#[derive(Default)]
struct Total {
    work: u64,
}

impl Total {
    /// Adds a node that writes `values` values from `each` others each.
    fn add(&mut self, node: &str, values: u64, each: u64) -> Result<(), NativeError> {
        if values > VALUES {
            return Err(NativeError::Large { what: format!("`{node}` has {values} values"), limit: VALUES });
        }
        self.work = self.work.saturating_add(values.saturating_mul(each));
        if self.work > WORK {
            let what = format!("up to `{node}` the model takes {} multiplications", self.work);
            return Err(NativeError::Large { what, limit: WORK });
        }
        Ok(())
    }
}

fn measure(graph: &FloatGraph) -> Result<(), NativeError> {
    let mut total = Total::default();
    for node in &graph.nodes {
        let output = graph.tensor(node.output).shape;
        let each = node.op.rules().reads(output);
        total.add(&node.name, output.len() as u64, each as u64)?;
    }
    Ok(())
}

fn infer(model: &Model) -> Result<(), NativeError> {
    let failed = |shapes| NativeError::Shapes { shapes };
    let mut types = Types::of_inputs(&model.graph).map_err(failed)?;
    let mut total = Total::default();
    for input in &model.graph.inputs {
        total.add(&input.name, types.get(&input.name).map_or(0, values), 1)?;
    }
    for node in &model.graph.nodes {
        if let Some(output) = node.outputs.iter().find(|output| types.get(output).is_some()) {
            let problem = format!("`{output}` is made a second time");
            return Err(NativeError::Attribute { node: node.name.clone(), op: node.op.clone(), problem });
        }
        let node = explicit(node, &types);
        types.apply(&node).map_err(failed)?;
        let input = |index: usize| node.inputs.get(index).and_then(|name| types.get(name));
        let output = node.outputs.first().and_then(|name| types.get(name)).map_or(0, values);
        let (count, each) = match &*node.op {
            "Conv" => (output, input(1).map_or(0, behind_the_first)),
            "ConvTranspose" => (output.max(input(0).map_or(0, values)), input(1).map_or(0, behind_the_first)),
            op if op.ends_with("Pool") => {
                let kernel = node.ints("kernel_shape").unwrap_or(&[]);
                let area = kernel.iter().map(|&size| size.unsigned_abs());
                (output, area.fold(1, u64::saturating_mul))
            }
            "Gemm" | "MatMul" => {
                let depth = input(0).and_then(|a| a.fixed(a.shape.len().wrapping_sub(1)));
                (output, depth.unwrap_or(1) as u64)
            }
            _ => (output, 1),
        };
        for name in &node.outputs {
            total.add(name, types.get(name).map_or(0, values), 1)?;
        }
        total.add(&node.name, count, each)?;
    }
    Ok(())
}

/// Values of one image: a symbol stands for the batch.
fn values(of: &TensorType) -> u64 {
    of.shape.iter().fold(1, |product, dimension| match dimension {
        Dimension::Fixed(size) => product.saturating_mul(size.unsigned_abs()),
        Dimension::Named(_) => product,
    })
}

fn behind_the_first(of: &TensorType) -> u64 {
    let rest = TensorType { element: of.element, shape: of.shape.get(1..).unwrap_or(&[]).to_vec() };
    values(&rest)
}

/// A node whose padding is written out: `auto_pad` and `ceil_mode` as the pads that they stand for.
fn explicit<'a>(node: &'a Node, types: &Types) -> Cow<'a, Node> {
    let automatic = node.string("auto_pad").is_some_and(|pad| pad.starts_with("SAME"));
    let rounds_up = node.int("ceil_mode").unwrap_or(0) != 0;
    let known = |index: usize| node.inputs.get(index).and_then(|name| types.get(name)?.rows_and_columns());
    let kernel = match node.ints("kernel_shape") {
        Some(&[rows, columns]) => Some([rows, columns]),
        _ => known(1).map(|kernel| kernel.map(|size| size as i64)),
    };
    let (Some(input), Some(kernel), true) = (known(0), kernel, automatic || rounds_up) else {
        return Cow::Borrowed(node);
    };
    if node.op == "ConvTranspose" {
        return Cow::Borrowed(node);
    }
    let pair =
        |name: &str| node.ints(name).and_then(|values| <[i64; 2]>::try_from(values).ok()).unwrap_or([1, 1]);
    let (strides, dilations) = (pair("strides"), pair("dilations"));
    let said = node.ints("pads").and_then(|pads| <[i64; 4]>::try_from(pads).ok()).unwrap_or([0; 4]);
    let mut pads = if automatic { [0; 4] } else { said };
    for axis in 0..2 {
        let (size, stride) = (input[axis] as i64, strides[axis].max(1));
        let reach = (kernel[axis] - 1) * dilations[axis] + 1;
        let wanted = match automatic {
            true => (size + stride - 1) / stride,
            false => (size + pads[axis] + pads[axis + 2] - reach + stride - 1).max(0) / stride + 1,
        };
        let missing = (wanted - 1) * stride + reach - size - pads[axis] - pads[axis + 2];
        pads[axis + 2] += missing.max(0);
    }
    let mut node = node.clone();
    node.attributes.remove("auto_pad");
    node.attributes.remove("ceil_mode");
    node.attributes.insert("pads".to_owned(), Attribute::Ints(pads.to_vec()));
    Cow::Owned(node)
}

#[cfg(test)]
mod tests;
