"""PyTorch as its tutorials train: a Sequential, Adam and a loop.

The images are in one tensor on the device, with no loader.
"""

# pyright: reportMissingImports=false, reportArgumentType=false

import torch
from models import model_of
from serve import batches, images, serve, task
from torch import nn

t = task()
device = "cuda" if torch.cuda.is_available() else "cpu"
x, labels = (torch.from_numpy(a).to(device) for a in images(t["sizes"][0], t["sizes"][-1]))
rows = batches(t["batch"])
criterion = nn.CrossEntropyLoss()


def made():
    model = model_of(t).to(device)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=1e-3, fused=True if t["form"] == "fused Adam" else None
    )
    return torch.compile(model) if t["form"] == "compile" else model, optimizer


seeds = [made() for _ in range(t.get("seeds", 1))]


def train(steps: int) -> None:
    for model, optimizer in seeds:
        for _ in range(steps):
            batch = torch.from_numpy(next(rows)).to(device)
            loss = criterion(model(x[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    if device == "cuda":
        torch.cuda.synchronize()


serve(train, "gpu" if device == "cuda" else device, "torch")
