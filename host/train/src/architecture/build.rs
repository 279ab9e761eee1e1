//! From a description to an ONNX model.

use std::collections::BTreeMap;

use goldcrest_engine::shape::Shape;
use goldcrest_onnx::shape_inference::{ShapeError, TensorType, Types};
use goldcrest_onnx::{Attribute, Dimension, Graph, Model, Node, Tensor, ValueInfo};

use super::description::{
    Activation, BlockUse, Conv, Depthwise, Layer, Layers, Linear, Padding, Pool, Residual, Size,
};
use super::initialization::Weights;
use super::{Architecture, ArchitectureError};

/// Blocks inside blocks inside blocks: deeper is a block that uses itself.
const DEEPEST: usize = 16;
/// More parameters than this are a mistake in the description.
const MOST_PARAMETERS: usize = 1 << 26;
/// So are more layers, blocks and their repetitions counted.
const MOST_LAYERS: usize = 1 << 12;
/// And longer names, which grow with every block inside a block.
const LONGEST_NAME: usize = 1 << 10;

/// What is wrong with a layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// It does not fit its input.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A `$variable` outside of a block that gives it.
    #[error("`${0}` has no value here; give it where the block is used")]
    Variable(String),
    /// A block that `[blocks]` does not list.
    #[error("no block `{name}`; there are: {known}")]
    Block { name: String, known: String },
    /// A block that contains itself.
    #[error("blocks are nested more than {DEEPEST} deep; does a block use itself?")]
    Depth,
    /// Two ways of a residual layer that cannot be added.
    #[error(
        "the body makes {body}, the shortcut {shortcut}: they cannot be added; give a `shortcut` with the \
         body's channels and stride"
    )]
    Residual { body: TensorType, shortcut: TensorType },
    /// A layer for images after the image was flattened, or the reverse.
    #[error("it takes {expected}, but its input is {found}")]
    Input { expected: &'static str, found: TensorType },
    /// Channels that do not divide.
    #[error("{channels} channels do not divide into {groups} groups")]
    Groups { channels: usize, groups: usize },
    /// An even kernel has no middle.
    #[error("padding = \"same\" needs an odd kernel, this one is {kernel}; give the padding as a number")]
    EvenKernel { kernel: usize },
    /// A ratio outside `0..1`.
    #[error("ratio = {ratio} is outside 0..1")]
    Ratio { ratio: f32 },
    /// Too many parameters.
    #[error("the network would have more than {MOST_PARAMETERS} parameters")]
    Large,
    /// Too many layers.
    #[error(
        "the network would have more than {MOST_LAYERS} layers; do blocks repeat blocks that repeat blocks?"
    )]
    Layers,
    /// Too long a name.
    #[error("its name would be longer than {LONGEST_NAME} bytes; give blocks shorter names")]
    Name,
}

/// Values of `$channels`, `$stride`, `$kernel`, `$classes`.
type Variables = BTreeMap<&'static str, usize>;

pub(super) fn build(
    architecture: &Architecture,
    input: Shape,
    classes: usize,
    seed: u64,
) -> Result<Model, ArchitectureError> {
    let description = &architecture.description;
    let network =
        |problem: String| ArchitectureError::Network { origin: architecture.origin.clone(), problem };
    if input.is_empty() || classes == 0 {
        return Err(network(format!("images of {input} and {classes} classes make no network")));
    }
    let shape = [-1, input.channels as i64, input.height as i64, input.width as i64];
    let mut graph = Graph { name: description.name.clone(), ..Graph::default() };
    graph.inputs.push(ValueInfo::float("input", &shape));
    let types = Types::of_inputs(&graph).map_err(|error| network(error.to_string()))?;
    let mut builder = Builder {
        architecture,
        graph,
        types,
        value: "input".into(),
        weights: Weights::new(description.initialization, seed),
        counters: BTreeMap::new(),
        parameters: 0,
        layers: 0,
    };
    builder.layers(&description.layers, "", &Variables::from([("classes", classes)]), 0)?;

    let output = builder.current().clone();
    let expected = [Dimension::Named("N".into()), Dimension::Fixed(classes as i64)];
    if output.shape[..] != expected {
        return Err(network(format!(
            "the last layer makes {output}, but logits are [N, {classes}]; end with \"flatten\" and {{ \
             linear = {{ features = \"$classes\" }} }}"
        )));
    }
    let mut graph = builder.graph;
    let last = builder.value;
    let Some(node) = graph.nodes.last_mut().filter(|node| node.outputs[0] == last) else {
        return Err(network("it has no layers".into()));
    };
    node.outputs[0] = "logits".into();
    graph.outputs.push(output.info("logits"));
    Ok(Model { graph, opset: 17, ..Model::default() })
}

