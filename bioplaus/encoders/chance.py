"""Encoders by chance: spikes whose rate is the input. Their derivative is that of the mean."""

import jax
import jax.numpy as jnp

from bioplaus.encoders.values import check_real, repeated, straight_through, unit
from bioplaus.hyper import Count, Positive, PositiveProbability, declared
from bioplaus.types import Array, Encoder, Key


@declared
def bernoulli(steps: Count, probability: PositiveProbability = 1.0) -> Encoder:
    """At each of `steps` moments a spike with probability p x, independently.

    The mean is p x, the variance p x (1 - p x). x: [B, ...] from 0 to 1, moments [B, steps, ...].
    probability: p, of a spike in a moment at x = 1. The derivative by x is p, and 0 outside of 0 to
    1. `decode`: the share of the moments with a spike, divided by p, whose variance is
    x (1 - p x) / (p steps).

        in_front(net, bernoulli(steps=25))
    """

    def chance(x: Array) -> Array:
        return unit(x) * probability

    return _by_chance("bernoulli", steps, chance, lambda p: p / probability)


@declared
def poisson(steps: Count, rate: Positive = 100.0) -> Encoder:
    """Spikes of a Poisson process of the rate r x, at `steps` moments of dt ms.

    rate: r in Hz, at x = 1. A moment has one spike at most, as neurons have: it has one if the
    process has one or more events in it, with probability P = 1 - exp(-r x dt / 1000). So the mean
    is P and the variance P (1 - P); as dt -> 0 the number of spikes is Poisson distributed. The
    derivative by x is that of P. `decode`: the rate of the process that has the observed share of
    moments without a spike, divided by r; infinite if each moment has one.

        in_front(net, poisson(steps=25, rate=100.0))
    """

    def build(dt: float) -> Encoder:
        events = rate * (dt / 1000)

        def chance(x: Array) -> Array:
            return -jnp.expm1(-events * unit(x))

        made = _by_chance("poisson", steps, chance, lambda p: -jnp.log1p(-p) / events)
        return made._replace(at=build)

    return build(1.0)


def _by_chance(name: str, steps: int, chance, inverse) -> Encoder:
    """chance: x -> the probability of a spike in a moment. inverse: the way back."""

    def mean(x: Array) -> Array:
        check_real(name, x)
        return repeated(chance(x), steps).astype(x.dtype)

    def draw(x: Array, key: Key) -> Array:
        return jax.random.bernoulli(key, mean(x)).astype(x.dtype)

    def decode(moments: Array) -> Array:
        return inverse(moments.mean(1))

    still = Encoder(lambda x, key: mean(x), decode)
    return Encoder(straight_through(draw, mean), decode, still)
