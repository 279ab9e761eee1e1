#!/usr/bin/env python3
"""Test vectors of the int8 arithmetic, from an implementation of docs/int8-semantics.md in plain integers.

    python3 tests/vectors/make.py        # writes int8.json beside it; needs nothing but Python

No line of it comes from the Rust code, so the two check each other.
"""

import json
import pathlib
import random
from fractions import Fraction

rng = random.Random(20)


def sat(value):
    return max(-128, min(127, value))


def half_even(value):
    """A fraction to the nearest integer, halves to the even one: Python's own rule."""
    return round(value)


def requantize(acc, k, zero):
    return sat(half_even(Fraction(acc * k, 1 << 16)) + zero)


def window_output(size, kernel, stride, dilation, padding):
    return (size + padding - (kernel - 1) * dilation - 1) // stride + 1


class Tensor:
    def __init__(self, shape, zero, values):
        self.shape, self.zero, self.values = shape, zero, values
        assert len(values) == shape[0] * shape[1] * shape[2]

    def at(self, y, x, c):
        return self.values[(y * self.shape[1] + x) * self.shape[2] + c]

    def inside(self, y, x):
        return 0 <= y < self.shape[0] and 0 <= x < self.shape[1]

    def json(self):
        return {"shape": self.shape, "zero_point": self.zero, "values": self.values}


def tensor(height, width, channels, zero, low=-128, high=127):
    count = height * width * channels
    return Tensor([height, width, channels], zero, [rng.randint(low, high) for _ in range(count)])


def window(kernel, stride=(1, 1), dilation=(1, 1), padding=(0, 0, 0, 0)):
    return {"kernel": list(kernel), "stride": list(stride), "dilation": list(dilation), "padding": list(padding)}


def over_window(x, w):
    """Every output position with its taps inside the input, as (tap, row, column)."""
    (kh, kw), (sh, sw), (dh, dw) = w["kernel"], w["stride"], w["dilation"]
    top, left, bottom, right = w["padding"]
    rows = window_output(x.shape[0], kh, sh, dh, top + bottom)
    columns = window_output(x.shape[1], kw, sw, dw, left + right)
    positions = []
    for oy in range(rows):
        for ox in range(columns):
            taps = [(i * kw + j, oy * sh + i * dh - top, ox * sw + j * dw - left) for i in range(kh) for j in range(kw)]
            positions.append([tap for tap in taps if x.inside(tap[1], tap[2])])
    return rows, columns, positions


def case(name, op, inputs, shape, zero, values, accumulators=None, **parameters):
    output = Tensor(shape, zero, values).json()
    if accumulators is not None:
        output["accumulators"] = accumulators
    return {"name": name, "op": op, **parameters, "inputs": [i.json() for i in inputs], "output": output}


def conv(name, x, outputs, w, groups, k, zero, clamp=(-128, 127), place_ties=False):
    kh, kw = w["kernel"]
    depth = x.shape[2] // groups
    weights = [rng.randint(-127, 127) for _ in range(outputs * kh * kw * depth)]
    bias = [rng.randint(-3000, 3000) for _ in range(outputs)]
    rows, columns, positions = over_window(x, w)

    def total(taps, o):
        first = o // (outputs // groups) * depth
        weight = lambda tap, c: weights[(o * kh * kw + tap) * depth + c]
        return sum((x.at(y, xx, first + c) - x.zero) * weight(tap, c) for tap, y, xx in taps for c in range(depth))

    if place_ties:
        # The bias puts one accumulator of every channel exactly on a tie.
        for o in range(outputs):
            half = (1 << 15) // (k[o] & -k[o])
            bias[o] = half * (2 * rng.randint(-3, 3) + 1) - total(positions[o % len(positions)], o)
    accumulators, values = [], []
    for taps in positions:
        for o in range(outputs):
            acc = bias[o] + total(taps, o)
            accumulators.append(acc)
            values.append(max(clamp[0], min(clamp[1], requantize(acc, k[o], zero))))
    return case(
        name, "conv", [x], [rows, columns, outputs], zero, values, accumulators,
        window=w, groups=groups, weights=weights, bias=bias, k=k, clamp=list(clamp),
    )


