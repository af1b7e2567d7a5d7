"""snnTorch as its tutorials train: a loop over moments of its Leaky neurons.

The product of the inputs is taken ahead of the loop, which is faster.
"""

# pyright: reportMissingImports=false

import math
import time

import snntorch
import torch
from serve import batches, serve, spikes, task
from snntorch import surrogate
from torch import nn

t = task()
torch.set_num_threads(1)
inputs, hidden, classes = t["sizes"]
x, labels = map(torch.from_numpy, spikes(t["moments"], inputs, classes, time_first=True))
rows, beta = batches(t["batch"]), math.exp(-1 / 20)
first, readout = nn.Linear(inputs, hidden), nn.Linear(hidden, classes)
lif = snntorch.Leaky(beta, spike_grad=surrogate.fast_sigmoid(25))
leaky = snntorch.Leaky(beta, reset_mechanism="none")
optimizer = torch.optim.Adam([*first.parameters(), *readout.parameters()], lr=1e-3)


def outputs(x):
    """[T, B, classes], the potentials of the readout."""
    hidden_v, v, seen = lif.reset_mem(), leaky.reset_mem(), []
    for current in first(x):
        z, hidden_v = lif(current, hidden_v)
        _, v = leaky(readout(z), v)
        seen.append(v)
    return torch.stack(seen)


def train(steps: int) -> None:
    for _ in range(steps):
        batch = torch.from_numpy(next(rows))
        out, y = outputs(x[:, batch]), labels[batch].repeat(t["moments"])
        loss = nn.functional.cross_entropy(out.flatten(0, 1), y, reduction="sum") / len(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


serve(train, "cpu", "snntorch", "torch", clock=time.process_time)
