"""The nets of PyTorch's workers: plain Sequentials, as its tutorials write them, and a ResNet."""

# pyright: reportMissingImports=false

from itertools import pairwise

import torch
from torch import nn


class Residual(nn.Module):
    """relu(conv(relu(conv(x))) + x), a residual block.

    With a stride, the second x is every other pixel of the first, and new channels are 0.
    """

    def __init__(self, channels: int, n: int, stride: int):
        super().__init__()
        self.first, self.second = nn.Conv2d(channels, n, 3, stride, 1), nn.Conv2d(n, n, 3, 1, 1)
        self.more, self.stride = n - channels, stride

    def forward(self, x):
        past = nn.functional.pad(
            x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more)
        )
        return torch.relu(self.second(torch.relu(self.first(x))) + past)


def resnet(task: dict) -> nn.Sequential:
    """ResNet-20 without normalisation."""
    stem = (
        nn.Unflatten(1, (task["image"][-1], *task["image"][:-1])),
        nn.Conv2d(3, 16, 3, 1, 1),
        nn.ReLU(),
    )
    blocks = [Residual(*shape) for shape in task["blocks"]]
    return nn.Sequential(
        *stem, *blocks, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, task["sizes"][-1])
    )


def model_of(task: dict) -> nn.Sequential:
    """A ResNet if the task has blocks, LeNet-5 if it has images, else an MLP of tanh units."""
    if "blocks" in task:
        return resnet(task)
    pairs = list(pairwise([400, 120, 84, task["sizes"][-1]] if "image" in task else task["sizes"]))
    dense = [f for m, n in pairs[:-1] for f in (nn.Linear(m, n), nn.Tanh())] + [
        nn.Linear(*pairs[-1])
    ]
    if "image" not in task:
        return nn.Sequential(*dense)
    convolutions = [
        f for m, n in ((1, 6), (6, 16)) for f in (nn.Conv2d(m, n, 5), nn.Tanh(), nn.MaxPool2d(2))
    ]
    return nn.Sequential(
        nn.Unflatten(1, (task["image"][-1], *task["image"][:-1])),
        *convolutions,
        nn.Flatten(),
        *dense,
    )