def average_pool(name, x, w, k, zero):
    rows, columns, positions = over_window(x, w)
    accumulators = [sum(x.at(y, xx, c) - x.zero for _, y, xx in taps) for taps in positions for c in range(x.shape[2])]
    values = [requantize(acc, k, zero) for acc in accumulators]
    return case(name, "average_pool", [x], [rows, columns, x.shape[2]], zero, values, accumulators, window=w, k=[k])


def max_pool(name, x, w):
    rows, columns, positions = over_window(x, w)
    values = [max(x.at(y, xx, c) for _, y, xx in taps) for taps in positions for c in range(x.shape[2])]
    return case(name, "max_pool", [x], [rows, columns, x.shape[2]], x.zero, values, window=w)


def add(name, a, b, k, zero, clamp=(-128, 127)):
    accumulators = [(p - a.zero) * k[0] + (q - b.zero) * k[1] for p, q in zip(a.values, b.values)]
    values = [sat(half_even(Fraction(acc, 1 << 16)) + zero) for acc in accumulators]
    values = [max(clamp[0], min(clamp[1], value)) for value in values]
    return case(name, "add", [a, b], a.shape, zero, values, accumulators, k=list(k), clamp=list(clamp))


def mul(name, a, b, k, zero):
    channels = a.shape[2]
    single = b.shape[:2] == [1, 1]
    second = [b.values[i % channels if single else i] for i in range(len(a.values))]
    accumulators = [(p - a.zero) * (q - b.zero) * k for p, q in zip(a.values, second)]
    values = [sat(half_even(Fraction(acc, 1 << 16)) + zero) for acc in accumulators]
    return case(name, "mul", [a, b], a.shape, zero, values, accumulators, k=[k])


def lookup(name, x, zero):
    table = [rng.randint(-128, 127) for _ in range(256)]
    return case(name, "lookup", [x], x.shape, zero, [table[v + 128] for v in x.values], table=table)


def concat(name, inputs):
    rows, columns = inputs[0].shape[:2]
    channels = sum(x.shape[2] for x in inputs)
    values = [
        x.at(y, xx, c) for y in range(rows) for xx in range(columns) for x in inputs for c in range(x.shape[2])
    ]
    return case(name, "concat", inputs, [rows, columns, channels], inputs[0].zero, values)


def pad(name, x, padding):
    top, left, bottom, right = padding
    rows, columns = x.shape[0] + top + bottom, x.shape[1] + left + right
    values = [
        x.at(y - top, xx - left, c) if x.inside(y - top, xx - left) else x.zero
        for y in range(rows) for xx in range(columns) for c in range(x.shape[2])
    ]
    return case(name, "pad", [x], [rows, columns, x.shape[2]], x.zero, values, padding=list(padding))


