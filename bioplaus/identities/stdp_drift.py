"""Spike-timing-dependent plasticity between independent trains of spikes, whose mean is known."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.common import Check, Problem, large, small
from bioplaus.identities.stdp_by_hand import Curve, drift
from bioplaus.layers import after, dense, mean_over_time, over_time
from bioplaus.losses import cross_entropy
from bioplaus.neurons import lif
from bioplaus.neurons.resets import RESETS
from bioplaus.types import Batch, RuleFactory

RATES = ((20.0, 20.0), (50.0, 20.0), (20.0, 50.0))  # Hz, of what arrives and of what is sent
DT, MOMENTS, EXAMPLES, UNITS = 2.0, 30, 64, 100
CHANCES = np.asarray(RATES) * DT / 1000
N = len(RATES) * UNITS


def trains() -> Problem:
    """Unit i sends just what input N + i sends, and hears nothing of input i, which its weights
    learn from. Both have the rates RATES[i // UNITS].
    """
    draw = np.random.default_rng(11)
    net = (
        over_time(dense(N, lif(0.01, reset=RESETS["to_zero"])), dt=DT),
        after(mean_over_time, dense(2)),
    )
    p = np.repeat(CHANCES, UNITS, axis=0).T.ravel()
    x = jnp.asarray(draw.random((EXAMPLES, MOMENTS, 2 * N)) < p, float)
    w = np.concatenate([np.zeros((N, N)), 2 * np.eye(N)])
    params = (
        {"w": jnp.asarray(w), "b": jnp.zeros(N)},
        {"w": jnp.zeros((N, 2)), "b": jnp.zeros(2)},
    )
    y = jnp.asarray(np.eye(2)[np.arange(EXAMPLES) % 2])
    return Problem(net, cross_entropy, params, Batch(x, y), jax.random.key(0))


def drift_checks(
    key: str, factory: RuleFactory, curves: dict[str, dict[str, float]]
) -> Iterator[Check]:
    """The mean of UNITS synapses at each pair of rates. curves: numbers of the rule, by name."""
    p = trains()

    @jax.jit
    def change(params, batch, numbers):
        rule = factory(p.net, p.loss, **numbers)
        state = rule.init(p.key, params, batch)
        return -jnp.diagonal(rule.grad(params, state, batch, p.key)[0][0]["w"])

    for name, numbers in curves.items():
        curve = Curve(*numbers.values(), dt=DT)
        found = np.asarray(change(p.params, p.batch, numbers)).reshape(-1, UNITS)
        errors = found.std(1, ddof=1) / np.sqrt(UNITS)
        rest, stationary = (
            np.abs(found.mean(1) - [drift(a, b, MOMENTS, curve, long) for a, b in CHANCES]) / errors
            for long in (False, True)
        )
        which = f"{name}: drift of independent trains"
        yield small(key, f"{which} from rest, largest |z|", rest.max(), 3.0)
        yield large(key, f"{which}, as if stationary, smallest |z|", stationary.min(), 3.0)
