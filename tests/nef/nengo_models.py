"""Small networks of nengo 4.1.0, and what they do, as arrays: the reference of tests/nef.

    python tests/nef/nengo_models.py      # in an environment with nengo 4.1.0: writes golden.npz

Arrays of a case: "ensemble/field" as in `bioplaus.nef.Ensemble`, "trace" [T, k], what its probe
recorded, and what else the case draws.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).with_name("golden.npz")
STEPS = 250
DT = 0.001
T = DT * np.arange(1, STEPS + 1)
N, POINTS = 30, 80
TURN = np.array([[1, -1.2], [1.2, 1]])  # of the oscillator: 1.9 Hz at tau = 0.1 s
ITEMS = np.array([[1.0, 0.5], [-0.5, 1.0], [0.3, -0.8]])
KEYS = np.eye(3)


def wave(t):
    """The input of most cases, between -0.9 and 0.9."""
    return 0.9 * np.sin(2 * np.pi * 4 * t)


def cue(t):
    return 1.0 * (t < 0.1)


def turning(t):
    return [0.7 * np.sin(20 * t), 0.6 * np.cos(14 * t)]


def key_of(t):
    """The first key, then the third with some of the second."""
    return [0.9 * (t < 0.12), 0.2, 0.8 * (t >= 0.12)]


def nengo_models(case: str) -> tuple[Any, dict[str, Any], Any, dict[str, np.ndarray]]:
    """(network, {name: ensemble}, probe, further arrays) of nengo."""
    nengo = importlib.import_module("nengo")
    weights = 1e-3 * np.random.default_rng(0).uniform(size=(N, N))
    more = {"weights": weights} if case in ("oja", "bcm") else {}
    with nengo.Network(seed=7) as net:
        net.config[nengo.Ensemble].n_eval_points = POINTS
        found = globals()[f"_{case}"](nengo, weights)
    return net, found[0], found[1], more


def _channel(nengo, _):
    u = nengo.Node(wave)
    a, b = nengo.Ensemble(N, 1), nengo.Ensemble(N, 1, radius=1.5)
    nengo.Connection(u, a, synapse=None)
    nengo.Connection(a, b)
    return {"a": a, "b": b}, nengo.Probe(b, synapse=0.01)


def _square(nengo, _):
    u = nengo.Node(wave)
    a, b = nengo.Ensemble(N, 1), nengo.Ensemble(N, 1)
    nengo.Connection(u, a, synapse=nengo.Alpha(0.003))
    nengo.Connection(a, b, function=lambda x: x**2, synapse=nengo.Alpha(0.01))
    return {"a": a, "b": b}, nengo.Probe(b, synapse=0.01)


def _adaptive(nengo, _):
    u = nengo.Node(wave)
    a = nengo.Ensemble(N, 1, neuron_type=nengo.AdaptiveLIF(tau_n=0.1))
    b = nengo.Ensemble(N, 1, neuron_type=nengo.LIFRate())
    c = nengo.Ensemble(N, 1, neuron_type=nengo.RectifiedLinear())
    nengo.Connection(u, a, synapse=None)
    nengo.Connection(a, b, synapse=0.02)
    nengo.Connection(b, c, synapse=None)
    return {"a": a, "b": b, "c": c}, nengo.Probe(c)


def _integrator(nengo, _):
    u, a = nengo.Node(cue), nengo.Ensemble(N, 1)
    nengo.Connection(u, a, transform=0.1, synapse=0.1)
    nengo.Connection(a, a, synapse=0.1)
    return {"a": a}, nengo.Probe(a, synapse=0.01)


def _oscillator(nengo, _):
    u, a = nengo.Node(lambda t: [cue(t), 0]), nengo.Ensemble(N, 2)
    nengo.Connection(u, a, synapse=None)
    nengo.Connection(a, a, transform=TURN, synapse=0.1)
    return {"a": a}, nengo.Probe(a, synapse=0.01)


def _pes(nengo, _):
    u, a = nengo.Node(wave), nengo.Ensemble(N, 1)
    out, error = nengo.Node(size_in=1), nengo.Node(size_in=1)
    nengo.Connection(u, a, synapse=None)
    rule = nengo.PES(learning_rate=1e-2)
    c = nengo.Connection(a, out, function=lambda x: 0 * x, synapse=0.01, learning_rule_type=rule)
    nengo.Connection(out, error, synapse=None)
    nengo.Connection(u, error, function=lambda x: -(x**2), synapse=None)
    nengo.Connection(error, c.learning_rule, synapse=None)
    return {"a": a}, nengo.Probe(out)


def _product(nengo, _):
    u = nengo.Node(turning)
    a = nengo.Ensemble(N, 2, radius=1.5)
    out = nengo.Ensemble(N, 1)
    nengo.Connection(u, a, synapse=None)
    nengo.Connection(a, out, function=lambda x: x[0] * x[1])
    return {"a": a, "out": out}, nengo.Probe(out, synapse=0.01)


def _memory(nengo, _):
    u, out = nengo.Node(key_of), nengo.Node(size_in=2)
    ensembles = {}
    for i in range(3):
        e = nengo.Ensemble(
            N,
            1,
            intercepts=nengo.dists.Uniform(0.3, 1),
            encoders=np.ones((N, 1)),
            eval_points=nengo.dists.Uniform(0.3, 1),
        )
        nengo.Connection(u, e, transform=KEYS[i : i + 1], synapse=None)
        v = ITEMS[i][:, None]
        nengo.Connection(e, out, function=lambda x: 1.0 * (x > 0), transform=v, synapse=0.01)
        ensembles[str(i)] = e
    return ensembles, nengo.Probe(out)


def _oja(nengo, weights):
    return _between_neurons(nengo, weights, nengo.Oja(learning_rate=1e-4, beta=0.5))


def _bcm(nengo, weights):
    return _between_neurons(nengo, weights, nengo.BCM(learning_rate=1e-7))


def _between_neurons(nengo, weights, rule):
    u, a, b = nengo.Node(wave), nengo.Ensemble(N, 1), nengo.Ensemble(N, 1)
    nengo.Connection(u, a, synapse=None)
    nengo.Connection(a.neurons, b.neurons, transform=weights, learning_rule_type=rule)
    return {"a": a, "b": b}, nengo.Probe(b, synapse=0.01)


def _voja(nengo, _):
    u, a, b = nengo.Node(turning), nengo.Ensemble(N, 2), nengo.Ensemble(N, 2)
    signal = nengo.Node(lambda t: -1.0 * (t > 0.2))
    nengo.Connection(u, a, synapse=None)
    c = nengo.Connection(a, b, learning_rule_type=nengo.Voja(learning_rate=0.1))
    nengo.Connection(signal, c.learning_rule, synapse=None)
    return {"a": a, "b": b}, nengo.Probe(b, synapse=0.01)


CASES = "channel square adaptive integrator oscillator pes product memory oja bcm voja".split()


def measured(case: str) -> dict[str, np.ndarray]:
    """The arrays of a case, from nengo itself."""
    nengo = importlib.import_module("nengo")
    net, ensembles, probe, arrays = nengo_models(case)
    with nengo.Simulator(net, progress_bar=False, optimize=False) as sim:
        for name, e in ensembles.items():
            built, signals = sim.data[e], sim.model.sig[e.neurons]
            arrays |= {
                f"{name}/encoders": built.encoders,
                f"{name}/gain": built.gain,
                f"{name}/bias": built.bias,
                f"{name}/radius": np.asarray(float(e.radius)),
                f"{name}/points": built.eval_points,
                f"{name}/voltages": signals["voltage"].initial_value
                if "voltage" in signals
                else np.zeros(N),
            }
        sim.run_steps(STEPS)
        return arrays | {"trace": np.array(sim.data[probe])}


def stored(case: str) -> dict[str, np.ndarray]:
    """The arrays of a case, from golden.npz."""
    with np.load(GOLDEN, allow_pickle=False) as file:
        mine = [name for name in file.files if name.startswith(f"{case}/")]
        return {name.removeprefix(f"{case}/"): file[name] for name in mine}


if __name__ == "__main__":
    found = {f"{case}/{name}": a for case in CASES for name, a in measured(case).items()}
    np.savez_compressed(GOLDEN, allow_pickle=False, **found)
    print(GOLDEN, GOLDEN.stat().st_size, "bytes,", len(CASES), "cases")
