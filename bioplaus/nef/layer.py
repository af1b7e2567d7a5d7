"""An ensemble as a layer: all rules, noises, modulators, lesions and measures apply to it."""

import jax.numpy as jnp

from bioplaus.layers import settling
from bioplaus.layers.basic import Initializer, real
from bioplaus.local import by_vjp
from bioplaus.nef.ensemble import Ensemble, scaled_encoders
from bioplaus.neurons import rate
from bioplaus.types import Layer


def represented(ensemble: Ensemble, *, weights: Initializer = settling) -> Layer:
    """current = (x D) E^T * gain / radius + bias,    output = rate(current) / 1000.

    x: [B, n_in], the rates of the ensemble before, or the net's input;  D: [n_in, d], what decodes
    from it the vector that this ensemble represents, the only parameter, {"decoders": D};  E:
    [n, d] encoders, gain and bias [n], which do not learn;  output: [B, n] spikes per ms, so that
    its size is that of other layers' outputs. weights: how D is drawn.

    The readout of a net is a `dense`, whose weights are the last decoders. Errors reach the input
    through E and the feedback of D.

        net = (nef.represented(nef.ensemble(key, 200, 16)), bp.dense(10))

    The slope of a LIF neuron's rate has no bound at its threshold: clip gradients, or give
    `neurons=nef.rectified_linear()`, if training is not steady. Raises ValueError for inputs that
    are not [B, n_in].
    """
    neuron = rate(lambda a: ensemble.neurons.rates(a) / 1000)

    def init(key, x):
        if x.ndim != 2:
            raise ValueError(
                f"represented: the input is {x.shape}, expected [B, n_in]; flatten images first,"
                " bp.flattened(nef.represented(...))"
            )
        real("represented", x)
        return {"decoders": weights(key, (x.shape[1], ensemble.dimensions), x.dtype)}

    def synapse(params, state, x, key):
        del key
        encode, bias = scaled_encoders(ensemble).T, jnp.asarray(ensemble.bias)
        vector = x @ params["decoders"]
        return state, vector @ encode.astype(x.dtype) + bias.astype(x.dtype)

    return Layer(init, synapse, by_vjp(synapse), neuron, affine=True)
