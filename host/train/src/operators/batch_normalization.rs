//! `BatchNormalization` and `BatchNormalizationGrad` as ONNX Runtime calls them.

use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType::Float32;

use super::memory::Parallel;
use super::missing;
use super::normalize::{Affine, Sizes, Statistics};

/// `y, next_mean, next_variance, mean, inverse_deviation = BatchNormalization(x, scale, bias, running_mean,
/// running_variance)` in training, with ONNX's attributes `epsilon` and `momentum`, and `relu`: 1 cuts `y` at
/// 0.
pub struct BatchNormalization;

/// `dx, dscale, dbias = BatchNormalizationGrad(dy, x, scale, bias, mean, inverse_deviation)` with the
/// attribute `relu`.
pub struct BatchNormalizationGrad;

impl Operator for BatchNormalization {
    type Kernel<'a> = Forward;

    fn name(&self) -> &str {
        "BatchNormalization"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [Float32; 5].map(OperatorInput::required)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [Float32; 5].map(OperatorOutput::required)
    }

    fn create_kernel<'a>(&self, context: &KernelContext<'a>) -> ort::Result<Forward> {
        let relu = context.get::<i64>("relu") == Some(1);
        let epsilon = context.get("epsilon").unwrap_or(1e-5);
        Ok(Forward { relu, epsilon, momentum: context.get("momentum").unwrap_or(0.9) })
    }
}

impl Operator for BatchNormalizationGrad {
    type Kernel<'a> = Backward;

    fn name(&self) -> &str {
        "BatchNormalizationGrad"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [Float32; 6].map(OperatorInput::required)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [Float32; 3].map(OperatorOutput::required)
    }

    fn create_kernel<'a>(&self, context: &KernelContext<'a>) -> ort::Result<Backward> {
        Ok(Backward { relu: context.get::<i64>("relu") == Some(1) })
    }
}

fn sizes(x: &[i64], per_channel: &[&[f32]]) -> ort::Result<Sizes> {
    let dims: Vec<usize> = x.iter().map(|&dim| dim.max(0) as usize).collect();
    match dims[..] {
        [_, channels, ref rest @ ..] if per_channel.iter().all(|values| values.len() == channels) => {
            let area = rest.iter().product();
            if channels > 0 && area > 0 {
                return Ok(Sizes { channels, area });
            }
        }
        _ => (),
    }
    Err(ort::Error::new(format!("batch normalization of {x:?} does not fit its parameters")))
}

/// The kernel of [`BatchNormalization`].
pub struct Forward {
    relu: bool,
    epsilon: f32,
    momentum: f32,
}

impl Kernel for Forward {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let mut inputs = Vec::new();
        for index in 0..5 {
            inputs.push(context.input(index)?.ok_or_else(|| missing("an input"))?);
        }
        let mut values = Vec::new();
        for input in &inputs {
            values.push(input.try_extract_tensor::<f32>()?);
        }
        let [(shape, x), (_, scale), (_, bias), (_, running_mean), (_, running_variance)] = values[..] else {
            return Err(missing("an input"));
        };
        let sizes = sizes(shape, &[scale, bias, running_mean, running_variance])?;
        let mut y = context.output(0, shape.to_vec())?.ok_or_else(|| missing("the output"))?;
        let (_, y) = y.try_extract_tensor_mut::<f32>()?;
        let [mut mean, mut inverse_deviation, mut variance] = [(); 3].map(|()| vec![0.0; sizes.channels]);
        let mut statistics = Statistics {
            mean: &mut mean,
            inverse_deviation: &mut inverse_deviation,
            variance: &mut variance,
        };
        let affine = Affine { scale, bias, relu: self.relu };
        let parallel: Parallel = &|count, run| super::on_threads(context, count, run);
        sizes.forward([x, running_mean], affine, self.epsilon, y, &mut statistics, parallel);
        let next = |running: &[f32], batch: &[f32]| -> Vec<f32> {
            let moved = running.iter().zip(batch);
            moved.map(|(running, batch)| running * self.momentum + batch * (1.0 - self.momentum)).collect()
        };
        let results = [next(running_mean, &mean), next(running_variance, &variance), mean, inverse_deviation];
        for (index, result) in results.iter().enumerate() {
            let output = context.output(index + 1, [sizes.channels])?;
            let mut output = output.ok_or_else(|| missing("an output"))?;
            output.try_extract_tensor_mut::<f32>()?.1.copy_from_slice(result);
        }
        Ok(())
    }
}

/// The kernel of [`BatchNormalizationGrad`].
pub struct Backward {
    relu: bool,
}

impl Kernel for Backward {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let mut inputs = Vec::new();
        for index in 0..6 {
            inputs.push(context.input(index)?.ok_or_else(|| missing("an input"))?);
        }
        let mut values = Vec::new();
        for input in &inputs {
            values.push(input.try_extract_tensor::<f32>()?);
        }
        let [(dy_shape, dy), (shape, x), (_, scale), (_, bias), (_, mean), (_, inverse_deviation)] =
            values[..]
        else {
            return Err(missing("an input"));
        };
        let sizes = sizes(shape, &[scale, bias, mean, inverse_deviation])?;
        if dy_shape != shape {
            return Err(ort::Error::new(format!("the gradient is {dy_shape:?}, the output {shape:?}")));
        }
        let mut dx = context.output(0, shape.to_vec())?.ok_or_else(|| missing("an output"))?;
        let mut dscale = context.output(1, [sizes.channels])?.ok_or_else(|| missing("an output"))?;
        let mut dbias = context.output(2, [sizes.channels])?.ok_or_else(|| missing("an output"))?;
        let affine = Affine { scale, bias, relu: self.relu };
        let gradients = [dscale.try_extract_tensor_mut::<f32>()?.1, dbias.try_extract_tensor_mut::<f32>()?.1];
        let parallel: Parallel = &|count, run| super::on_threads(context, count, run);
        let dx = dx.try_extract_tensor_mut::<f32>()?.1;
        sizes.backward([dy, x], affine, [mean, inverse_deviation], dx, gradients, parallel);
        Ok(())
    }
}
