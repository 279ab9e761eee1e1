//! `Conv` and `ConvGrad` as ONNX Runtime calls them.

use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType::Float32;

use super::convolution::Convolution;
use super::memory::Gradients;
use super::plane::Geometry;
use super::{missing, on_threads};

/// `y = Conv(x, w [, b])` with the attributes of ONNX's operator, but for `auto_pad`.
pub struct Conv;

/// `dx, dw, db = ConvGrad(dy, x, w)`; outputs without a name are not computed.
pub struct ConvGrad;

impl Operator for Conv {
    type Kernel<'a> = Forward;

    fn name(&self) -> &str {
        "Conv"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(Float32), OperatorInput::required(Float32), OperatorInput::optional(Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel<'a>(&self, context: &KernelContext<'a>) -> ort::Result<Forward> {
        Ok(Forward(Prepared::new(context)?))
    }
}

impl Operator for ConvGrad {
    type Kernel<'a> = Backward;

    fn name(&self) -> &str {
        "ConvGrad"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [Float32; 3].map(OperatorInput::required)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [Float32; 3].map(OperatorOutput::optional)
    }

    fn create_kernel<'a>(&self, context: &KernelContext<'a>) -> ort::Result<Backward> {
        Ok(Backward(Prepared::new(context)?))
    }
}

/// A node's attributes, and its convolution for the shapes it saw last.
struct Prepared {
    groups: usize,
    stride: [usize; 2],
    dilation: [usize; 2],
    /// Above, left, below, right.
    padding: [usize; 4],
    convolution: Option<([Vec<usize>; 2], Convolution)>,
}

impl Prepared {
    fn new(context: &KernelContext<'_>) -> ort::Result<Self> {
        let sizes = |name: &str| {
            let values = context.get::<Vec<i64>>(name)?;
            values.into_iter().map(|value| usize::try_from(value).ok()).collect::<Option<Vec<_>>>()
        };
        let pair = |name: &str| sizes(name).and_then(|pair| pair.try_into().ok()).unwrap_or([1, 1]);
        let groups = context.get::<i64>("group").and_then(|groups| usize::try_from(groups).ok()).unwrap_or(1);
        Ok(Self {
            groups,
            stride: pair("strides"),
            dilation: pair("dilations"),
            padding: sizes("pads").and_then(|pads| pads.try_into().ok()).unwrap_or([0; 4]),
            convolution: None,
        })
    }

    /// The convolution of an input and weights of these shapes, and the shape of its output.
    fn of(&mut self, x: &[i64], w: &[i64]) -> ort::Result<(&Convolution, [usize; 4])> {
        let refused =
            || ort::Error::new(format!("convolution of input {x:?} with weights {w:?} is not possible"));
        let shape =
            |dims: &[i64]| dims.iter().map(|&dim| usize::try_from(dim).ok()).collect::<Option<Vec<_>>>();
        let (x, w) = (shape(x).ok_or_else(refused)?, shape(w).ok_or_else(refused)?);
        let (&[batch, channels, height, width], &[outputs, inputs, rows, columns]) = (&x[..], &w[..]) else {
            return Err(refused());
        };
        let (groups, input, kernel) = (self.groups, [height, width], [rows, columns]);
        let mut output = [0; 2];
        for axis in 0..2 {
            let reached = kernel[axis].checked_sub(1).ok_or_else(refused)? * self.dilation[axis] + 1;
            let padded = input[axis] + self.padding[axis] + self.padding[axis + 2];
            let rest = padded.checked_sub(reached).ok_or_else(refused)?;
            output[axis] = rest.checked_div(self.stride[axis]).ok_or_else(refused)? + 1;
        }
        let fits = groups > 0 && channels == groups * inputs && outputs % groups == 0;
        if !fits || [inputs, outputs, height, width].contains(&0) {
            return Err(refused());
        }
        let shapes = [x, w].map(|shape| shape[1..].to_vec());
        if self.convolution.as_ref().is_none_or(|(known, _)| *known != shapes) {
            let convolution = Convolution::new(Geometry {
                groups,
                inputs,
                outputs: outputs / groups,
                input,
                output,
                kernel,
                stride: self.stride,
                dilation: self.dilation,
                padding: [self.padding[0], self.padding[1]],
            });
            self.convolution = Some((shapes, convolution));
        }
        let (_, convolution) = self.convolution.as_ref().ok_or_else(refused)?;
        Ok((convolution, [batch, outputs, output[0], output[1]]))
    }
}

/// The kernel of [`Conv`].
pub struct Forward(Prepared);

impl Kernel for Forward {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let (x, w, b) = (context.input(0)?, context.input(1)?, context.input(2)?);
        let (x, w) = (x.ok_or_else(|| missing("the input"))?, w.ok_or_else(|| missing("the weights"))?);
        let ((x_shape, x), (w_shape, w)) = (x.try_extract_tensor::<f32>()?, w.try_extract_tensor::<f32>()?);
        let bias = b.as_ref().map(|b| b.try_extract_tensor::<f32>()).transpose()?.map(|(_, values)| values);
        let (convolution, shape) = self.0.of(x_shape, w_shape)?;
        if bias.is_some_and(|bias| bias.len() != shape[1]) {
            return Err(ort::Error::new("the bias does not have one value per output channel"));
        }
        let mut y = context.output(0, shape)?.ok_or_else(|| missing("the output"))?;
        let (_, y) = y.try_extract_tensor_mut::<f32>()?;
        convolution.forward(x, w, bias, y, &|count, run| on_threads(context, count, run));
        Ok(())
    }
}

/// The kernel of [`ConvGrad`].
pub struct Backward(Prepared);

impl Kernel for Backward {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let [dy, x, w] = [context.input(0)?, context.input(1)?, context.input(2)?];
        let [Some(dy), Some(x), Some(w)] = [dy, x, w] else { return Err(missing("an input")) };
        let (dy_shape, dy) = dy.try_extract_tensor::<f32>()?;
        let ((x_shape, x), (w_shape, w)) = (x.try_extract_tensor::<f32>()?, w.try_extract_tensor::<f32>()?);
        let (convolution, shape) = self.0.of(x_shape, w_shape)?;
        if !dy_shape.iter().map(|&dim| dim as usize).eq(shape) {
            return Err(ort::Error::new(format!("the gradient is {dy_shape:?}, the output {shape:?}")));
        }
        let mut dx = context.output(0, x_shape.to_vec())?;
        let mut dw = context.output(1, w_shape.to_vec())?;
        let mut db = context.output(2, [shape[1]])?;
        let mut wanted = Gradients::default();
        for (value, slot) in [(&mut dx, &mut wanted.dx), (&mut dw, &mut wanted.dw), (&mut db, &mut wanted.db)]
        {
            if let Some(value) = value {
                *slot = Some(value.try_extract_tensor_mut::<f32>()?.1);
            }
        }
        convolution.backward(dy, x, w, wanted, &|count, run| on_threads(context, count, run));
        Ok(())
    }
}
