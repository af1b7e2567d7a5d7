"""Ensembles: populations of neurons that represent a vector x in a ball.

J = gain * (E x / radius) + bias
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.hyper import Count, Positive, declared
from bioplaus.nef.lif import NeuronType, lif
from bioplaus.types import Array, Key


class Ensemble(NamedTuple):
    """A population of n neurons that represents vectors of d dimensions.

    encoders: E, each of length 1 [n, d]. gain, bias: [n]. radius: of the ball in which x lies, [].
    points: where decoders are fitted [m, d]. voltages: at the start [n], in [0, 1): from zeros all
    neurons would fire in step.
    """

    encoders: Array
    gain: Array
    bias: Array
    radius: ArrayLike
    points: Array
    voltages: Array
    neurons: NeuronType

    @property
    def size(self) -> int:
        """n, the number of neurons."""
        return self.encoders.shape[0]

    @property
    def dimensions(self) -> int:
        """d, the length of the vectors that it represents."""
        return self.encoders.shape[1]


@declared
def ensemble(
    key: Key,
    n: Count,
    d: Count,
    *,
    radius: Positive = 1.0,
    max_rates: tuple[float, float] = (200.0, 400.0),
    intercepts: tuple[float, float] = (-1.0, 0.9),
    encoders: ArrayLike | None = None,
    points: ArrayLike | None = None,
    neurons: NeuronType | None = None,
) -> Ensemble:
    """A random ensemble, with nengo's defaults.

    max_rates: Hz, at E x / radius = 1, drawn uniformly from this range. intercepts: E x / radius
    from which a neuron fires, drawn alike. encoders: [n, d], of which only the directions count;
    None draws them uniformly. points: [m, d]; None draws max(2 n, clip(500 d, 750, 2500)) of them
    uniformly from the ball. neurons: None is `lif()`.

        nef.ensemble(jax.random.key(0), 100, 2, radius=1.5)

    Raises ValueError for intercepts outside [-1, 1), for rates that are not above 0, and for
    encoders or points of other shapes.
    """
    _check_range("intercepts", intercepts, -1.0, 1.0)
    _check_range("max_rates", max_rates, 0.0, jnp.inf)
    k = jax.random.split(key, 5)
    neurons = lif() if neurons is None else neurons
    gain, bias = neurons.gain_bias(
        jax.random.uniform(k[0], (n,), minval=max_rates[0], maxval=max_rates[1]),
        jax.random.uniform(k[1], (n,), minval=intercepts[0], maxval=intercepts[1]),
    )
    e = jax.random.normal(k[2], (n, d)) if encoders is None else jnp.asarray(encoders, gain.dtype)
    if points is None:
        points = radius * ball(k[3], max(2 * n, min(max(500 * d, 750), 2500)), d)
    points = jnp.asarray(points, gain.dtype)
    if e.shape != (n, d) or points.ndim != 2 or points.shape[1] != d:
        raise ValueError(
            f"ensemble: got encoders {e.shape} and points {points.shape}; expected [n, d] = "
            f"{(n, d)} and [m, d] with d = {d}"
        )
    e = e / jnp.linalg.norm(e, axis=1, keepdims=True)
    return Ensemble(e, gain, bias, radius, points, jax.random.uniform(k[4], (n,)), neurons)


def current(ensemble: Ensemble, x: Array) -> Array:
    """J [..., n], what the vectors x [..., d] send into the neurons."""
    return x @ scaled_encoders(ensemble).T + ensemble.bias


def rates(ensemble: Ensemble, x: Array) -> Array:
    """Steady rates [..., n] in Hz at the vectors x [..., d]: the tuning curves."""
    return ensemble.neurons.rates(current(ensemble, x))


def scaled_encoders(ensemble: Ensemble) -> Array:
    """gain * E / radius, [n, d]."""
    return ensemble.encoders * (ensemble.gain / ensemble.radius)[:, None]


def ball(key: Key, m: int, d: int) -> Array:
    """m points drawn uniformly from the unit ball of d dimensions, [m, d]."""
    k = jax.random.split(key)
    x = jax.random.normal(k[0], (m, d))
    r = jax.random.uniform(k[1], (m, 1)) ** (1 / d)
    return x / jnp.linalg.norm(x, axis=1, keepdims=True) * r


def _check_range(name: str, values: Sequence[float], low: float, high: float) -> None:
    if not (len(values) == 2 and low <= values[0] <= values[1] <= high and values[0] < high):
        raise ValueError(
            f"ensemble: {name} is {values}; expected (lowest, highest) between {low} and {high}"
        )
