//! Networks of layers of every kind in shapes that no architect would choose.

use super::{Builder, Random};
use crate::graph::{Clamp, QuantizedModel, TensorId};
use goldcrest_engine::shape::{Padding, Shape, Window};

/// Maximum number of channels.
const CHANNELS: i64 = 67;
/// Maximum number of multiply-accumulates of a convolution: emulators are slow.
const MACS: usize = 600_000;

/// A network of `count` random layers one behind the other: any strides, paddings and dilations, 1 to 67
/// channels, odd heights and widths; every third network has weights, zero points and bounds from the ends of
/// their ranges.
pub fn layers(seed: u64, count: usize) -> QuantizedModel {
    let mut shapes = Random::new(!seed);
    let input = Shape::new(extent(&mut shapes, 17), extent(&mut shapes, 17), extent(&mut shapes, CHANNELS));
    let mut net = Builder::new(seed, input, seed % 3 == 2);
    let (mut before, mut x) = (net.input(), net.input());
    for index in 0..count {
        let y = layer(&mut net, &mut shapes, index, before, x);
        (before, x) = (x, y);
    }
    let logits = net.fully_connected(x, extent(&mut shapes, 40));
    net.finish(logits)
}

fn extent(shapes: &mut Random, most: i64) -> usize {
    shapes.within(1, most) as usize
}

/// A layer over `x`; sums also read `before`, the tensor before it, where the shapes agree.
fn layer(net: &mut Builder, shapes: &mut Random, index: usize, before: TensorId, x: TensorId) -> TensorId {
    let shape = net.shape(x);
    // Pixels must not run out before the layers do.
    if shape.height * shape.width < 30 {
        return net.upsample(x);
    }
    let shrinks = index % 4 == 3;
    let kind = shapes.within(0, 13);
    let square = |extent, stride, padding| super::square(extent, stride, padding);
    let fits = |window: Window| window.output(shape.height, shape.width).is_some();
    let window = match shapes.within(0, 3) {
        0 => Some(window(shapes, shrinks)).filter(|&window| fits(window)),
        1 => Some(square(5, 1 + usize::from(shrinks), 2)),
        _ => Some(square(3, 1 + usize::from(shrinks), 1)),
    };
    let window = window.unwrap_or(square(1, 1, 0));
    let clamp = if shapes.within(0, 1) == 0 { Some(Clamp::NONE) } else { None };
    match kind {
        0..=4 => convolution(net, shapes, x, window, clamp),
        5 => convolution(net, shapes, x, square(1, 1, 0), clamp),
        6 | 7 => net.conv(x, shape.channels, window, shape.channels, clamp),
        8 => net.max_pool(x, window),
        9 => net.average_pool(x, window),
        10 if net.shape(before) == shape => net.add(x, before, clamp),
        10 => net.add(x, x, clamp),
        11 => {
            let table = net.lookup(x);
            net.mul(x, table)
        }
        12 if shape.channels < 34 => net.concat(&[x, x]),
        12 => net.pad(x, Padding { top: 1, left: 0, bottom: 2, right: 3 }),
        _ if shape.height * shape.width < 40 => net.upsample(x),
        _ => net.average_pool(x, square(2, 1, 1)),
    }
}

/// A convolution with as many outputs as the emulators have time for.
fn convolution(
    net: &mut Builder,
    shapes: &mut Random,
    x: TensorId,
    window: Window,
    clamp: Option<Clamp>,
) -> TensorId {
    let shape = net.shape(x);
    let [height, width] = window.output(shape.height, shape.width).unwrap_or([1, 1]);
    let each = height * width * window.kernel[0] * window.kernel[1] * shape.channels;
    let outputs = extent(shapes, CHANNELS).min((MACS / each).max(1));
    net.conv(x, outputs, window, 1, clamp)
}

fn window(shapes: &mut Random, shrinks: bool) -> Window {
    let mut within = |low: i64, high: i64| shapes.within(low, high) as usize;
    let kernel = [within(1, 5), within(1, 5)];
    let stride = if shrinks { [within(1, 3), within(1, 3)] } else { [1, 1] };
    let dilation = if within(0, 2) == 0 { [within(1, 2), within(1, 2)] } else { [1, 1] };
    let mut padding = |of: usize| within(0, of as i64 - 1);
    let padding = Padding {
        top: padding(kernel[0]),
        left: padding(kernel[1]),
        bottom: padding(kernel[0]),
        right: padding(kernel[1]),
    };
    Window { kernel, stride, dilation, padding }
}
