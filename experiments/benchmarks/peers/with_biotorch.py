"""BioTorch as its quick tour trains: a PyTorch model converted by BioModule, in a plain loop."""

# pyright: reportMissingImports=false, reportArgumentType=false

import torch
from biotorch.module.biomodule import BioModule
from models import model_of
from serve import batches, images, serve, task
from torch import nn

t = task()
device = "cuda" if torch.cuda.is_available() else "cpu"
x, labels = (torch.from_numpy(a).to(device) for a in images(t["sizes"][0], t["sizes"][-1]))
rows = batches(t["batch"])
model = BioModule(model_of(t), mode=t["form"], output_dim=t["sizes"][-1]).to(device)
optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
criterion = nn.CrossEntropyLoss()


def train(steps: int) -> None:
    for _ in range(steps):
        batch = torch.from_numpy(next(rows)).to(device)
        optimizer.zero_grad()
        output = model(x[batch], targets=labels[batch], loss_function=criterion)
        loss = criterion(output, labels[batch])
        loss.backward()
        optimizer.step()
    if device == "cuda":
        torch.cuda.synchronize()


serve(train, "gpu" if device == "cuda" else device, "biotorch", "torch")