struct Builder<'a> {
    architecture: &'a Architecture,
    graph: Graph,
    types: Types,
    /// The value that the next layer reads.
    value: String,
    weights: Weights,
    /// How many layers of each kind there are under each prefix, for names.
    counters: BTreeMap<String, usize>,
    parameters: usize,
    /// Layers so far, blocks and their repetitions counted.
    layers: usize,
}

impl Builder<'_> {
    fn layers(
        &mut self,
        layers: &Layers,
        prefix: &str,
        variables: &Variables,
        depth: usize,
    ) -> Result<(), ArchitectureError> {
        for layer in layers {
            self.layers += 1;
            let at = |builder: &Self, name: String, problem: LayerError| ArchitectureError::Layer {
                origin: builder.architecture.origin.clone(),
                line: builder.architecture.line(layer.span().start),
                layer: name,
                problem: Box::new(problem),
            };
            if self.layers > MOST_LAYERS {
                return Err(at(self, format!("{prefix}{}", kind(layer.get_ref())), LayerError::Layers));
            }
            if prefix.len() > LONGEST_NAME {
                return Err(at(self, kind(layer.get_ref()).to_owned(), LayerError::Name));
            }
            let layer_name = |builder: &mut Self, kind: &str| {
                let count = builder.counters.entry(format!("{prefix}{kind}")).or_default();
                *count += 1;
                format!("{prefix}{kind}{count}")
            };
            match layer.get_ref() {
                Layer::Residual(residual) => {
                    let name = layer_name(self, "residual");
                    self.residual(residual, &name, variables, depth, |builder, problem| {
                        at(builder, name.clone(), problem)
                    })?;
                }
                Layer::Block(block) => {
                    let problem =
                        |builder: &Self, problem| at(builder, format!("{prefix}{}", block.name), problem);
                    if depth >= DEEPEST {
                        return Err(problem(self, LayerError::Depth));
                    }
                    let blocks = &self.architecture.description.blocks;
                    let Some(definition) = blocks.get(&block.name) else {
                        let known = blocks.keys().cloned().collect::<Vec<_>>().join(", ");
                        let name = block.name.clone();
                        return Err(problem(self, LayerError::Block { name, known }));
                    };
                    let (mut inner, repeat) =
                        block_variables(block, variables).map_err(|error| problem(self, error))?;
                    for _ in 0..repeat {
                        // Of blocks without a layer, too.
                        self.layers += 1;
                        if self.layers > MOST_LAYERS {
                            return Err(problem(self, LayerError::Layers));
                        }
                        let name = layer_name(self, &block.name);
                        self.layers(&definition.layers, &format!("{name}."), &inner, depth + 1)?;
                        inner.insert("stride", 1);
                    }
                }
                plain => {
                    let name = layer_name(self, kind(plain));
                    self.plain(plain, &name, variables).map_err(|problem| at(self, name, problem))?;
                }
            }
        }
        Ok(())
    }

    fn residual(
        &mut self,
        residual: &Residual,
        name: &str,
        variables: &Variables,
        depth: usize,
        at: impl Fn(&Self, LayerError) -> ArchitectureError,
    ) -> Result<(), ArchitectureError> {
        let input = self.value.clone();
        self.layers(&residual.body, &format!("{name}."), variables, depth)?;
        let body = (self.value.clone(), self.current().clone());
        self.value = input;
        if self.current() != &body.1 {
            self.layers(&residual.shortcut, &format!("{name}.shortcut."), variables, depth)?;
        }
        let shortcut = self.current().clone();
        if shortcut != body.1 {
            return Err(at(self, LayerError::Residual { body: body.1, shortcut }));
        }
        let add = Node::new("Add", &[&body.0, &self.value], &[name]);
        self.push(add)
            .and_then(|()| self.activation(residual.activation, name))
            .map_err(|error| at(self, error))
    }

    fn plain(&mut self, layer: &Layer, name: &str, variables: &Variables) -> Result<(), LayerError> {
        match layer {
            Layer::Conv(conv) => self.conv(conv, name, variables),
            Layer::Depthwise(conv) => self.depthwise(conv, name, variables),
            Layer::Linear(linear) => self.linear(linear, name, variables),
            Layer::BatchNorm => self.batch_norm(name),
            Layer::MaxPool(pool) => self.pool("MaxPool", pool, name, variables),
            Layer::AveragePool(pool) => self.pool("AveragePool", pool, name, variables),
            Layer::GlobalAveragePool => {
                self.channels()?;
                self.push(Node::new("GlobalAveragePool", &[&self.value], &[name]))
            }
            Layer::Flatten => {
                self.push(Node::new("Flatten", &[&self.value], &[name]).with("axis", Attribute::Int(1)))
            }
            Layer::Dropout(dropout) => {
                if !(0.0..1.0).contains(&dropout.ratio) {
                    return Err(LayerError::Ratio { ratio: dropout.ratio });
                }
                let ratio = self.constant(&format!("{name}.ratio"), Tensor::f32(&[], vec![dropout.ratio]));
                self.push(Node::new("Dropout", &[&self.value, &ratio], &[name]))
            }
            Layer::Relu => self.activate(Activation::Relu, name),
            Layer::Relu6 => self.activate(Activation::Relu6, name),
            Layer::HardSwish => self.activate(Activation::HardSwish, name),
            Layer::Sigmoid => self.activate(Activation::Sigmoid, name),
            Layer::Residual(_) | Layer::Block(_) => Ok(()),
        }
    }

    fn conv(&mut self, conv: &Conv, name: &str, variables: &Variables) -> Result<(), LayerError> {
        let (inputs, outputs) = (self.channels()?, number(&conv.channels, variables)?);
        let groups = number(&conv.groups, variables)?;
        for channels in [inputs, outputs] {
            if channels % groups != 0 {
                return Err(LayerError::Groups { channels, groups });
            }
        }
        let kernel = number(&conv.kernel, variables)?;
        let shape = [outputs, inputs / groups, kernel, kernel];
        let stride = number(&conv.stride, variables)?;
        self.convolution(name, shape, groups, stride, &conv.padding, conv.bias.unwrap_or(!conv.batch_norm))?;
        self.finish(conv.batch_norm, conv.activation, name)
    }

    fn depthwise(&mut self, conv: &Depthwise, name: &str, variables: &Variables) -> Result<(), LayerError> {
        let (channels, kernel) = (self.channels()?, number(&conv.kernel, variables)?);
        let stride = number(&conv.stride, variables)?;
        let bias = conv.bias.unwrap_or(!conv.batch_norm);
        self.convolution(name, [channels, 1, kernel, kernel], channels, stride, &conv.padding, bias)?;
        self.finish(conv.batch_norm, conv.activation, name)
    }

    fn convolution(
        &mut self,
        name: &str,
        shape: [usize; 4],
        groups: usize,
        stride: usize,
        padding: &Padding,
        bias: bool,
    ) -> Result<(), LayerError> {
        let [outputs, taken, kernel, _] = shape;
        let padding = sides(padding, kernel)?;
        let mut inputs = vec![self.value.clone()];
        inputs.extend(self.weights_and_bias(name, &shape, taken * kernel * kernel, outputs, bias)?);
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let ints = |value: usize, count| Attribute::Ints(vec![value as i64; count]);
        self.push(
            Node::new("Conv", &inputs, &[name])
                .with("kernel_shape", ints(kernel, 2))
                .with("strides", ints(stride, 2))
                .with("pads", ints(padding, 4))
                .with("dilations", ints(1, 2))
                .with("group", Attribute::Int(groups as i64)),
        )
    }

    fn linear(&mut self, linear: &Linear, name: &str, variables: &Variables) -> Result<(), LayerError> {
        let input = self.current();
        let (2, Some(inputs)) = (input.shape.len(), input.fixed(1)) else {
            return Err(LayerError::Input {
                expected: "a flat tensor ([N, features])",
                found: input.clone(),
            });
        };
        let outputs = number(&linear.features, variables)?;
        let mut values = vec![self.value.clone()];
        let bias = linear.bias.unwrap_or(true);
        values.extend(self.weights_and_bias(name, &[outputs, inputs], inputs, outputs, bias)?);
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        self.push(Node::new("Gemm", &values, &[name]).with("transB", Attribute::Int(1)))?;
        self.activation(linear.activation, name)
    }

    fn weights_and_bias(
        &mut self,
        name: &str,
        shape: &[usize],
        fan_in: usize,
        outputs: usize,
        bias: bool,
    ) -> Result<Vec<String>, LayerError> {
        self.spend(shape.iter().fold(1usize, |product, &size| product.saturating_mul(size)))?;
        self.spend(outputs)?;
        let weights = self.weights.weights(shape, fan_in);
        let mut names = vec![self.constant(&format!("{name}.weight"), weights)];
        if bias {
            let bias = self.weights.bias(outputs, fan_in);
            names.push(self.constant(&format!("{name}.bias"), bias));
        }
        Ok(names)
    }

    /// Counts parameters before they are made.
    fn spend(&mut self, parameters: usize) -> Result<(), LayerError> {
        self.parameters = self.parameters.saturating_add(parameters);
        if self.parameters > MOST_PARAMETERS { Err(LayerError::Large) } else { Ok(()) }
    }

    fn pool(&mut self, op: &str, pool: &Pool, name: &str, variables: &Variables) -> Result<(), LayerError> {
        self.channels()?;
        let kernel = number(&pool.kernel, variables)?;
        let stride = pool.stride.as_ref().map_or(Ok(kernel), |stride| number(stride, variables))?;
        let padding = sides(&pool.padding, kernel)?;
        let ints = |value: usize, count| Attribute::Ints(vec![value as i64; count]);
        self.push(
            Node::new(op, &[&self.value], &[name])
                .with("kernel_shape", ints(kernel, 2))
                .with("strides", ints(stride, 2))
                .with("pads", ints(padding, 4)),
        )
    }

    fn batch_norm(&mut self, name: &str) -> Result<(), LayerError> {
        let channels = self.channels()?;
        self.spend(4 * channels)?;
        let mut inputs = vec![self.value.clone()];
        for (part, value) in [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)] {
            inputs.push(
                self.constant(&format!("{name}.{part}"), Tensor::f32(&[channels], vec![value; channels])),
            );
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.push(
            Node::new("BatchNormalization", &inputs, &[name])
                .with("epsilon", Attribute::Float(1e-5))
                .with("momentum", Attribute::Float(0.9)),
        )
    }

    fn finish(
        &mut self,
        batch_norm: bool,
        activation: Option<Activation>,
        name: &str,
    ) -> Result<(), LayerError> {
        if batch_norm {
            self.batch_norm(&format!("{name}.norm"))?;
        }
        self.activation(activation, name)
    }

    fn activation(&mut self, activation: Option<Activation>, name: &str) -> Result<(), LayerError> {
        activation.map_or(Ok(()), |activation| {
            self.activate(activation, &format!("{name}.{}", activation_name(activation)))
        })
    }

    fn activate(&mut self, activation: Activation, name: &str) -> Result<(), LayerError> {
        let value = self.value.clone();
        let node = match activation {
            Activation::Relu => Node::new("Relu", &[&value], &[name]),
            Activation::HardSwish => Node::new("HardSwish", &[&value], &[name]),
            Activation::Sigmoid => Node::new("Sigmoid", &[&value], &[name]),
            Activation::Relu6 => {
                let low = self.constant(&format!("{name}.low"), Tensor::f32(&[], vec![0.0]));
                let high = self.constant(&format!("{name}.high"), Tensor::f32(&[], vec![6.0]));
                Node::new("Clip", &[&value, &low, &high], &[name])
            }
        };
        self.push(node)
    }

    fn constant(&mut self, name: &str, tensor: Tensor) -> String {
        self.types.constant(name, &tensor);
        self.graph.initializers.insert(name.into(), tensor);
        name.into()
    }

    fn push(&mut self, node: Node) -> Result<(), LayerError> {
        self.types.apply(&node)?;
        self.value = node.outputs[0].clone();
        self.graph.nodes.push(node);
        Ok(())
    }

    /// The type of the value that the next layer reads.
    fn current(&self) -> &TensorType {
        const NONE: &TensorType = &TensorType { element: 0, shape: Vec::new() };
        self.types.get(&self.value).unwrap_or(NONE)
    }

    /// Channels of an image.
    fn channels(&self) -> Result<usize, LayerError> {
        let input = self.current();
        match (input.shape.len(), input.fixed(1)) {
            (4, Some(channels)) => Ok(channels),
            _ => Err(LayerError::Input { expected: "an image ([N, C, H, W])", found: input.clone() }),
        }
    }
}

