//! Arithmetic: two activations, or one and a constant per channel.

use goldcrest_quantize::graph::FloatOp;

use super::layout::View;
use super::{Importer, Node, Problem, Value, affine, unsupported};

pub fn add(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    match operands(importer, node)? {
        Operands::Activations(a, b) if a.axes == b.axes && same_shape(importer, &a, &b) => {
            let output = importer.push(node, "", FloatOp::Add, &[a.tensor, b.tensor])?;
            Ok(Value::Activation(a.of(output)))
        }
        Operands::Activations(a, b) => mismatch(importer, &a, &b),
        Operands::Constant { view, values, .. } => {
            affine(importer, node, &view, vec![1.0; values.len()], values)
        }
    }
}

pub fn sub(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    match operands(importer, node)? {
        Operands::Activations(..) => {
            unsupported("subtracts two activations; only constants can be subtracted")
        }
        Operands::Constant { view, values, first: true } => {
            affine(importer, node, &view, vec![-1.0; values.len()], values)
        }
        Operands::Constant { view, values, first: false } => {
            let shift = values.iter().map(|value| -value).collect();
            affine(importer, node, &view, vec![1.0; values.len()], shift)
        }
    }
}

pub fn mul(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    match operands(importer, node)? {
        Operands::Activations(a, b) => {
            // Squeeze-and-excite writes the factor per channel on either side.
            let (whole, factor) = match broadcasts(importer, &a, &b) {
                true => (a, b),
                false => (b, a),
            };
            if !broadcasts(importer, &whole, &factor) {
                return mismatch(importer, &whole, &factor);
            }
            let output = importer.push(node, "", FloatOp::Mul, &[whole.tensor, factor.tensor])?;
            Ok(Value::Activation(whole.of(output)))
        }
        Operands::Constant { view, values, .. } => {
            let zeros = vec![0.0; values.len()];
            affine(importer, node, &view, values, zeros)
        }
    }
}

pub fn div(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    match operands(importer, node)? {
        Operands::Constant { view, values, first: false } => {
            let scale: Vec<f32> = values.iter().map(|value| value.recip()).collect();
            if !scale.iter().all(|scale| scale.is_finite()) {
                return unsupported("divides by zero");
            }
            let zeros = vec![0.0; scale.len()];
            affine(importer, node, &view, scale, zeros)
        }
        _ => unsupported("divides by an activation; only constants can divide"),
    }
}

pub fn neg(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let channels = importer.graph.tensor(view.tensor).shape.channels;
    importer.spend_floats(2 * channels)?;
    affine(importer, node, &view, vec![-1.0; channels], vec![0.0; channels])
}

enum Operands {
    Activations(View, View),
    /// `first`: the constant is the first operand.
    Constant {
        view: View,
        values: Vec<f32>,
        first: bool,
    },
}

fn operands(importer: &Importer<'_>, node: &Node) -> Result<Operands, Problem> {
    if node.inputs.len() != 2 {
        return unsupported(format!("has {} inputs, supported are two", node.inputs.len()));
    }
    let (first, second) = (importer.activation(node, 0), importer.activation(node, 1));
    let (view, constant, first) = match (first, second) {
        (Ok(a), Ok(b)) => return Ok(Operands::Activations(a, b)),
        (Ok(view), Err(_)) => (view, importer.floats(node, 1)?, false),
        (Err(_), Ok(view)) => (view, importer.floats(node, 0)?, true),
        (Err(problem), Err(_)) => return Err(problem),
    };
    match constant {
        Some(constant) => {
            Ok(Operands::Constant { values: affine::per_channel(importer, &view, &constant)?, view, first })
        }
        None => unsupported("lacks an operand"),
    }
}

fn affine(
    importer: &mut Importer<'_>,
    node: &Node,
    view: &View,
    scale: Vec<f32>,
    shift: Vec<f32>,
) -> Result<Value, Problem> {
    let output = affine::push(importer, node, "", view.tensor, scale, shift)?;
    Ok(Value::Activation(view.of(output)))
}

fn same_shape(importer: &Importer<'_>, a: &View, b: &View) -> bool {
    importer.graph.tensor(a.tensor).shape == importer.graph.tensor(b.tensor).shape
}

/// Whether `factor` has the shape of `whole`, or is one value per channel at the same dimension.
fn broadcasts(importer: &Importer<'_>, whole: &View, factor: &View) -> bool {
    if whole.axes == factor.axes && same_shape(importer, whole, factor) {
        return true;
    }
    let (a, b) = (importer.graph.tensor(whole.tensor).shape, importer.graph.tensor(factor.tensor).shape);
    let aligned = || {
        let lead = whole.axes.len() - factor.axes.len();
        whole.axes[lead..].iter().zip(&factor.axes).all(|(axes, own)| own.is_empty() || own == axes)
    };
    (b.height, b.width, b.channels) == (1, 1, a.channels)
        && whole.axes.len() >= factor.axes.len()
        && aligned()
}

fn mismatch(importer: &Importer<'_>, a: &View, b: &View) -> Result<Value, Problem> {
    unsupported(format!(
        "combines {} and {}; both must have one shape and layout (a product also takes one value per channel)",
        importer.describe(a),
        importer.describe(b)
    ))
}
