"""Digits without labels, after Diehl and Cook, 2015: spikes, STDP, inhibition and homeostasis.

    python papers/diehlcook2015/digits.py [--seeds 3] [--examples 10000] [--out results.csv]

400 neurons hear 784 inputs, and inhibit one another, so that few answer to an image. Each learns
what it answers to (STDP), from a fixed sum of weights (synaptic scaling), and is harder to excite
the more it fires (thresholds). One pass over the training examples; then each neuron gets the class
for which it fires most on them, and the classes are compared by the mean rate of their neurons.
README.md has claim and figures. A short run, in less than a minute on one core:

    python papers/diehlcook2015/digits.py --seeds 1 --examples 1000 --neurons 100
"""

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import bioplaus as bp
from bioplaus import projections

MOMENTS, BATCH, RATE = 100, 10, 64.0  # of 1 ms; images; Hz of a white pixel
TOTAL, INHIBITION, THRESHOLD = 78.4, 80.0, 10.0  # in units of the largest weight
STDP: dict[str, Any] = {
    "potentiation": 0.3,
    "depression": 0.01,
    "triplet_potentiation": 0.0,
    "triplet_depression": 0.0,
    "tau_plus": 20.0,
    "tau_minus": 20.0,
}
THETA_PLUS = 0.5  # of the threshold, per spike


ARMS = {
    "stdp": (1.0, THETA_PLUS),
    "stdp, thresholds of 1": (1.0, 0.0),
    "random weights": (0.0, 0.0),
    "random weights, thresholds": (0.0, THETA_PLUS),
}
"""(gate, theta_plus) in the pass over the training images; a gate of 0 leaves the weights alone."""


def scaled(key, shape, dtype):
    """Uniform weights that add up to TOTAL at each neuron."""
    w = jax.random.uniform(key, shape, dtype)
    return w * (TOTAL / w.sum(0))


def inhibition(key, shape, dtype):
    """Each neuron inhibits all others."""
    del key
    return INHIBITION * (jnp.eye(*shape, dtype=dtype) - 1)


def network(neurons: int) -> bp.types.Net:
    """The layer that learns without labels, and a readout, which rules ask for and nobody uses."""
    neuron = bp.lif(tau=100.0, threshold=THRESHOLD, reset=bp.neurons.RESETS["to_zero"])
    lateral = bp.fixed(bp.dense(neurons, weights=inhibition))
    hidden = bp.recurrent(bp.flattened(bp.dense(neurons, neuron, weights=scaled)), lateral)
    net = (hidden, bp.after(bp.mean_over_time, bp.dense(10)))
    return bp.encoders.in_front(net, bp.encoders.poisson(steps=MOMENTS, rate=RATE))


SYNAPSES = optax.chain(optax.sgd(1.0), projections.bounded(0.0, 1.0), projections.normalised(TOTAL))
TX = optax.multi_transform(
    {"learning": SYNAPSES, "still": optax.set_to_zero()},
    ({"in": "learning", "back": "still"}, "still"),
)


def train(net, params, state, gate, theta_plus, batches):
    """One pass."""
    rule = bp.rules.stdp(net, bp.cross_entropy, **STDP, theta_plus=theta_plus)

    def step(carry, at):
        params, state, opt = carry
        x, y, key = at
        grads, state, _ = rule.grad(params, state, bp.Batch(x, y), key, gate)
        updates, opt = TX.update(grads, opt, params)
        return (optax.apply_updates(params, updates), state, opt), None

    return jax.lax.scan(step, (params, state, TX.init(params)), batches)[0][:2]


def spikes(net, params, theta, batches):
    """Of each neuron for each image [images, n]."""
    excitable = bp.with_gain(net, (bp.Gain(1 / (1 + theta[None, None])), bp.Gain()))

    def step(_, at):
        return None, bp.forward(excitable, params, at[0], at[2]).outputs[0].sum(1)

    counts = jax.lax.scan(step, None, batches)[1]
    return counts.reshape(-1, counts.shape[-1])


def voted(counts: np.ndarray, y: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Each neuron has the class for which it fires most on training images. The answer is the class
    whose neurons fire most, on average."""
    label = np.stack([counts[y == c].mean(0) for c in range(10)]).argmax(0)
    votes = [test[:, label == c].mean(1) if c in label else 0 * test[:, 0] for c in range(10)]
    return np.stack(votes, 1).argmax(1)


def in_batches(x, y, key):
    """(x, y, keys), with the axis of batches first; what is left of the last batch is dropped."""
    m = len(x) // BATCH
    batches = [jnp.asarray(a[: m * BATCH]).reshape(m, BATCH, *a.shape[1:]) for a in (x, y)]
    return (*batches, jax.random.split(key, m))


def run(seed: int, examples: int, neurons: int):
    """(arm, measure, value) of each arm, trained and tested."""
    data, net = bp.data.load("mnist"), network(neurons)
    key = jax.random.key(seed)
    chosen = np.random.default_rng(seed).permutation(len(data.train.x))[:examples]
    few, keys = (data.train.x[chosen], data.train.y[chosen]), jax.random.split(key, 3)
    passed, again = in_batches(*few, keys[0]), in_batches(*few, keys[1])
    test = in_batches(data.test.x, data.test.y, keys[2])
    truth = [np.asarray(b[1]).reshape(-1, 10).argmax(1) for b in (again, test)]
    params = bp.init(net, key, passed[0][0])
    rule = bp.rules.stdp(net, bp.cross_entropy)
    state = rule.init(key, params, bp.Batch(passed[0][0], passed[1][0]))
    learn, listen = (jax.jit(f, static_argnums=0) for f in (train, spikes))
    for name, arm in ARMS.items():
        start = time.process_time()
        learned, after = learn(net, params, state, *arm, passed)
        counted, tested = (
            np.asarray(listen(net, learned, after.theta[0], images)) for images in (again, test)
        )
        right = voted(counted, truth[0], tested) == truth[1]
        yield name, "accuracy", right.mean(), "fraction"
        yield name, "accuracy of images 4001 to 10000", right[4000:].mean(), "fraction"
        yield name, "spikes an image", tested.sum(1).mean(), "spikes"
        yield name, "CPU time", time.process_time() - start, "s"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--neurons", type=int, default=400)
    parser.add_argument("--out", type=Path, default=None, help="also write a CSV file")
    args = parser.parse_args()
    rows = []
    for seed in range(args.seeds):
        for arm, measure, value, unit in run(seed, args.examples, args.neurons):
            print(f"seed {seed}  {arm:28}{measure:36}{value:10.4f} {unit}", flush=True)
            rows.append(("mnist", f"lif {args.neurons}", arm, seed, measure, float(value), unit))
            if args.out:
                with args.out.open("w", newline="", encoding="utf-8") as file:
                    head = ("data", "net", "rule", "seed", "measure", "value", "unit")
                    csv.writer(file).writerows([head, *rows])


if __name__ == "__main__":
    main()
