"""loeweX/Forward-Forward with its own model and optimiser, on batches from memory.

It is trained as its main.py does, without weight decay. Labels are written into a whole batch at
once, which is faster than its data loader.
"""

# pyright: reportMissingImports=false

import sys
from types import ModuleType, SimpleNamespace

import torch
from serve import batches, images, serve, task

t = task()
sys.path.insert(0, t["clone"])
for absent, names in {
    "torchvision": (),
    "hydra": (),
    "hydra.utils": ("get_original_cwd",),
    "omegaconf": ("OmegaConf",),
}.items():
    # its utils import them for the data and the command line, neither of which is used
    sys.modules[absent] = ModuleType(absent)
    for name in names:
        setattr(sys.modules[absent], name, None)
from src.utils import get_model_and_optimizer  # noqa: E402

device = "cuda" if torch.cuda.is_available() else "cpu"
inputs, *hidden, classes = t["sizes"]
x, labels = (torch.from_numpy(a).to(device) for a in images(inputs, classes))
rows = batches(t["batch"])
opt = SimpleNamespace(
    device=device,
    input=SimpleNamespace(batch_size=t["batch"]),
    model=SimpleNamespace(
        peer_normalization=t["hyperparameters"]["peers"],
        momentum=0.9,
        hidden_dim=hidden[0],
        num_layers=len(hidden),
    ),
    training=SimpleNamespace(
        learning_rate=1e-3,
        weight_decay=0.0,
        momentum=0.9,
        downstream_learning_rate=1e-2,
        downstream_weight_decay=0.0,
    ),
)
model, optimizer = get_model_and_optimizer(opt)


def overlaid(images, first):
    images = images.clone()
    images[:, :classes] = first
    return images


def train(steps: int) -> None:
    for _ in range(steps):
        batch = torch.from_numpy(next(rows)).to(device)
        image, label = x[batch], labels[batch]
        wrong = (label + torch.randint(1, classes, label.shape, device=device)) % classes
        pos, neg = (
            overlaid(image, torch.nn.functional.one_hot(y, classes).float()) for y in (label, wrong)
        )
        shown = {
            "pos_images": pos,
            "neg_images": neg,
            "neutral_sample": overlaid(image, 1 / classes),
        }
        optimizer.zero_grad()
        model(shown, {"class_labels": label})["Loss"].backward()
        optimizer.step()
    if device == "cuda":
        torch.cuda.synchronize()


serve(train, "gpu" if device == "cuda" else device, "torch")
