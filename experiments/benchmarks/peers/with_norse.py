"""norse as its tutorials train: its neurons without synaptic currents, lifted over time.

The products are taken of all moments at once.
"""

# pyright: reportMissingImports=false

import time

import norse.torch as snn
import torch
from serve import batches, serve, spikes, task
from torch import nn

t = task()
torch.set_num_threads(1)
inputs, hidden, classes = t["sizes"]
x, labels = map(torch.from_numpy, spikes(t["moments"], inputs, classes, time_first=True))
rows, tau_inverse = batches(t["batch"]), torch.as_tensor(1 / 20e-3)
lif = snn.LIFBoxParameters(tau_mem_inv=tau_inverse, alpha=25.0)
first, readout = nn.Linear(inputs, hidden), nn.Linear(hidden, classes)
fire = snn.Lift(snn.LIFBoxCell(lif))
leak = snn.Lift(snn.LIBoxCell(snn.LIBoxParameters(tau_mem_inv=tau_inverse)))
optimizer = torch.optim.Adam([*first.parameters(), *readout.parameters()], lr=1e-3)


def train(steps: int) -> None:
    for _ in range(steps):
        batch = torch.from_numpy(next(rows))
        z, _ = fire(first(x[:, batch]))
        out, _ = leak(readout(z))
        y = labels[batch].repeat(t["moments"])
        loss = nn.functional.cross_entropy(out.flatten(0, 1), y, reduction="sum") / len(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


serve(train, "cpu", "norse", "torch", clock=time.process_time)
