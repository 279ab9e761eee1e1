"""One side of train.py: a PyTorch training of a network, as fast as plain PyTorch goes.

Channels last, fused optimizer, batches made ahead by a thread of vectorized operations. Prints one JSON object.
"""

import json
import queue
import sys
import threading
import time

import numpy
import torch
import torch.nn as nn
import torch.nn.functional as functional


def block(inputs, outputs, kernel, stride=1, groups=1, relu=True):
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


def lenet5():
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(inplace=True), nn.Linear(120, 84), nn.ReLU(inplace=True), nn.Linear(84, 10),
    )  # fmt: skip


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(block(inputs, outputs, 3, stride), block(outputs, outputs, 3, relu=False))
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x):
        return functional.relu(self.body(x) + self.shortcut(x), inplace=True)


def resnet8():
    body = [block(3, 16, 3), Residual(16, 16, 1), Residual(16, 32, 2), Residual(32, 64, 2)]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def mobilenet():
    layers, inputs = [block(3, 8, 3)], 8
    for outputs, stride, repeat in [(16, 1, 1), (32, 2, 2), (64, 2, 2), (128, 2, 6), (256, 2, 2)]:
        for number in range(repeat):
            step = stride if number == 0 else 1
            layers += [block(inputs, inputs, 3, step, groups=inputs), block(inputs, outputs, 1)]
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


NETWORKS = {"lenet5": lenet5, "resnet8": resnet8, "mobilenetv1-025": mobilenet}


def batches(images, labels, size):
    """Shuffled batches, flipped and cropped at random, made by a thread ahead of their use."""
    ready = queue.Queue(4)
    padded = functional.pad(images, (4, 4, 4, 4))
    rows = torch.arange(32)

    def make():
        order = torch.randperm(len(images))
        for chosen in order.split(size):
            count = len(chosen)
            down, right = torch.randint(0, 9, (2, count))
            columns = rows.expand(count, 32)
            columns = torch.where(torch.rand(count, 1) < 0.5, 31 - columns, columns) + right[:, None]
            down = (rows.expand(count, 32) + down[:, None])[:, :, None]
            # Channels last: [N, rows, columns, channels] in memory.
            pixels = padded[chosen[:, None, None], :, down, columns[:, None, :]]
            batch = pixels.float().mul_(2 / 255).sub_(1).permute(0, 3, 1, 2)
            ready.put((batch, labels[chosen]))
        ready.put(None)

    threading.Thread(target=make, daemon=True).start()
    return iter(ready.get, None)


def main():
    network, folder, size, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(threads)
    records = numpy.fromfile(f"{folder}/data_batch_1.bin", numpy.uint8).reshape(-1, 3073)
    images = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy())
    labels = torch.from_numpy(records[:, 0].astype(numpy.int64))
    model = NETWORKS[network]().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, nesterov=True, fused=True)
    loss_of = nn.CrossEntropyLoss()
    for _ in range(2):
        wall, processor, seen = time.perf_counter(), time.process_time(), 0
        for batch, target in batches(images, labels, size):
            loss = loss_of(model(batch), target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            seen += len(target)
        loss.item()
        rates = {"wall": seen / (time.perf_counter() - wall), "processor": seen / (time.process_time() - processor)}
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
