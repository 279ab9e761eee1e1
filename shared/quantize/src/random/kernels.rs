//! Small networks that together run every kernel: what Miri runs and the fuzzer starts from.

use super::{Builder, to_four_bits};
use crate::graph::QuantizedModel;
use goldcrest_engine::shape::{Padding, Shape, Window};

/// Networks that together, packed for every family, have every kernel, in the shapes that kernels tell apart.
/// Several short ones, because the time to plan their memory grows faster than their length, and with few
/// rows, because Miri takes a thousand times as long: nine columns hold Winograd's eight and a rest, three
/// rows its two.
pub fn every_kernel() -> [QuantizedModel; 4] {
    let first = {
        let mut net = Builder::new(11, Shape::new(3, 9, 3), false);
        let first = net.conv(net.input(), 8, window(3, 1, 1, 1), 1, None);
        let same = net.conv(first, 8, window(3, 1, 1, 1), 1, None);
        let sum = net.add(first, same, None);
        let Shape { height, width, .. } = net.shape(sum);
        let mean = net.average_pool(sum, Window::new([height, width], [1, 1]));
        let gated = net.mul(sum, mean);
        let logits = net.fully_connected(gated, 3);
        net.finish(logits)
    };
    let windows = {
        let mut net = Builder::new(12, Shape::new(3, 5, 8), false);
        let wide = net.conv(net.input(), 8, window(3, 1, 2, 2), 1, None);
        let grouped = net.conv(wide, 6, window(3, 1, 1, 1), 2, None);
        let depthwise = net.conv(grouped, 6, window(3, 1, 1, 1), 6, None);
        let table = net.lookup(depthwise);
        let both = net.concat(&[table, table]);
        let half = net.conv(both, 5, window(3, 2, 1, 1), 1, None);
        let logits = net.fully_connected(half, 9);
        net.finish(logits)
    };
    let places = {
        let mut net = Builder::new(13, Shape::new(3, 4, 5), false);
        let large = net.upsample(net.input());
        let framed = net.pad(large, Padding { top: 1, left: 0, bottom: 0, right: 4 });
        let planar = net.conv(framed, 5, window(3, 1, 1, 1), 5, None);
        let most = net.max_pool(planar, window(2, 2, 1, 0));
        let point = net.conv(most, 8, window(1, 1, 1, 0), 1, None);
        let few = net.conv(point, 8, window(1, 2, 1, 0), 1, None);
        let hidden = net.fully_connected(few, 90);
        let logits = net.fully_connected(hidden, 3);
        net.finish(logits)
    };
    let mut small = windows.clone();
    to_four_bits(&mut small);
    [first, windows, places, small]
}

fn window(kernel: usize, stride: usize, dilation: usize, padding: usize) -> Window {
    let padding = Padding { top: padding, left: padding, bottom: padding, right: padding };
    Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [dilation; 2], padding }
}
