//! Which attributes the rules read. What stands in a node and not here is an error: an attribute that
//! nobody reads would change what the file computes and not what we compute.

use super::{Problem, unsupported};
use crate::{Attribute, Node};

/// What may stand under an attribute's name.
#[derive(Clone, Copy, Debug)]
pub enum Allowed {
    /// An integer, which the rule reads.
    Int,
    /// A float, which the rule reads.
    Float,
    /// A text, which the rule reads.
    Text,
    /// A list of integers, which the rule reads.
    Ints,
    /// A list of floats, which the rule reads.
    Floats,
    /// One of several types, which the rule reads.
    Value,
    /// These integers only: all that the rule does.
    Only(&'static [i64]),
    /// This text only.
    OnlyText(&'static str),
    /// Anything: it changes nothing of what is computed in inference.
    Ignored,
}

use Allowed::{Float, Floats, Ignored, Int, Ints, Only, OnlyText, Text, Value};

type Known = (&'static str, Allowed);

const WINDOW: [Known; 5] =
    [("auto_pad", Text), ("dilations", Ints), ("kernel_shape", Ints), ("pads", Ints), ("strides", Ints)];

/// ONNX Runtime's own operators have images either way round.
const CHANNELS_FIRST: Known = ("channels_last", Only(&[0]));

const REDUCED: &[Known] = &[("axes", Ints), ("keepdims", Int), ("noop_with_empty_axes", Int)];

/// By operator, the attributes that may stand in its nodes.
const ATTRIBUTES: &[(&str, &[Known])] = &[
    (
        "AveragePool",
        &[
            WINDOW[0],
            WINDOW[1],
            WINDOW[2],
            WINDOW[3],
            WINDOW[4],
            ("ceil_mode", Int),
            ("count_include_pad", Int),
            CHANNELS_FIRST,
        ],
    ),
    (
        "BatchNormalization",
        &[("epsilon", Float), ("momentum", Ignored), ("spatial", Only(&[1])), ("training_mode", Int)],
    ),
    ("Cast", &[("to", Int), ("saturate", Ignored), ("round_mode", Ignored)]),
    ("CastLike", &[("saturate", Ignored), ("round_mode", Ignored)]),
    ("Celu", &[("alpha", Float)]),
    ("Clip", &[("max", Float), ("min", Float)]),
    ("Concat", &[("axis", Int)]),
    (
        "Constant",
        &[
            ("value", Value),
            ("value_float", Float),
            ("value_floats", Floats),
            ("value_int", Int),
            ("value_ints", Ints),
        ],
    ),
    ("ConstantOfShape", &[("value", Value)]),
    ("Conv", &[WINDOW[0], WINDOW[1], WINDOW[2], WINDOW[3], WINDOW[4], ("group", Int), CHANNELS_FIRST]),
    ("DequantizeLinear", &[("axis", Int), ("block_size", Only(&[0])), ("output_dtype", Only(&[0, 1]))]),
    // The share and the seed are those of training.
    ("Dropout", &[("ratio", Ignored), ("seed", Ignored)]),
    ("Elu", &[("alpha", Float)]),
    ("Flatten", &[("axis", Int)]),
    ("Gather", &[("axis", Int)]),
    ("Gelu", &[("approximate", Text)]),
    ("Gemm", &[("alpha", Float), ("beta", Float), ("transA", Int), ("transB", Int)]),
    ("GlobalAveragePool", &[CHANNELS_FIRST]),
    ("HardSigmoid", &[("alpha", Float), ("beta", Float)]),
    ("LeakyRelu", &[("alpha", Float)]),
    ("LogSoftmax", &[("axis", Int)]),
    (
        "MaxPool",
        &[
            WINDOW[0],
            WINDOW[1],
            WINDOW[2],
            WINDOW[3],
            WINDOW[4],
            ("ceil_mode", Int),
            // The order of the second output, which is not imported.
            ("storage_order", Ignored),
        ],
    ),
    // As C's `fmod`, or rounded down.
    ("Mod", &[("fmod", Only(&[0]))]),
    ("Pad", &[("mode", Text), ("pads", Ints), ("value", Float)]),
    (
        "QuantizeLinear",
        &[
            ("axis", Int),
            ("block_size", Only(&[0])),
            ("output_dtype", Only(&[0, 2, 3])),
            ("precision", Only(&[0, 1])),
            // Of 8-bit floats.
            ("saturate", Ignored),
        ],
    ),
    ("ReduceMax", REDUCED),
    ("ReduceMean", REDUCED),
    ("ReduceSum", REDUCED),
    ("Reshape", &[("allowzero", Int), ("shape", Ints)]),
    (
        "Resize",
        &[
            ("antialias", Only(&[0])),
            ("coordinate_transformation_mode", Text),
            // Of cubic interpolation, which is refused.
            ("cubic_coeff_a", Ignored),
            ("exclude_outside", Only(&[0])),
            // Of tf_crop_and_resize, which is refused.
            ("extrapolation_value", Ignored),
            ("keep_aspect_ratio_policy", OnlyText("stretch")),
            ("mode", Text),
            ("nearest_mode", Text),
        ],
    ),
    ("Selu", &[("alpha", Float), ("gamma", Float)]),
    ("Shape", &[("end", Int), ("start", Int)]),
    ("Slice", &[("axes", Ints), ("ends", Ints), ("starts", Ints)]),
    ("Softmax", &[("axis", Int)]),
    ("Split", &[("axis", Int), ("num_outputs", Int), ("split", Ints)]),
    ("Squeeze", &[("axes", Ints)]),
    ("ThresholdedRelu", &[("alpha", Float)]),
    ("Transpose", &[("perm", Ints)]),
    ("Unsqueeze", &[("axes", Ints)]),
    ("Upsample", &[("mode", Text), ("scales", Floats)]),
];

/// The attributes of an operator that are known; none of operators that have none.
fn of(op: &str) -> &'static [Known] {
    ATTRIBUTES.iter().find(|(known, _)| *known == op).map_or(&[], |(_, attributes)| attributes)
}

/// Refuses a node with an attribute that its rule does not read, or reads as another type.
///
/// # Errors
/// Names the attribute and what is supported.
pub fn check(node: &Node) -> Result<(), Problem> {
    let known = of(&node.op);
    for (name, value) in node.attributes.iter() {
        let Some((_, allowed)) = known.iter().find(|(known, _)| *known == name) else {
            let names: Vec<&str> = known.iter().map(|(known, _)| *known).collect();
            let supported = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return unsupported(format!("attribute `{name}` is not supported; supported are: {supported}"));
        };
        let expected = match (allowed, value) {
            (Ignored | Value, _)
            | (Int, Attribute::Int(_))
            | (Float, Attribute::Float(_))
            | (Text, Attribute::String(_))
            | (Ints, Attribute::Ints(_))
            | (Floats, Attribute::Floats(_)) => continue,
            (Only(values), Attribute::Int(found)) => {
                if values.contains(found) {
                    continue;
                }
                let values: Vec<String> = values.iter().map(i64::to_string).collect();
                return unsupported(format!(
                    "attribute `{name}` is {found}; supported is {}",
                    values.join(" or ")
                ));
            }
            (OnlyText(text), Attribute::String(found)) if text == found => continue,
            (OnlyText(text), Attribute::String(found)) => {
                return unsupported(format!("attribute `{name}` is `{found}`; supported is `{text}`"));
            }
            (Int | Only(_), _) => "an integer",
            (Float, _) => "a float",
            (Text | OnlyText(_), _) => "a text",
            (Ints, _) => "a list of integers",
            (Floats, _) => "a list of floats",
        };
        return unsupported(format!("attribute `{name}` is not {expected}; the file is damaged"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_rule_reads_is_refused() {
        let problem = |node: Node| check(&node).map_err(|problem| problem.0);
        let pool = || Node::new("MaxPool", &["x"], &["y"]).with("kernel_shape", Attribute::Ints(vec![2, 2]));
        assert_eq!(problem(pool().with("storage_order", Attribute::Int(1))), Ok(()));
        let later = problem(pool().with("shear", Attribute::Int(1))).unwrap_err();
        assert!(later.contains("`shear`") && later.contains("auto_pad, dilations, kernel_shape"), "{later}");
        let typed = problem(pool().with("pads", Attribute::Int(1))).unwrap_err();
        assert_eq!(typed, "attribute `pads` is not a list of integers; the file is damaged");
        let old = Node::new("BatchNormalization", &["x"], &["y"]).with("spatial", Attribute::Int(0));
        assert_eq!(problem(old), Err("attribute `spatial` is 0; supported is 1".to_owned()));
        let plain = Node::new("Relu", &["x"], &["y"]).with("consumed_inputs", Attribute::Ints(vec![0]));
        assert!(problem(plain).unwrap_err().ends_with("supported are: none"));
    }

    #[test]
    fn the_table_is_in_order_and_of_operators_that_are_read() {
        assert!(ATTRIBUTES.is_sorted_by_key(|(op, _)| *op));
        for (op, _) in ATTRIBUTES {
            let rule = super::super::RULES.iter().any(|(known, _)| known == op);
            assert!(rule || crate::import::folds(op), "{op}");
        }
    }
}
