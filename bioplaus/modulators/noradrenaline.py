"""Noradrenaline: unexpected uncertainty boosts plasticity and gain.

The boost is phasic: it follows outcomes that leave their usual range.

    z = (S - mu) / sd,    NE = 1 / (1 + exp(z0 - z))
    g = 1 + (boost - 1) NE  if NE > ACh / (0.5 + ACh),  else 1
    a <- (1 + k NE) a  at the next step
    then  var <- (1 - kappa) (var + kappa (S - mu)^2),    mu <- mu + kappa (S - mu),
          ACh <- ACh + kappa (U - ACh)
S: mean surprise of the batch, [];  mu, sd = sqrt(var): its running mean and standard deviation, at
first log C nats (a uniform guess over C classes) and 1;  NE: level of noradrenaline;  z0: the z at
which it is half;  U: mean error of the batch, [];  ACh: its running mean, 1 at first;  g: gate on
plasticity;  a: currents;  k: gain per unit of NE;  kappa: rate of the running means per step. With
boost = 1 / alpha, alpha g = alpha + (1 - alpha) NE: a learning rate that is alpha at rest and
reaches 1 at a change point.

Yu and Dayan, "Uncertainty, Neuromodulation, and Attention", 2005, doi:10.1016/j.neuron.2005.04.026
(ACh sets the threshold of NE). Nassar, Wilson, Heasly, Gold, "An Approximately Bayesian Delta-Rule
Model Explains the Dynamics of Belief Updating in a Changing Environment", 2010 (the rate rises with
the probability of a change point). Departures: a z-score replaces the posterior probability of a
change; the running moments habituate within a few steps, so that there is no refractory period;
plasticity is boosted, and no context is switched. The criterion 0.5 is quoted from a secondary
source.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.hyper import NonNegative, Probability, Real, declared
from bioplaus.types import Array, Gain, Modulator, Signals


class State(NamedTuple):
    """mean: mu; variance: var, both of the surprise. expected: ACh. level: NE. All are []. layers:
    () for each layer.
    """

    mean: Array
    variance: Array
    expected: Array
    level: Array
    layers: tuple[tuple[()], ...]


@declared
def noradrenaline(
    *,
    kappa: Probability = 0.05,
    z0: Real = 3.0,
    boost: NonNegative = 4.0,
    k: NonNegative = 0.5,
    surprise: Callable[[Signals], Array] = lambda signals: signals.surprise,
    expected: Callable[[Signals], Array] = lambda signals: 1.0 - signals.correct,
) -> Modulator:
    """A gate [], 1 at rest and up to `boost` at a change point, and a scale of all currents.
    surprise, expected: the surprise and the error of each example, [B], from the signals.
    """

    def init(key, currents):
        del key
        last = currents[-1]
        mean, one, zero = (jnp.asarray(v, last.dtype) for v in (jnp.log(last.shape[-1]), 1.0, 0.0))
        return State(mean, one, one, zero, ((),) * len(currents))

    def gain(state, context):
        del context
        return tuple(Gain(scale=1.0 + k * state.level) for _ in state.layers)

    def gate(state, signals):
        mean, variance, ach = state.mean, state.variance, state.expected
        deviation = surprise(signals).mean() - mean
        z = deviation / jnp.sqrt(jnp.maximum(variance, jnp.finfo(variance.dtype).tiny))
        ne = jax.nn.sigmoid(z - z0)
        g = jnp.where(ne > ach / (0.5 + ach), 1.0 + (boost - 1.0) * ne, 1.0)
        new = State(
            mean=mean + kappa * deviation,
            variance=(1.0 - kappa) * (variance + kappa * deviation**2),
            expected=ach + kappa * (expected(signals).mean() - ach),
            level=ne,
            layers=state.layers,
        )
        return new, g

    return Modulator(init, gain, gate)
