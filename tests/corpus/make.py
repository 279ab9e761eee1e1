#!/usr/bin/env python3
"""Small random classifiers as the common exporters write them.

Run by `make corpus` in an environment of its own (requirements.txt). Writes one ONNX file per model and
exporter, and golden.json: what the framework itself computes for the images of `images`, before any export.
The importer's test reads both; nothing here runs in it.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
warnings.filterwarnings("ignore")

import numpy as np
import onnx

HERE = pathlib.Path(__file__).parent
BATCH = 2


def images(shape):
    """The test's images: a pattern that the Rust side repeats exactly, in the model's own layout."""
    count = int(np.prod(shape))
    pattern = (np.arange(count, dtype=np.int64) * 7919 + 12345) % 2001 - 1000
    return (pattern.astype(np.float64) / 1000).astype(np.float32).reshape(shape)


class Golden:
    """The models written so far, with what they must compute."""

    def __init__(self):
        self.path = HERE / "golden.json"
        self.entries = json.loads(self.path.read_text()) if self.path.exists() else {}

    def add(self, name, path, exporter, outputs):
        model = onnx.load(path)
        strip(model.graph)
        target = HERE / f"{name}.onnx"
        onnx.save(model, target)
        opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
        operators = sorted({node.op_type for node in model.graph.node})
        self.entries[name] = {
            "exporter": exporter,
            "opset": opset,
            "operators": operators,
            "outputs": [[float(value) for value in row] for row in np.asarray(outputs, dtype=np.float32)],
        }
        print(f"{name:32} {target.stat().st_size:7} bytes, opset {opset}: {', '.join(operators)}")

    def write(self):
        text = json.dumps(dict(sorted(self.entries.items())), indent=1)
        self.path.write_text(text + "\n")


def strip(graph):
    """Takes out what only a person would read: paths and traces of the machine that exported."""
    graph.doc_string = ""
    for value in [*graph.input, *graph.output, *graph.value_info, *graph.initializer]:
        value.doc_string = ""
        del value.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del graph.metadata_props[:]


# --- PyTorch ----------------------------------------------------------------------------------------------------


def torch_models():
    import torch
    from torch import nn
    from torch.nn import functional as F

    class LeNet(nn.Module):
        """`view` with the batch's size taken from the tensor, as tutorials write it."""

        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 6, 5)
            self.conv2 = nn.Conv2d(6, 8, 3)
            self.fc1 = nn.Linear(8 * 2 * 2, 16)
            self.fc2 = nn.Linear(16, 10)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.conv1(x)), 2)
            x = F.max_pool2d(F.relu(self.conv2(x)), 2)
            x = x.view(x.size(0), -1)
            x = F.dropout(F.relu(self.fc1(x)), training=self.training)
            return self.fc2(x)

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.shortcut = nn.Sequential()
            if stride != 1 or inputs != outputs:
                conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
                self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(outputs))

        def forward(self, x):
            out = F.relu(self.bn1(self.conv1(x)))
            return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 1, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU())
            self.blocks = nn.Sequential(Block(6, 6, 1), Block(6, 8, 2), Block(8, 12, 2))
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(12, 10)

        def forward(self, x):
            return self.fc(torch.flatten(self.pool(self.blocks(self.stem(x))), 1))

    class Inverted(nn.Module):
        """MobileNetV2's block."""

        def __init__(self, inputs, outputs, stride):
            super().__init__()
            hidden = inputs * 3
            self.body = nn.Sequential(
                nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
                nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
                nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
            )
            self.same = stride == 1 and inputs == outputs

        def forward(self, x):
            return x + self.body(x) if self.same else self.body(x)

    class MobileNetV2(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
                Inverted(8, 8, 1), Inverted(8, 12, 2), Inverted(12, 12, 1),
            )
            self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(12, 10))

        def forward(self, x):
            return self.classifier(self.features(x).mean([2, 3]))

    class Excite(nn.Module):
        """Squeeze-and-excite as torchvision writes it."""

        def __init__(self, channels):
            super().__init__()
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.fc1 = nn.Conv2d(channels, 4, 1)
            self.fc2 = nn.Conv2d(4, channels, 1)

        def forward(self, x):
            return F.hardsigmoid(self.fc2(F.relu(self.fc1(self.pool(x))))) * x

    class MobileNetV3(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish(),
                nn.Conv2d(8, 8, 5, 1, 2, groups=8, bias=False), nn.BatchNorm2d(8), nn.Hardswish(),
                Excite(8), nn.Conv2d(8, 12, 1, bias=False), nn.BatchNorm2d(12),
                nn.Conv2d(12, 12, 3, 2, 1, groups=12, bias=False), nn.BatchNorm2d(12), nn.Hardswish(),
                Excite(12),
            )
            self.classifier = nn.Sequential(nn.Linear(12, 16), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(16, 10))

        def forward(self, x):
            return self.classifier(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1))

    class Excite1d(nn.Module):
        """Squeeze-and-excite over vectors, reshaped back, with Silu and Sigmoid, as EfficientNets do it."""

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, 2, 1)
            self.fc1 = nn.Linear(8, 4)
            self.fc2 = nn.Linear(4, 8)
            self.head = nn.Linear(8, 10)

        def forward(self, x):
            x = F.silu(self.conv(x))
            n, c, _, _ = x.shape
            gate = torch.sigmoid(self.fc2(F.silu(self.fc1(x.mean((2, 3)))))).reshape(n, c, 1, 1)
            return self.head((x * gate).mean((2, 3)))

    class Inception(nn.Module):
        """Branches of odd kernels, asymmetric padding, dilation and groups; both kinds of average pool."""

        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 8, 3, 2), nn.ELU(0.0))
            self.stem[2] = nn.LeakyReLU(0.1)
            self.a = nn.Sequential(nn.Conv2d(8, 4, (1, 3), padding=(0, 1)), nn.Conv2d(4, 4, (3, 1), padding=(1, 0)))
            self.b = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4)
            self.c = nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.Conv2d(8, 4, 1))
            self.d = nn.AvgPool2d(3, 1, 1, count_include_pad=True)
            self.pool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
            self.fc = nn.Linear(24 * 5 * 5, 10)

        def forward(self, x):
            x = self.stem(x)
            x = torch.cat([self.a(x), self.b(x), self.c(x), self.d(x)], 1)
            return self.fc(self.pool(F.pad(x, (1, 0, 1, 0))).flatten(1))

    class Activations(nn.Module):
        def __init__(self):
            super().__init__()
            self.convs = nn.ModuleList([nn.Conv2d(3, 6, 3, 2, 1)] + [nn.Conv2d(6, 6, 3, 1, 1) for _ in range(5)])
            self.prelu, self.prelus = nn.PReLU(), nn.PReLU(6)
            with torch.no_grad():
                self.prelus.weight.copy_(torch.linspace(-0.2, 0.4, 6))
            self.fc = nn.Linear(6, 10)

        def forward(self, x):
            functions = [
                torch.tanh, torch.sigmoid, self.prelu, self.prelus,
                lambda v: v.clamp(-0.3, 0.4), lambda v: F.hardtanh(v, 0.0, 1.0),
            ]
            for conv, function in zip(self.convs, functions):
                x = function(conv(x))
            return F.softmax(self.fc(x.mean((2, 3), keepdim=True).squeeze(3).squeeze(2)), dim=1)

    class Hourglass(nn.Module):
        """Down and up again; normalization of the pixels inside the network."""

        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.tensor([0.1, -0.2, 0.05]).view(1, 3, 1, 1))
            self.register_buffer("std", torch.tensor([0.5, 0.6, 0.7]).view(1, 3, 1, 1))
            self.down = nn.Conv2d(3, 6, 3, 2, 1)
            self.deep = nn.Conv2d(6, 6, 3, 2, 1)
            self.up = nn.Upsample(scale_factor=2, mode="nearest")
            self.out = nn.Conv2d(12, 10, 1)

        def forward(self, x):
            x = F.relu(self.down((x - self.mean) / self.std))
            x = torch.cat([x, self.up(F.relu(self.deep(x)))], dim=1)
            return F.avg_pool2d(self.out(x), 8).squeeze(-1).squeeze(-1)

    def seeded(make):
        torch.manual_seed(7)
        model = make()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.3, 0.3)
        return model.eval()

    # Name, model, opset of the older exporter, opset of the newer one.
    models = [
        ("lenet", LeNet, 11, 18), ("resnet", ResNet, 13, 18), ("mobilenetv2", MobileNetV2, 12, 20),
        ("mobilenetv3", MobileNetV3, 14, 21), ("excite", Excite1d, 15, 19), ("inception", Inception, 16, 18),
        ("activations", Activations, 17, 18), ("hourglass", Hourglass, 18, 21),
    ]
    for name, make, old, new in models:
        for exporter, opset in [("torchscript", old), ("dynamo", new)]:
            yield name, seeded(make), exporter, opset
    # Variants of one network: a fixed batch, nothing folded, the newest operator sets of the old exporter.
    yield "resnet_unfolded", seeded(ResNet), "torchscript", 17
    yield "lenet_fixed", seeded(LeNet), "torchscript", 20
    yield "lenet_fixed", seeded(LeNet), "dynamo", 18


