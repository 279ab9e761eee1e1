"""Makes the int8 models that the import is tested with: one small network, quantized by ONNX Runtime.

    python -m venv venv && venv/bin/pip install onnxruntime==1.22.1 onnx==1.23.2 numpy sympy
    venv/bin/python quantized.py
"""

from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

FOLDER = Path(__file__).parent
random = numpy.random.default_rng(1)


def conv(name, source, outputs, depth, kernel, **attributes):
    reach = (6 / (depth * kernel * kernel)) ** 0.5
    # Channels of different size, so that scales per channel differ.
    size = numpy.exp(random.uniform(-1, 0.5, (outputs, 1, 1, 1)))
    weights = random.uniform(-reach, reach, (outputs, depth, kernel, kernel)) * size
    constants = {f"{name}.w": weights, f"{name}.b": random.uniform(-0.3, 0.3, outputs)}
    node = helper.make_node("Conv", [source, f"{name}.w", f"{name}.b"], [name], name, **attributes)
    return node, constants


def network():
    nodes, constants = [], {}

    def add(pair):
        nodes.append(pair[0])
        constants.update(pair[1])

    def op(kind, sources, name, **attributes):
        nodes.append(helper.make_node(kind, sources, [name], name, **attributes))

    add(conv("stem", "image", 6, 3, 3, strides=[2, 2], pads=[1, 1, 1, 1]))
    op("Relu", ["stem"], "stem.relu")
    add(conv("body", "stem.relu", 6, 6, 3, pads=[1, 1, 1, 1]))
    op("Add", ["body", "stem.relu"], "sum")
    op("Relu", ["sum"], "sum.relu")
    op("MaxPool", ["sum.relu"], "pooled", kernel_shape=[2, 2], strides=[2, 2])
    add(conv("wide", "pooled", 12, 6, 1))
    op("Relu", ["wide"], "wide.relu")
    op("GlobalAveragePool", ["wide.relu"], "mean")
    op("Flatten", ["mean"], "flat")
    constants["head.w"] = random.uniform(-1, 1, (10, 12))
    constants["head.b"] = random.uniform(-0.3, 0.3, 10)
    op("Gemm", ["flat", "head.w", "head.b"], "logits", transB=1)
    values = [numpy_helper.from_array(value.astype(numpy.float32), name) for name, value in constants.items()]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 32, 32])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])
    graph = helper.make_graph(nodes, "small", [image], [logits], values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Images(CalibrationDataReader):
    def __init__(self):
        # Smooth pictures with values of pixels, 0 to 1.
        noise = random.uniform(0, 1, (32, 1, 3, 4, 4)).astype(numpy.float32)
        self.rows = iter([{"image": row.repeat(8, axis=2).repeat(8, axis=3)} for row in noise])

    def get_next(self):
        return next(self.rows, None)


onnx.save(network(), FOLDER / "small.onnx")
for name, form, kind in [
    ("small.qdq.onnx", QuantFormat.QDQ, QuantType.QInt8),
    ("small.qdq-u8.onnx", QuantFormat.QDQ, QuantType.QUInt8),
    ("small.qoperator.onnx", QuantFormat.QOperator, QuantType.QInt8),
]:
    quantize_static(
        str(FOLDER / "small.onnx"), str(FOLDER / name), Images(),
        quant_format=form, per_channel=True, activation_type=kind, weight_type=QuantType.QInt8,
    )
(FOLDER / "small.onnx").unlink()
