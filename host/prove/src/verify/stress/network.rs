//! One network per layer that rounds: the layer's operator over digits of chosen accumulators.
//!
//! Convolutions keep groups, multipliers, zero points and bounds; their windows become 1x1 (a row of digits
//! for depthwise ones), their weights the values of the digits, and each output position is one target.
//! Average pools keep their window. Additions and products see all pairs of int8 values.

use std::collections::BTreeMap;

use goldcrest_data::random::Random;
use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::{Shape, Window};
use goldcrest_quantize::graph::{Node, QuantizedConv, QuantizedModel, QuantizedOp, TensorId};
use goldcrest_quantize::operators::QuantizedAveragePool;
use goldcrest_quantize::reference::{Computed, Operand};

use super::super::synthetic::Builder;
use super::ties::{Target, around_boundaries};

/// Maximum number of values of a network's input and of its output, so that it fits small boards.
const VALUES: usize = 6 << 10;
/// Maximum number of images of one network; where a layer has more targets, they are a sample.
const IMAGES: usize = 1500;
/// The largest weight of a digit.
const COARSE: i64 = 127;
/// Maximum number of pairs of coarse digits.
const PAIRS: usize = 48;
/// Targets that slow runners see at least, where a network has them.
const FEW: usize = 96;

/// A network that puts one layer's accumulators next to ties.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The network; its first rounding node carries the layer's name.
    pub model: QuantizedModel,
    /// Int8 inputs one after the other, HWC.
    pub images: Vec<i8>,
    /// Images for slow runners.
    pub few: usize,
    /// Accumulators placed.
    pub placed: u64,
    /// Of these, exact ties.
    pub ties: u64,
}

/// A network for every layer of a model that rounds.
pub fn probes(model: &QuantizedModel) -> Vec<Probe> {
    let graph = &model.graph;
    let probe = |(index, node): (usize, &Node<QuantizedOp>)| {
        let zero = |id: TensorId| graph.tensor(id).info.zero_point;
        let input = graph.tensor(node.inputs[0]);
        let zeros = [zero(node.inputs[0]), zero(node.output)];
        let mut random = Random::stream(index as u64, &[]);
        if let Some(conv) = node.op.conv() {
            return Some(convolution(&node.name, conv, input.shape, zeros, &mut random));
        }
        if let QuantizedOp::AveragePool(pool) = &node.op {
            return Some(average_pool(&node.name, pool, input.shape.channels, zeros, &mut random));
        }
        // The others round pairs of values, or none.
        node.op.multipliers()?;
        let zeros = [zeros[0], zero(*node.inputs.get(1)?), zeros[1]];
        Some(pairs(&node.name, &node.op, zeros))
    };
    graph.nodes.iter().enumerate().filter_map(probe).collect()
}

/// The values of digits: pairs of `127` and `-127`, then `1` and `-1`. Whatever the zero point, one of each
/// pair reaches far in the wanted direction.
struct Digits {
    weights: Vec<i64>,
    /// Smallest and largest value of a digit: int8 without the zero point.
    range: [i64; 2],
}

impl Digits {
    /// Digits that reach every accumulator up to a magnitude, or as far as [`PAIRS`] do.
    fn reaching(magnitude: i64, zero_point: i8) -> Self {
        let pairs = (magnitude / (COARSE * 255) + 1).clamp(1, PAIRS as i64) as usize;
        let weights = [COARSE, -COARSE].repeat(pairs).into_iter().chain([1, -1]).collect();
        let zero = i64::from(zero_point);
        Self { weights, range: [-128 - zero, 127 - zero] }
    }

    /// The largest accumulator they reach in both directions.
    fn reach(&self) -> i64 {
        (self.weights.len() as i64 - 2) / 2 * COARSE * 255
    }

    /// The digits of an accumulator, or `None` beyond their reach.
    fn of(&self, accumulator: i64) -> Option<Vec<i64>> {
        let [low, high] = self.range;
        let mut rest = accumulator;
        let digit = |&weight: &i64| {
            // Rounded to the nearest, so that the last two digits can make up for the rest.
            let wanted = (2 * rest + weight.abs()).div_euclid(2 * weight.abs()) * weight.signum();
            let digit = wanted.clamp(low, high);
            rest -= digit * weight;
            digit
        };
        let digits: Vec<i64> = self.weights.iter().map(digit).collect();
        (rest == 0).then_some(digits)
    }
}

