//! Operators with a window that slides over rows and columns (NCHW), and resizing.

use goldcrest_engine::shape::{Padding, Window};

use super::{Dimension, ShapeError, Site, TensorType};
use crate::proto::data_type;
use crate::{Dimension::Fixed, Node};

impl TensorType {
    /// Rows and columns of an NCHW tensor, when fixed.
    pub fn rows_and_columns(&self) -> Option<[usize; 2]> {
        Some([self.fixed(2)?, self.fixed(3)?])
    }
}

/// The window of a `Conv`, `ConvTranspose` or pool node over two dimensions.
///
/// # Errors
/// What is wrong with the attributes: a list of another length, a negative number, `auto_pad`.
pub fn window_of(node: &Node, kernel: Option<[usize; 2]>) -> Result<Window, String> {
    if let Some(auto_pad) = node.string("auto_pad")
        && !matches!(auto_pad, "NOTSET" | "VALID")
    {
        return Err(format!("auto_pad = {auto_pad} is not supported; export the model with explicit pads"));
    }
    let list = |name: &str, len: usize| match node.ints(name) {
        None => Ok(None),
        Some(values) if values.len() != len => {
            Err(format!("{name} = {values:?}, but {len} numbers are expected (two dimensions)"))
        }
        Some(values) => values
            .iter()
            .map(|&value| {
                usize::try_from(value)
                    .ok()
                    .filter(|&value| value <= u16::MAX as usize)
                    .ok_or_else(|| format!("{name} = {values:?} has a number outside 0..=65535"))
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Some),
    };
    let pair = |name: &str| Ok::<_, String>(list(name, 2)?.map(|values| [values[0], values[1]]));
    let kernel = match (pair("kernel_shape")?, kernel) {
        (Some(said), Some(real)) if said != real => {
            return Err(format!("kernel_shape = {said:?}, but the weights are {real:?}"));
        }
        (Some(kernel), _) | (None, Some(kernel)) => kernel,
        (None, None) => return Err("kernel_shape is missing".into()),
    };
    if kernel.contains(&0) {
        return Err(format!("kernel_shape = {kernel:?} holds a zero"));
    }
    let pads = list("pads", 4)?.unwrap_or_else(|| vec![0; 4]);
    let (stride, dilation) = (pair("strides")?.unwrap_or([1, 1]), pair("dilations")?.unwrap_or([1, 1]));
    if stride.contains(&0) || dilation.contains(&0) {
        return Err(format!("strides = {stride:?} and dilations = {dilation:?} must be 1 or more"));
    }
    Ok(Window {
        kernel,
        stride,
        dilation,
        padding: Padding { top: pads[0], left: pads[1], bottom: pads[2], right: pads[3] },
    })
}

pub(super) fn conv(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let (x, w) = (site.input_of_rank(0, 4)?, site.input_of_rank(1, 4)?);
    let (window, groups) = (weighted_window(site, w)?, groups(site)?);
    if let (Some(channels), Some(taken), Some(made)) = (x.fixed(1), w.fixed(1), w.fixed(0)) {
        if Some(channels) != taken.checked_mul(groups) {
            return Err(site.fail(format!(
                "input {x} has {channels} channels, but weights {w} in {groups} group(s) take {taken} x \
                 {groups}"
            )));
        }
        if made % groups != 0 {
            return Err(site.fail(format!("{made} output channels do not divide into {groups} groups")));
        }
        if site.has_input(2) && site.input(2)?.shape != [Fixed(made as i64)] {
            return Err(site.fail(format!("bias is {}, but there are {made} channels", site.input(2)?)));
        }
    }
    let [rows, columns] = slide(site, &window, x)?;
    Ok(vec![TensorType {
        element: x.element,
        shape: vec![x.shape[0].clone(), w.shape[0].clone(), rows, columns],
    }])
}

pub(super) fn conv_transpose(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let (x, w) = (site.input_of_rank(0, 4)?, site.input_of_rank(1, 4)?);
    let (window, groups) = (weighted_window(site, w)?, groups(site)?);
    let ([height, width], Some(made)) = (extent(site, x)?, w.fixed(1)) else {
        return Err(site.fail("the number of output channels is not fixed"));
    };
    if let (Some(channels), Some(taken)) = (x.fixed(1), w.fixed(0))
        && (channels != taken || taken % groups != 0)
    {
        return Err(site.fail(format!("input {x} and weights {w} in {groups} group(s) do not fit")));
    }
    if site.has_input(2) && site.input(2)?.shape != [Fixed((made * groups) as i64)] {
        let found = site.input(2)?;
        return Err(site.fail(format!("bias is {found}, but there are {made} x {groups} channels")));
    }
    if site.node.attributes.contains_key("output_shape") {
        return Err(site.fail("output_shape is not supported; export the model with explicit pads"));
    }
    let extra = site.node.ints("output_padding").unwrap_or(&[0, 0]);
    let room = |axis: usize| window.stride[axis].max(window.dilation[axis]) as i64;
    if extra.len() != 2 || (0..2).any(|axis| !(0..room(axis)).contains(&extra[axis])) {
        return Err(site.fail(format!("output_padding = {extra:?} does not fit the stride")));
    }
    let pad = window.padding;
    let size = |axis: usize, size: usize, padding: usize| {
        let reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
        let full = (size.checked_sub(1)? * window.stride[axis] + reach) as i64 + extra.get(axis)?;
        Some(full - padding as i64).filter(|&size| size > 0).map(Fixed)
    };
    match (size(0, height, pad.top + pad.bottom), size(1, width, pad.left + pad.right)) {
        (Some(rows), Some(columns)) => Ok(vec![TensorType {
            element: x.element,
            shape: vec![x.shape[0].clone(), Fixed((made * groups) as i64), rows, columns],
        }]),
        _ => Err(site.fail(format!("the window does not fit input {x}"))),
    }
}

pub(super) fn pool(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let x = site.input_of_rank(0, 4)?;
    if site.node.int("ceil_mode").unwrap_or(0) != 0 {
        return Err(site.fail("ceil_mode = 1 is not supported"));
    }
    let window = window_of(site.node, None).map_err(|problem| site.fail(problem))?;
    let [rows, columns] = slide(site, &window, x)?;
    let shape = vec![x.shape[0].clone(), x.shape[1].clone(), rows, columns];
    let indices = TensorType { element: data_type::INT64, shape: shape.clone() };
    Ok(vec![TensorType { element: x.element, shape }, indices])
}

pub(super) fn global_pool(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let x = site.input_of_rank(0, 4)?;
    let shape = vec![x.shape[0].clone(), x.shape[1].clone(), Fixed(1), Fixed(1)];
    Ok(vec![TensorType { element: x.element, shape }])
}

/// Only the form with `sizes`.
pub(super) fn resize(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let x = site.input(0)?;
    if !site.has_input(3) {
        return Err(site.fail("only Resize with the input `sizes` is supported"));
    }
    match site.symbolic_integers(3) {
        Some(sizes) if sizes.len() == x.shape.len() => {
            Ok(vec![TensorType { element: x.element, shape: sizes.clone() }])
        }
        _ => Err(site.fail(format!("`sizes` does not fit input {x}"))),
    }
}

fn groups(site: &Site<'_>) -> Result<usize, ShapeError> {
    let groups = site.node.int("group").unwrap_or(1);
    usize::try_from(groups)
        .ok()
        .filter(|groups| (1..=i32::MAX as usize).contains(groups))
        .ok_or_else(|| site.fail(format!("group = {groups}")))
}

fn weighted_window(site: &Site<'_>, weights: &TensorType) -> Result<Window, ShapeError> {
    let Some(kernel) = weights.rows_and_columns().filter(|kernel| !kernel.contains(&0)) else {
        return Err(site.fail(format!("weights {weights} have no kernel size")));
    };
    window_of(site.node, Some(kernel)).map_err(|problem| site.fail(problem))
}

fn extent(site: &Site<'_>, x: &TensorType) -> Result<[usize; 2], ShapeError> {
    x.rows_and_columns().ok_or_else(|| {
        site.fail(format!("rows and columns of input {x} must be fixed; only the batch may be symbolic"))
    })
}

fn slide(site: &Site<'_>, window: &Window, x: &TensorType) -> Result<[Dimension; 2], ShapeError> {
    let [height, width] = extent(site, x)?;
    let [rows, columns] = window.output(height, width).ok_or_else(|| {
        site.fail(format!(
            "a {}x{} window does not fit input {x}; use a larger image or fewer layers with stride",
            window.kernel[0], window.kernel[1]
        ))
    })?;
    Ok([Fixed(rows as i64), Fixed(columns as i64)])
}
