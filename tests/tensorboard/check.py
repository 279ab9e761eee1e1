"""Reads a run's event files with the real `tensorboard` package and compares them with metrics.jsonl.

    check.py RUN
"""

import json
import pathlib
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run = pathlib.Path(sys.argv[1])
epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
events = EventAccumulator(str(run / "tensorboard"))
events.Reload()
scalars = {
    "loss/train": "train_loss",
    "loss/test": "test_loss",
    "accuracy/train": "train_accuracy",
    "accuracy/test": "test_accuracy",
    "learning_rate": "learning_rate",
    "samples_per_second": "samples_per_second",
}
assert set(scalars) <= set(events.Tags()["scalars"]), events.Tags()
for tag, key in scalars.items():
    read = [(scalar.step, scalar.value) for scalar in events.Scalars(tag)]
    assert [step for step, _ in read] == [epoch["epoch"] for epoch in epochs], (tag, read)
    for (step, value), epoch in zip(read, epochs):
        assert abs(value - epoch[key]) <= 1e-6 * abs(epoch[key]), (tag, step, value, epoch[key])
print(f"{len(epochs)} epochs, {len(scalars)} scalars each: tensorboard reads what metrics.jsonl says")