def export_torch(golden):
    import torch

    torch.set_num_threads(1)
    for name, model, exporter, opset in torch_models():
        entry = f"pytorch_{exporter}_{name}"
        x = torch.from_numpy(images((BATCH, 3, 16, 16)))
        with torch.no_grad():
            outputs = model(x).numpy()
        path = str(pathlib.Path(tempfile.mkdtemp()) / "model.onnx")
        fixed = name.endswith("_fixed")
        if exporter == "torchscript":
            unfolded = name.endswith("_unfolded")
            torch.onnx.export(
                model, (x,), path, opset_version=opset, dynamo=False, input_names=["input"], output_names=["output"],
                dynamic_axes=None if fixed else {"input": {0: "batch"}, "output": {0: "batch"}},
                do_constant_folding=not unfolded,
                training=torch.onnx.TrainingMode.PRESERVE if unfolded else torch.onnx.TrainingMode.EVAL,
            )
        else:
            torch.onnx.export(
                model, (x,), path, opset_version=opset, dynamo=True, external_data=False, verbose=False,
                dynamic_shapes=None if fixed else ({0: torch.export.Dim("batch")},),
            )
        golden.add(entry, path, f"PyTorch {torch.__version__.split('+')[0]}, {exporter}", outputs)


# --- Keras ------------------------------------------------------------------------------------------------------


