"""Layers whose parameters no rule changes: lateral inhibition, reservoirs."""

import jax
import jax.numpy as jnp

from bioplaus.checks import of_one_moment
from bioplaus.types import Layer


def fixed(layer: Layer) -> Layer:
    """The layer with parameters that do not learn: their gradient is 0 under every rule that learns
    by `Layer.credit` or by derivatives. Errors cross the layer on their way back as before.

    Lateral inhibition, where each unit of a layer sends -5 to all others:

        inhibit = lambda key, shape, dtype: 5 * (jnp.eye(*shape, dtype=dtype) - 1)
        recurrent(dense(100, lif()), fixed(dense(100, weights=inhibit)))

    Rules that try weights at random (fg, wp) and weight decay move all parameters; keep these from
    them by `optax.masked`. Raises ValueError for a layer over time: wrap the moment,
    `over_time(fixed(layer))`.
    """
    of_one_moment("fixed", layer)

    def synapse(params, state, x, key):
        return layer.synapse(jax.lax.stop_gradient(params), state, x, key)

    def credit(params, feedback, state, x, key, signal):
        grads, below = layer.credit(params, feedback, state, x, key, signal)
        return jax.tree.map(jnp.zeros_like, grads), below

    at, given = layer.at, layer.given
    return layer._replace(
        synapse=synapse,
        credit=credit,
        off=layer.off and fixed(layer.off),
        at=at and (lambda dt: fixed(at(dt))),
        given=given and (lambda context: fixed(given(context))),
    )
