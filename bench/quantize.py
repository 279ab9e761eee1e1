"""Goldcrest's quantizer beside ONNX Runtime's `quantize_static` on the same float models.

Both get the same calibration images (written by `goldcrest quantize --save-inputs`), and `goldcrest eval
--against` judges both on the same decoded test images. Run by `make bench-quantize` in a throw-away
environment that has onnx and onnxruntime.

    quantize.py GOLDCREST DATA OUT.json [--count N] MODEL.onnx ...
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

import numpy
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType
from onnxruntime.quantization import quant_pre_process, quantize_static

CALIBRATORS = {
    "MinMax": (CalibrationMethod.MinMax, {}),
    "Percentile": (CalibrationMethod.Percentile, {"CalibPercentile": 99.999}),
    "Entropy": (CalibrationMethod.Entropy, {}),
}


class Images(CalibrationDataReader):
    def __init__(self, name, values):
        self.rows = iter([{name: row[None]} for row in values])

    def get_next(self):
        return next(self.rows, None)


def goldcrest(program, *arguments):
    run = subprocess.run([program, "--json", *map(str, arguments)], check=True, stdout=subprocess.PIPE)
    return json.loads(run.stdout)


def peer(model, inputs, out, calibrator):
    """Quantizes as the documentation recommends: pre-processing, then QDQ with int8, per channel."""
    method, options = CALIBRATORS[calibrator]
    prepared = out.with_suffix(".prepared.onnx")
    quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
    name = onnx.load(model).graph.input[0].name
    quantize_static(
        str(prepared),
        str(out),
        Images(name, inputs),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=method,
        extra_options=options,
    )
    quantized = onnx.load(out)
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(onnx.load(model).metadata_props)
    onnx.save(quantized, out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("goldcrest")
    parser.add_argument("data")
    parser.add_argument("out", type=Path)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    arguments = parser.parse_args()
    work = arguments.out.parent / "quantize"
    work.mkdir(parents=True, exist_ok=True)
    rows, table = [], []
    for model in arguments.models:
        network = model.parent.name if model.stem == "model" else model.stem
        judge = lambda file: goldcrest(
            arguments.goldcrest, "eval", file, "--against", model, "--data", arguments.data,
            "--count", arguments.count,
        )
        exact = goldcrest(
            arguments.goldcrest, "eval", model, "--data", arguments.data, "--count", arguments.count
        )["accuracy"]
        own, saved = work / f"{network}.int8.onnx", work / f"{network}.npy"
        made = goldcrest(
            arguments.goldcrest, "quantize", model, "--data", arguments.data, "--out", own,
            "--save-inputs", saved,
        )
        results = {"Goldcrest": (judge(own), made["seconds"])}
        inputs = numpy.load(saved)
        for calibrator in CALIBRATORS:
            out, started = work / f"{network}.{calibrator.lower()}.onnx", time.monotonic()
            peer(model, inputs, out, calibrator)
            results[f"ONNX Runtime {calibrator}"] = (judge(out), time.monotonic() - started)
        for name, (found, seconds) in results.items():
            drop = 100 * (exact - found["accuracy"])
            table.append(
                f"{network:10} {name:26} drop {drop:+.2f} points   agreement {100 * found['agreement']:.2f} %"
                f"   logit error {found['logit_mse']:.5f}   {seconds:.1f} s"
            )
            print(table[-1], flush=True)
        ours = results.pop("Goldcrest")[0]
        peers = [found for found, _ in results.values()]
        lower = lambda key: min(found[key] for found in peers)
        accuracy, agreement = (max(found[key] for found in peers) for key in ("accuracy", "agreement"))
        pairs = [
            ("accuracy", ours["accuracy"], accuracy, ours["accuracy"] / accuracy, "share"),
            ("disagreement", 1 - ours["agreement"], 1 - agreement, None, "share"),
            ("logit error", ours["logit_mse"], lower("logit_mse"), None, "mean square"),
        ]
        for what, mine, best, ratio, unit in pairs:
            ratio = best / max(mine, 1e-12) if ratio is None else ratio
            rows.append({"name": f"{network} {what}", "ours": mine, "peer": best, "ratio": ratio, "unit": unit})
    arguments.out.write_text(json.dumps({"float_images": arguments.count, "rows": rows}, indent=1) + "\n")
    for row in rows:
        print(f"{row['name']:28} ours {row['ours']:.5f}   best peer {row['peer']:.5f}   ratio {row['ratio']:.2f}")


if __name__ == "__main__":
    main()
