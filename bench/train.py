#!/usr/bin/env python3
"""Training throughput and memory: goldcrest against PyTorch, on this machine's processor.

Both train the same network on the same images with the same batch, threads, optimizer and augmentation
(flip, crop by 4 pixels), the data pipeline included. They run alternately, one epoch of steps counted each
time after one that is not; medians are compared. The images are random bytes in CIFAR-10's binary form: speed
does not depend on what they show. Times of the whole machine say little while others use it, so seconds of
processor time are compared too.

Usage: train.py GOLDCREST FOLDER [ROUNDS [THREADS]]. FOLDER keeps PyTorch's environment and the images;
train.json is written beside it.
"""

import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import venv

PYTORCH = "torch==2.15.0"
# Network, batch, images of an epoch.
ROWS = [("lenet5", 64, 10_000), ("resnet8", 128, 5_000), ("mobilenetv1-025", 128, 5_000)]
TEST_IMAGES = 500


def environment(folder):
    """PyTorch in a throw-away environment; returns its interpreter."""
    python = folder / "pytorch" / "bin" / "python"
    ready = folder / "pytorch" / PYTORCH
    if not ready.exists():
        venv.create(folder / "pytorch", with_pip=True, clear=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYTORCH, "numpy"]
        subprocess.run(install, check=True)
        ready.touch()
    return python


def images(folder, count):
    """Random images in CIFAR-10's binary form."""
    path = folder / f"images-{count}"
    if not path.exists():
        draft = folder / "images-draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        numbers = random.Random(1)
        for name, records in [("data_batch_1.bin", count), ("test_batch.bin", TEST_IMAGES)]:
            with open(draft / name, "wb") as file:
                for _ in range(records):
                    file.write(bytes([numbers.randrange(10)]) + numbers.randbytes(3072))
        draft.rename(path)
    return path


def run(command, variables):
    """Runs a command; returns what it printed and its peak resident size in MiB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=variables)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {process.returncode}")
    return output, usage.ru_maxrss / 1024


def ours(goldcrest, folder, network, batch, data, threads):
    out = folder / "run"
    recipe = ["--epochs", "2", "--batch", str(batch), "--momentum", "0.9", "--nesterov", "--augment", "flip,crop=4"]
    _, memory = run(
        [goldcrest, "train", network, "--data", data, "--out", out, "--overwrite", "--threads", str(threads), *recipe],
        os.environ,
    )
    epoch = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
    return {
        "wall": epoch["samples_per_second"],
        "processor": epoch["samples_per_processor_second"],
        "waited": 100 * epoch["waited"],
        "memory": memory,
    }


def theirs(python, network, batch, data, threads):
    script = pathlib.Path(__file__).with_name("train_pytorch.py")
    variables = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    output, memory = run([python, script, network, data, str(batch), str(threads)], variables)
    return {**json.loads(output), "memory": memory}


def main():
    goldcrest, folder = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    rounds, threads = int((sys.argv[3:4] or ["3"])[0]), int((sys.argv[4:5] or ["1"])[0])
    folder.mkdir(parents=True, exist_ok=True)
    python = environment(folder)
    rows = []

    def row(name, ours, peer, unit, less_is_better=False):
        ratio = (peer / ours if less_is_better else ours / peer) if ours else None
        rows.append({"name": name, "ours": round(ours, 2), "peer": round(peer, 2), "ratio": round(ratio, 3), "unit": unit})
        print(f"{name:58} {ours:10.1f} {peer:10.1f} {ratio:7.3f}  {unit}", flush=True)

    print(f"{'':58} {'goldcrest':>10} {'PyTorch':>10}   ratio")
    for network, batch, count in ROWS:
        data = images(folder, count)
        pairs = []
        for _ in range(rounds):
            pairs.append((ours(goldcrest, folder, network, batch, data, threads), theirs(python, network, batch, data, threads)))
        median = lambda side, key: statistics.median(pair[side][key] for pair in pairs)
        name = f"{network}, batch {batch}, {threads} thread{'s' if threads > 1 else ''}"
        row(f"{name}: throughput", median(0, "wall"), median(1, "wall"), "samples/s")
        row(f"{name}: work", median(0, "processor"), median(1, "processor"), "samples/processor second")
        row(f"{name}: peak memory", median(0, "memory"), median(1, "memory"), "MiB", less_is_better=True)
        waited = median(0, "waited")
        rows[-1]["waited_percent"] = round(waited, 2)
        print(f"{name}: {waited:.2f} % of the epoch spent waiting for images")
    (folder.parent / "train.json").write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
