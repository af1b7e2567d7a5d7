"""The nets of PyTorch's workers: plain Sequentials, as its tutorials write them."""

# pyright: reportMissingImports=false

from itertools import pairwise

from torch import nn


def model_of(task: dict) -> nn.Sequential:
    """A perceptron of the task's sizes with tanh units; LeNet-5 where it has images of 32x32 pixels and one channel."""
    pairs = list(pairwise([400, 120, 84, task["sizes"][-1]] if "image" in task else task["sizes"]))
    dense = [f for m, n in pairs[:-1] for f in (nn.Linear(m, n), nn.Tanh())] + [nn.Linear(*pairs[-1])]
    if "image" not in task:
        return nn.Sequential(*dense)
    convolutions = [f for m, n in ((1, 6), (6, 16)) for f in (nn.Conv2d(m, n, 5), nn.Tanh(), nn.MaxPool2d(2))]
    return nn.Sequential(nn.Unflatten(1, (task["image"][-1], *task["image"][:-1])), *convolutions, nn.Flatten(), *dense)
