# pyright: reportMissingImports=false
"""Compute NeuroBench's values for test_neurobench.py; needs torch and neurobench.

The test suite does not run this file:

    pip install neurobench==2.3.0 snntorch==1.0.0 && python
        tests/measure/golden/make_neurobench.py > tests/measure/golden/neurobench.json

Weights and inputs come from numpy's generator, which the test calls in the same way (`case`,
`spiking_case`).
"""

import json
import sys

import numpy as np


def case(name: str) -> tuple[list[np.ndarray], np.ndarray]:
    """The weights [n_out, n_in] or [c_out, c_in, k, k] and the inputs of a case, float32."""
    rng = np.random.default_rng(0)
    if name == "document":  # the example in NeuroBench's documentation
        return [np.array([[1.3, 0, -3.2], [0, 1.2, -5.1], [-1.1, 2.7, 0]], np.float32)], np.array(
            [[0, 1.3, -1]], np.float32
        )
    if name == "conv":  # 2 x 8 x 8 -> 3 x 8 x 8 (3 x 3, padded), ReLU, 5 answers
        shapes, x = [(3, 2, 3, 3), (5, 192)], rng.normal(size=(20, 2, 8, 8))
    else:
        shapes, x = [(30, 20), (30, 30), (5, 30)], rng.normal(size=(200, 20))
    weights = [(rng.normal(size=s) * (rng.random(s) < 0.8)).astype(np.float32) for s in shapes]
    return weights, (x > 0 if name == "binary" else x).astype(np.float32)


BETA = 0.9  # decay of the potential in a moment, of the spiking cases
SPIKING = ("spikes", "recurrent spikes", "currents")


def spiking_case(name: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The weights [n_out, n_in] of two layers and a readout, and sequences [B, T, n], float32."""
    rng = np.random.default_rng(1)
    sizes = {"first": (12, 10), "back": (12, 12), "second": (8, 12), "readout": (5, 8)}
    weights = {
        part: (rng.normal(size=s) * (rng.random(s) < 0.8) * 0.5).astype(np.float32)
        for part, s in sizes.items()
    }
    x = rng.random((6, 9, 10))
    x = np.where(rng.random(x.shape) < 0.6, x, 0) if name == "currents" else x < 0.3
    return weights, x.astype(np.float32)


def spiking() -> dict[str, dict]:
    """NeuroBench's values of a net of snnTorch's neurons, called moment by moment."""
    import snntorch as snn
    import torch
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.static import ConnectionSparsity, Footprint
    from neurobench.metrics.workload import ActivationSparsity, MembraneUpdates, SynapticOperations
    from neurobench.models import SNNTorchModel
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    class Net(nn.Module):
        def __init__(self, weights: dict[str, np.ndarray], recurrent: bool):
            super().__init__()
            for part, w in weights.items():
                if part != "back" or recurrent:
                    linear = nn.Linear(w.shape[1], w.shape[0], bias=True)
                    with torch.no_grad():
                        linear.weight.copy_(torch.tensor(w))
                        linear.bias.zero_()
                    self.add_module(part, linear)
            self.one = snn.Leaky(beta=BETA, init_hidden=True)
            self.two = snn.Leaky(beta=BETA, init_hidden=True)
            self.recurrent = recurrent

        def reset(self) -> None:
            self.one.reset_mem()
            self.two.reset_mem()
            self.z = None

        def forward(self, x):
            current = self.first(x)
            if self.recurrent:
                z = torch.zeros_like(current) if self.z is None else self.z
                current = current + self.back(z)
            self.z = self.one(current)
            return self.readout(self.two(self.second(self.z))), None

    found = {}
    for name in SPIKING:
        weights, x = spiking_case(name)
        data = TensorDataset(torch.tensor(x), torch.zeros(len(x), dtype=torch.long))
        benchmark = Benchmark(
            SNNTorchModel(Net(weights, "recurrent" in name)),
            DataLoader(data, batch_size=len(x)),
            [],
            [],
            [
                [Footprint, ConnectionSparsity],
                [ActivationSparsity, MembraneUpdates, SynapticOperations],
            ],
        )
        found[name] = benchmark.run(quiet=True)
    return found


def main() -> None:
    import torch
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.static import ConnectionSparsity, Footprint
    from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
    from neurobench.models import TorchModel
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    found = {}
    for name in ("document", "relu", "binary", "conv"):
        weights, x = case(name)
        modules: list[nn.Module] = []
        for i, w in enumerate(weights):
            if w.ndim == 4:
                modules.append(nn.Conv2d(w.shape[1], w.shape[0], w.shape[2], padding=1, bias=True))
            else:
                modules += [nn.Flatten()] if w.shape[1] == 192 else []
                modules.append(nn.Linear(w.shape[1], w.shape[0], bias=True))
            layer = modules[-1]
            with torch.no_grad():
                layer.weight.copy_(torch.tensor(w))  # type: ignore[union-attr]
                layer.bias.zero_()  # type: ignore[union-attr]
            modules += [nn.ReLU()] if i < len(weights) - 1 else []
        data = TensorDataset(torch.tensor(x), torch.zeros(len(x), dtype=torch.long))
        benchmark = Benchmark(
            TorchModel(nn.Sequential(*modules)),
            DataLoader(data, batch_size=len(x)),
            [],
            [],
            [[Footprint, ConnectionSparsity], [ActivationSparsity, SynapticOperations]],
        )
        found[name] = benchmark.run(quiet=True)
    json.dump(found | spiking(), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
