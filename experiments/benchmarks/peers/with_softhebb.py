"""The first layer of the SoftHebb repository for CIFAR-10, trained as its engine does.

A pass that learns, then the update; no readout.
"""

# pyright: reportMissingImports=false

import sys

import torch
from serve import batches, images, serve, task

t = task()
sys.path.insert(0, t["clone"])
from hebbconv import HebbSoftConv2d  # noqa: E402

device = "cuda" if torch.cuda.is_available() else "cpu"
h = t["hyperparameters"]
x, _ = images(t["sizes"][0], t["sizes"][-1])
x = torch.from_numpy(x).reshape(-1, *t["image"]).permute(0, 3, 1, 2).contiguous().to(device)
rows = batches(t["batch"])
pace = {
    "lr": 0.08,
    "adaptive": True,
    "nb_epochs": 1,
    "ratio": 1e-4,
    "speed": 7,
    "div": 96,
    "decay": "cosine",
    "power_lr": h["power"],
}
layer = HebbSoftConv2d(
    in_channels=t["image"][-1],
    out_channels=t["channels"],
    lebesgue_p=2,
    kernel_size=5,
    weight_distribution="normal",
    weight_range=0.11,
    pre_triangle=False,
    mask_thsd=0,
    lr_scheduler=pace,
    padding=2,
    t_invert=1 / h["temperature"],
).to(device)
layer.train()


@torch.no_grad()
def train(steps: int) -> None:
    for _ in range(steps):
        layer(x[torch.from_numpy(next(rows)).to(device)])
        layer.update()
    if device == "cuda":
        torch.cuda.synchronize()


serve(train, "gpu" if device == "cuda" else device, "torch")
