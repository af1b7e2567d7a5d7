"""Layers whose synapses end on one dendrite of neurons with two compartments.

    basal(layer)     current = [a, 0]        apical(layer)    current = [0, a]
a: [B, n], what the synapses of `layer` give. Currents are [B, n, 2], as
`bioplaus.neurons.two_compartment` takes them. Inputs drive basal dendrites, and the layer's own
output the apical ones:

    recurrent(basal(dense(100, two_compartment())), apical(dense(100)))
"""

import jax.numpy as jnp

from bioplaus.checks import of_one_moment
from bioplaus.types import Array, Layer


def basal(layer: Layer) -> Layer:
    """The layer with its synapses on the basal dendrites: current [B, n, 2], 0 at the apical ones.

    Its neurons are those of `layer`. Raises ValueError for a layer over time.
    """
    return _on_dendrite("basal", layer, 0)


def apical(layer: Layer) -> Layer:
    """The layer with its synapses on the apical dendrites: current [B, n, 2], 0 at the basal ones.

    Its neurons are those of `layer`. Raises ValueError for a layer over time.
    """
    return _on_dendrite("apical", layer, 1)


def _on_dendrite(name: str, layer: Layer, which: int) -> Layer:
    of_one_moment(name, layer)

    def placed(current: Array) -> Array:
        other = jnp.zeros_like(current)
        return jnp.stack([current, other] if which == 0 else [other, current], -1)

    def synapse(params, state, x, key):
        state, current = layer.synapse(params, state, x, key)
        return state, placed(current)

    def credit(params, feedback, state, x, key, signal):
        return layer.credit(params, feedback, state, x, key, signal[..., which])

    at, given = layer.at, layer.given
    return layer._replace(
        synapse=synapse,
        credit=credit,
        off=layer.off and _on_dendrite(name, layer.off, which),
        at=at and (lambda dt: _on_dendrite(name, at(dt), which)),
        given=given and (lambda context: _on_dendrite(name, given(context), which)),
    )