/// What lies between -128 and 127 without a zero point, back as int8.
fn value(digit: i64, zero_point: i8) -> i8 {
    (digit + i64::from(zero_point)) as i8
}

/// Targets of each output channel, shuffled.
fn shuffled(multipliers: &[Multiplier], zero_point: i8, limit: i64, random: &mut Random) -> Vec<Vec<Target>> {
    let mut known: BTreeMap<Multiplier, Vec<Target>> = BTreeMap::new();
    let targets = |&multiplier: &Multiplier| {
        let targets =
            known.entry(multiplier).or_insert_with(|| around_boundaries(multiplier, zero_point, limit));
        let mut targets = targets.clone();
        random.shuffle(&mut targets);
        targets
    };
    multipliers.iter().map(targets).collect()
}

/// The largest accumulator that does not saturate, a little more included.
fn largest(multipliers: &[Multiplier]) -> i64 {
    multipliers.iter().map(|multiplier| (257 << 16) / i64::from(multiplier.k())).max().unwrap_or(0)
}

fn convolution(
    name: &str,
    conv: &QuantizedConv,
    input: Shape,
    [input_zero, output_zero]: [i8; 2],
    random: &mut Random,
) -> Probe {
    let (outputs, groups) = (conv.bias.len(), conv.groups);
    let digits = Digits::reaching(largest(&conv.multipliers), input_zero);
    let count = digits.weights.len();
    let targets = shuffled(&conv.multipliers, output_zero, digits.reach(), random);
    // Outputs of a group share their inputs: each position is a target of one of them.
    let each = outputs / groups;
    let mut lists: Vec<Vec<(Target, Vec<i64>)>> = Vec::with_capacity(groups);
    for group in targets.chunks(each) {
        let longest = group.iter().map(Vec::len).max().unwrap_or(0);
        // Channels take turns.
        let turns = (0..longest).flat_map(|turn| group.iter().filter_map(move |targets| targets.get(turn)));
        lists.push(turns.filter_map(|&target| Some((target, digits.of(target.accumulator)?))).collect());
    }
    let depthwise = groups > 1 && groups == input.channels;
    let covering = conv.window.kernel == [input.height, input.width] && groups == 1;
    let positions = match covering {
        // A fully connected layer has one position.
        true => 1,
        false => (VALUES / (count * groups).max(outputs)).clamp(2, 256),
    };
    let shape = match depthwise {
        true => Shape::new(1, positions * count, groups),
        false => Shape::new(1, positions, groups * count),
    };
    let window = match depthwise {
        true => Window::new([1, count], [1, count]),
        false => Window::new([1, 1], [1, 1]),
    };
    let weights: Vec<i8> = digits.weights.iter().map(|&weight| weight as i8).collect();
    let op = QuantizedConv {
        window,
        groups,
        weights: weights.repeat(outputs),
        bias: vec![0; outputs],
        multipliers: conv.multipliers.clone(),
        clamp: conv.clamp,
    };
    let mut builder = Builder::new(shape, input_zero);
    let input = TensorId(0);
    let output = builder.push(name, op.into(), &[input], output_zero);
    // Digits of a position: side by side as channels, or in the columns under the window.
    let place = |position: usize, group: usize, digit: usize| match depthwise {
        true => (position * count + digit) * groups + group,
        false => (position * groups + group) * count + digit,
    };
    fill(builder, output, input_zero, positions, &lists, place)
}

fn average_pool(
    name: &str,
    &QuantizedAveragePool { window, multiplier }: &QuantizedAveragePool,
    channels: usize,
    [input_zero, output_zero]: [i8; 2],
    random: &mut Random,
) -> Probe {
    let [rows, columns] = window.kernel;
    let area = (rows * columns) as i64;
    let (low, high) = (-128 - i64::from(input_zero), 127 - i64::from(input_zero));
    let targets = around_boundaries(multiplier, output_zero, i64::MAX);
    // Shares as equal as integers can be.
    let shares = |sum: i64| -> Option<Vec<i64>> {
        (area * low <= sum && sum <= area * high)
            .then(|| (0..area).map(|tap| (sum + tap).div_euclid(area)).collect())
    };
    let mut list: Vec<(Target, Vec<i64>)> =
        targets.into_iter().filter_map(|target| Some((target, shares(target.accumulator)?))).collect();
    random.shuffle(&mut list);
    let positions = (VALUES / (rows * columns * channels)).clamp(2, 64);
    let lists: Vec<Vec<(Target, Vec<i64>)>> =
        (0..channels).map(|channel| list.iter().skip(channel).step_by(channels).cloned().collect()).collect();
    let mut builder = Builder::new(Shape::new(rows, positions * columns, channels), input_zero);
    let op = {
        let window = Window::new(window.kernel, window.kernel);
        QuantizedOp::AveragePool(QuantizedAveragePool { window, multiplier })
    };
    let output = builder.push(name, op, &[TensorId(0)], output_zero);
    let place = |position: usize, channel: usize, tap: usize| {
        let (row, column) = (tap / columns, tap % columns);
        ((row * positions + position) * columns + column) * channels + channel
    };
    fill(builder, output, input_zero, positions, &lists, place)
}