def upsample(name, x):
    rows, columns, channels = x.shape
    values = [x.at(y // 2, xx // 2, c) for y in range(2 * rows) for xx in range(2 * columns) for c in range(channels)]
    return case(name, "upsample", [x], [2 * rows, 2 * columns, channels], x.zero, values)


def requantize_rows():
    rows = []
    for k in [1, 2, 17, 256, 749, 4096, 32768, 65536, 100000, 2**31 - 1]:
        zero = rng.randint(-128, 127)
        low_bit = k & -k
        for _ in range(6):
            # On a tie where there is one, and on both sides of a boundary.
            half = (1 << 15) // low_bit if low_bit <= 1 << 15 else 0
            boundary = ((2 * rng.randint(-120, 120) + 1) << 15) // k
            for acc in [half * (2 * rng.randint(-2, 2) + 1), boundary, boundary + 1]:
                rows.append([acc, k, zero, requantize(acc, k, zero)])
    for acc, k in [(2**31 - 1, 2**31 - 1), (-(2**31), 2**31 - 1), (2**31 - 1, 1), (-(2**31), 1), (0, 17)]:
        rows.append([acc, k, 5, requantize(acc, k, 5)])
    return rows


def pixels():
    mean, std, scale, zero = [0.5, 0.25], [0.25, 0.5], 0.015625, -3
    tables = [
        [sat(half_even((Fraction(p, 255) - Fraction(m)) / Fraction(s) / Fraction(scale)) + zero) for p in range(256)]
        for m, s in zip(mean, std)
    ]
    return {"mean": mean, "std": std, "scale": scale, "zero_point": zero, "table": tables}


def operators():
    ks = lambda count, low=17, high=300: [rng.randint(low, high) for _ in range(count)]
    yield conv("3x3, padded", tensor(5, 4, 3, -7), 4, window((3, 3), padding=(1, 1, 1, 1)), 1, ks(4), 3)
    yield conv("5x5, stride 2, a Relu", tensor(7, 8, 2, -128), 5, window((5, 5), (2, 2), padding=(2, 2, 1, 1)), 1, ks(5),
               -128, (-128, 127))
    yield conv("on ties", tensor(3, 3, 2, 4), 6, window((2, 2)), 1, [64, 128, 192, 256, 320, 96], 0, place_ties=True)
    yield conv("two groups, dilated", tensor(6, 6, 4, 0), 6, window((3, 3), dilation=(2, 2), padding=(2, 2, 2, 2)), 2, ks(6),
               10, (-20, 90))
    yield conv("depthwise", tensor(5, 5, 3, 12), 3, window((3, 3), (2, 2), padding=(1, 1, 1, 1)), 3, ks(3), -5)
    yield conv("depthwise, two outputs per input", tensor(4, 4, 3, -60), 6, window((3, 1), padding=(1, 0, 1, 0)), 3, ks(6), 0)
    yield conv("1x1", tensor(3, 3, 9, -1), 7, window((1, 1)), 1, ks(7), 7)
    yield conv("fully connected", tensor(3, 2, 5, 33), 11, window((3, 2)), 1, ks(11), -9)
    yield conv("large multipliers", tensor(3, 3, 1, 0), 2, window((1, 1)), 1, [65536, 40000], 0)
    yield average_pool("2x2", tensor(4, 6, 3, 5), window((2, 2), (2, 2)), 16384, -8)
    yield average_pool("over all", tensor(5, 5, 4, -128), window((5, 5)), 2621, -128)
    yield average_pool("padded", tensor(4, 4, 2, 9), window((3, 3), (2, 2), padding=(1, 1, 0, 0)), 7282, 1)
    yield max_pool("2x2", tensor(4, 6, 3, -128), window((2, 2), (2, 2)))
    yield max_pool("3x3, padded", tensor(5, 5, 2, 0), window((3, 3), (2, 2), padding=(1, 1, 1, 1)))
    yield add("two scales", tensor(4, 4, 3, 2), tensor(4, 4, 3, -30), (30000, 41234), -4)
    yield add("halves, a Relu", tensor(4, 4, 3, 0), tensor(4, 4, 3, 0), (32768, 32768), -10, (-10, 127))
    yield mul("one shape", tensor(3, 4, 2, 1), tensor(3, 4, 2, -100), 412, 6)
    yield mul("one factor per channel", tensor(3, 3, 4, -20), tensor(1, 1, 4, -128), 257, -7)
    yield mul("halves", tensor(4, 4, 2, 0), tensor(4, 4, 2, 0), 32768, 0)
    yield lookup("any function", tensor(4, 4, 4, 0), 11)
    yield concat("three inputs", [tensor(2, 3, 2, 4), tensor(2, 3, 1, 4), tensor(2, 3, 4, 4)])
    yield pad("unequal", tensor(2, 3, 2, -77), (1, 2, 0, 1))
    yield upsample("2 x 2", tensor(2, 3, 2, 0))


def main():
    vectors = {"requantize": requantize_rows(), "pixels": pixels(), "operators": list(operators())}
    # One case per line: readable differences.
    rows = ",\n".join(json.dumps(row) for row in vectors["requantize"])
    cases = ",\n".join(json.dumps(entry) for entry in vectors["operators"])
    text = f'{{"requantize": [\n{rows}\n],\n"pixels": {json.dumps(vectors["pixels"])},\n"operators": [\n{cases}\n]}}\n'
    assert json.loads(text) == vectors
    (pathlib.Path(__file__).parent / "int8.json").write_text(text)


if __name__ == "__main__":
    main()