fn block_variables(block: &BlockUse, outer: &Variables) -> Result<(Variables, usize), LayerError> {
    let mut inner = outer.clone();
    inner.insert("stride", number(&block.stride, outer)?);
    for (name, size) in [("channels", &block.channels), ("kernel", &block.kernel)] {
        if let Some(size) = size {
            inner.insert(name, number(size, outer)?);
        }
    }
    Ok((inner, number(&block.repeat, outer)?))
}

fn number(size: &Size, variables: &Variables) -> Result<usize, LayerError> {
    match size {
        Size::Number(number) => Ok(*number),
        Size::Variable(name) => {
            variables.get(name.as_str()).copied().ok_or_else(|| LayerError::Variable(name.clone()))
        }
    }
}

fn sides(padding: &Padding, kernel: usize) -> Result<usize, LayerError> {
    match padding {
        Padding::Number(number) => Ok(*number),
        Padding::Same if kernel % 2 == 1 => Ok(kernel / 2),
        Padding::Same => Err(LayerError::EvenKernel { kernel }),
    }
}

/// What a layer is called in names.
fn kind(layer: &Layer) -> &'static str {
    match layer {
        Layer::Conv(_) => "conv",
        Layer::Depthwise(_) => "depthwise",
        Layer::Linear(_) => "linear",
        Layer::BatchNorm => "norm",
        Layer::MaxPool(_) => "max_pool",
        Layer::AveragePool(_) => "average_pool",
        Layer::GlobalAveragePool => "global_average_pool",
        Layer::Flatten => "flatten",
        Layer::Dropout(_) => "dropout",
        Layer::Relu => "relu",
        Layer::Relu6 => "relu6",
        Layer::HardSwish => "hard_swish",
        Layer::Sigmoid => "sigmoid",
        Layer::Residual(_) => "residual",
        Layer::Block(_) => "block",
    }
}

fn activation_name(activation: Activation) -> &'static str {
    match activation {
        Activation::Relu => "relu",
        Activation::Relu6 => "relu6",
        Activation::HardSwish => "hard_swish",
        Activation::Sigmoid => "sigmoid",
    }
}
