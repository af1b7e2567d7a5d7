"""energy-based-learning with its own classes: a deep Hopfield net with centred nudges.

It is wired as in its papers/ebl-algorithms. Its Trainer is given batches from memory. Its Optimizer
is torch's SGD with momentum.
"""

# pyright: reportMissingImports=false

import sys
from itertools import islice

import torch
from serve import batches, images, serve, task

t = task()
sys.path.insert(0, t["clone"])
from model.function.cost import SquaredError  # noqa: E402
from model.function.network import Network  # noqa: E402
from model.hopfield.minimizer import FixedPointMinimizer  # noqa: E402
from model.hopfield.network import DeepHopfieldEnergy  # noqa: E402
from training.epoch import Trainer  # noqa: E402
from training.sgd import AugmentedFunction, EquilibriumProp  # noqa: E402

device = "cuda" if torch.cuda.is_available() else "cpu"
x, labels = (torch.from_numpy(a).to(device) for a in images(t["sizes"][0], t["sizes"][-1]))
shown = ((x[rows], labels[rows]) for rows in map(torch.from_numpy, batches(t["batch"])))
own = t["hyperparameters"]
energy = DeepHopfieldEnergy([(n,) for n in t["sizes"]], [0.5] * (len(t["sizes"]) - 1))
energy.set_device(device)
network = Network(energy)
cost = SquaredError(energy.layers()[-1])
augmented = AugmentedFunction(energy, cost)
free = FixedPointMinimizer(energy, network.free_layers(), own["free_steps"])
nudged = FixedPointMinimizer(augmented, network.free_layers(), own["nudged_steps"])
estimator = EquilibriumProp(
    energy.params(), energy.layers(), augmented, cost, nudged, "centered", own["beta"]
)
optimizer = torch.optim.SGD([param.state for param in energy.params()], lr=1e-3, momentum=0.9)


def train(steps: int) -> None:
    Trainer(network, cost, energy.params(), islice(shown, steps), estimator, optimizer, free).run()
    if device == "cuda":
        torch.cuda.synchronize()


serve(train, "gpu" if device == "cuda" else device, "torch")
