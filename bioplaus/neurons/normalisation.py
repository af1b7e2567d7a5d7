"""Divisive normalisation: the neurons of a layer divide each other's answers."""

from collections.abc import Callable

import jax.numpy as jnp

from bioplaus.checks import of_neurons
from bioplaus.hyper import Positive, declared
from bioplaus.types import Array, Neuron


def everything(drive: Array) -> Array:
    """The mean of each example over all units, [B, 1, ..., 1]."""
    return drive.mean(tuple(range(1, drive.ndim)), keepdims=True)


@declared
def divisive(
    neuron: Neuron,
    sigma: Positive,
    *,
    exponent: Positive = 1.0,
    pool: Callable[[Array], Array] = everything,
) -> Neuron:
    """h = e^n / (sigma^n + pool(e^n)), where e = max(0, f(a)) is the rectified output of `neuron`.

    sigma: semi-saturation, in the units of e; n: exponent. pool: (e^n, [B, ...] as the current) ->
    what suppresses each unit, broadcasting against it and not negative; by default the mean over
    all units of a layer, positions and channels. A pool over the unit alone, `lambda e: e`, gives
    the Naka-Rushton function, half its maximum at e = sigma.

    Under attention the currents are scaled by A before all this (`bioplaus.modulators.attention`),
    so that a scaled unit also suppresses more. Reynolds and Heeger's model then has both effects of
    attention: where A is wider than stimulus and pool, A cancels but beside sigma, and contrasts
    count as if they were A times larger (contrast gain); where A is narrower than the pool, the
    suppression hardly changes, and answers grow by up to A^n (response gain). See
    papers/reynolds2009.

    Over time each moment is normalised by itself. The output is graded, also that of neurons that
    spike. The mean form of a noisy neuron is the quotient at its mean output, which is not the mean
    of the quotient. Credit is exact: a unit's derivative includes what it does to the others.

    Heeger, "Normalization of cell responses in cat striate cortex", 1992,
    doi:10.1017/S0952523800009640. Carandini and Heeger, "Normalization as a canonical neural
    computation", 2012, doi:10.1038/nrn3136. Reynolds and Heeger, 2009,
    doi:10.1016/j.neuron.2009.01.002. Departure: one sigma, exponent and pool for a layer, none of
    them learned.

        dense(8, divisive(relu(), 0.3))
    """
    of_neurons("divisive", neuron)

    def step(state, current, key):
        state, output = neuron.step(state, current, key)
        drive = jnp.maximum(output, 0.0) ** exponent
        return state, drive / (jnp.asarray(sigma) ** exponent + pool(drive))

    def normalised(inner: Neuron) -> Neuron:
        return divisive(inner, sigma, exponent=exponent, pool=pool)

    quiet, mean, at = neuron.off, neuron.mean, neuron.at
    return Neuron(
        neuron.init,
        step,
        quiet and normalised(quiet),
        mean and normalised(mean),
        at and (lambda dt: normalised(at(dt))),
    )