def keras_models():
    import keras
    from keras import layers

    image = (16, 16, 3)

    def cnn():
        return keras.Sequential([
            keras.Input(image),
            layers.Conv2D(6, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(16, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ])

    def separable():
        x = inputs = keras.Input(image)
        x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
        x = layers.Conv2D(8, 3, strides=2, use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
        x = layers.SeparableConv2D(12, 3, strides=2, padding="same")(x)
        x = layers.LeakyReLU(0.1)(layers.BatchNormalization()(x))
        return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))

    def excite():
        x = inputs = keras.Input(image)
        x = layers.Rescaling(0.5, 0.1)(x)
        x = layers.Conv2D(8, 3, strides=2, padding="same")(x)
        x = layers.Activation("hard_swish")(x)
        squeezed = layers.GlobalAveragePooling2D(keepdims=True)(x)
        gate = layers.Conv2D(4, 1, activation="relu")(squeezed)
        gate = layers.Conv2D(8, 1, activation="hard_sigmoid")(gate)
        x = layers.Multiply()([x, gate])
        y = layers.Dense(8)(layers.GlobalAveragePooling2D()(x))
        y = layers.Reshape((1, 1, 8))(layers.Activation("sigmoid")(y))
        x = layers.Multiply()([x, y])
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(12, 3, activation="silu")(x))
        return keras.Model(inputs, layers.Dense(10)(x))

    def residual():
        x = inputs = keras.Input(image)
        x = layers.Conv2D(8, 3, padding="same", kernel_initializer="he_normal")(x)
        x = start = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(x)))
        x = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(x))
        x = layers.ReLU()(layers.Add()([x, start]))
        pooled = layers.AveragePooling2D(3, strides=2, padding="same")(x)
        x = layers.Concatenate()([pooled, layers.MaxPooling2D(3, strides=2, padding="same")(x)])
        x = layers.Conv2D(6, 3, dilation_rate=2, activation="tanh")(x)
        x = layers.PReLU(shared_axes=[1, 2], alpha_initializer=keras.initializers.Constant(0.25))(x)
        return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))

    for name, make, opset in [
        ("cnn", cnn, 11), ("cnn", cnn, 15), ("separable", separable, 13), ("excite", excite, 17),
        ("residual", residual, 18),
    ]:
        keras.utils.set_random_seed(7)
        model = make()
        rng = np.random.default_rng(7)
        for layer in model.layers:
            if isinstance(layer, layers.BatchNormalization):
                size = layer.gamma.shape[0]
                low_high = [(0.5, 1.5), (-0.3, 0.3), (-0.2, 0.2), (0.5, 1.5)]
                layer.set_weights([rng.uniform(low, high, size).astype(np.float32) for low, high in low_high])
        yield f"{name}_{opset}", model, opset


def export_keras(golden):
    import keras
    import tensorflow as tf
    import tf2onnx

    for name, model, opset in keras_models():
        entry = f"keras_tf2onnx_{name}"
        x = images((BATCH, 16, 16, 3))
        outputs = model(x, training=False).numpy()
        path = str(pathlib.Path(tempfile.mkdtemp()) / "model.onnx")
        signature = [tf.TensorSpec((None, 16, 16, 3), tf.float32, name="input")]
        function = tf.function(lambda image: model(image, training=False), input_signature=signature)
        tf2onnx.convert.from_function(function, input_signature=signature, opset=opset, output_path=path)
        versions = f"Keras {keras.__version__}, tf2onnx {tf2onnx.__version__}"
        golden.add(entry, path, versions, outputs)


def main():
    family = sys.argv[1] if len(sys.argv) > 1 else None
    if family is None:
        # TensorFlow and PyTorch do not go together in one process.
        for stale in HERE.glob("*.onnx"):
            stale.unlink()
        (HERE / "golden.json").unlink(missing_ok=True)
        for family in ["keras", "pytorch"]:
            subprocess.run([sys.executable, __file__, family], check=True)
        return
    golden = Golden()
    {"keras": export_keras, "pytorch": export_torch}[family](golden)
    golden.write()


if __name__ == "__main__":
    main()