/// Writes targets into images: `lists` are the targets with their digits, one list per group of channels;
/// `place` is the index of a digit in an image.
fn fill(
    mut builder: Builder,
    output: TensorId,
    zero_point: i8,
    positions: usize,
    lists: &[Vec<(Target, Vec<i64>)>],
    place: impl Fn(usize, usize, usize) -> usize,
) -> Probe {
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let images = longest.div_ceil(positions).min(IMAGES);
    let size = builder.input().len();
    let mut values = vec![zero_point; images * size];
    let (mut placed, mut ties) = (0, 0);
    for (group, list) in lists.iter().enumerate() {
        for (index, (target, digits)) in list.iter().take(images * positions).enumerate() {
            let (image, position) = (index / positions, index % positions);
            for (digit, &number) in digits.iter().enumerate() {
                values[image * size + place(position, group, digit)] = value(number, zero_point);
            }
            placed += 1;
            ties += u64::from(target.tie);
        }
    }
    let few = FEW.div_ceil(positions).max(2);
    let output = builder.reduce(output);
    Probe { model: builder.finish(output), images: values, few, placed, ties }
}

/// A tensor of one value.
fn single(value: &i8, zero_point: i8) -> Operand<'_> {
    let values = std::slice::from_ref(value);
    Operand { values, shape: Shape::new(1, 1, 1), zero_point: zero_point.into() }
}

/// An addition or a product of all pairs of int8 values, 64 x 64 of them per image.
fn pairs(name: &str, op: &QuantizedOp, [a_zero, b_zero, output_zero]: [i8; 3]) -> Probe {
    const SIDE: usize = 64;
    let mut builder = Builder::new(Shape::new(SIDE, SIDE, 2), 0);
    let (a, b) = (builder.channels("a", 0..1, a_zero), builder.channels("b", 1..2, b_zero));
    let output = builder.push(name, op.clone(), &[a, b], output_zero);
    let all = || (i8::MIN..=i8::MAX).flat_map(|a| (i8::MIN..=i8::MAX).map(move |b| (a, b)));
    let is_tie = |(a, b): (i8, i8)| {
        let inputs = [single(&a, a_zero), single(&b, b_zero)];
        match op.rules().compute(&inputs, [0; 3], output_zero) {
            Computed::Sum { sum, k, .. } => (sum * i64::from(k)) & 0xffff == 0x8000,
            Computed::Value(_) => false,
        }
    };
    let ties = all().filter(|&pair| is_tie(pair)).count() as u64;
    // Each image shows pairs from all over: strides that reach every pair once.
    let order: Vec<(i8, i8)> = all().collect();
    let images = order.len() / (SIDE * SIDE);
    let spread = (0..images).flat_map(|image| order.iter().skip(image).step_by(images));
    let values = spread.flat_map(|&(a, b)| [a, b]).collect();
    let output = builder.reduce(output);
    Probe { model: builder.finish(output), images: values, few: 2, placed: 1 << 16, ties }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_add_up_to_their_accumulator() {
        for zero_point in [-128, -3, 0, 127] {
            let digits = Digits::reaching(100_000, zero_point);
            assert!(digits.reach() >= 100_000);
            for accumulator in (-digits.reach()..=digits.reach()).step_by(61) {
                let found = digits.of(accumulator).expect("within reach");
                assert!(found.iter().all(|digit| (-128..=127).contains(&(digit + i64::from(zero_point)))));
                let sum: i64 = found.iter().zip(&digits.weights).map(|(digit, weight)| digit * weight).sum();
                assert_eq!(sum, accumulator, "zero point {zero_point}");
            }
        }
    }
}
