"""Hidden layers that learn without labels, under a readout that learns from them.

    dW_l = growth(x, m, u, h),    u = (x - m) W_l,    db_l = -(m W_l + b_l)
    dW_L = -(1/B) h_{L-1}^T (phi'(a_L) * e)
    m <- m + averaging (mean x - m)
x: [B, n_{l-1}] input of layer l, m: [n_{l-1}] its running mean;  u: [B, n_l] current minus the
current of the mean input;  h: [B, n_l] output;  b_l: biases;  a_L, phi: current and neurons of the
last layer;  e: [B, C] = dL/dh_L;  L: the last layer. Rules return -dW, to be descended. A
convolution learns from the patches at every position.
Over time x, u and h are means over the moments of a sequence, as slow traces at a synapse hold: at
single moments the chance of spikes would be learned, and not the rates. Neurons that fire would be
silent at a mean current of 0, below their threshold: there the biases keep the mean rate of each
unit at FIRING instead,  db_l = -(mean h - FIRING).

Subtracting m turns a product of pre- and postsynaptic activity into their covariance: Sejnowski,
"Storing covariance with nonlinearly interacting neurons", 1977, doi:10.1007/BF00275079. Biases keep
the mean current at 0 (homeostasis), as in mean-only batch normalisation: Salimans and Kingma,
"Weight Normalization", 2016, arXiv:1602.07868.
Departures: all layers learn at once; m and the biases follow step by step, where those papers take
the mean of all data, or of a batch.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.local import error_of, gates_of, pull, signals_of, spread, through
from bioplaus.net import current_shapes, drive, forward, layer_key, predictor
from bioplaus.pools import of_sequence
from bioplaus.rules.shared.growth import Growth, LayerBatch
from bioplaus.types import Array, Info, Loss, Net, PerLayer, Rule

FIRING = 0.1
"""Spikes in a moment, the rate at which homeostasis holds neurons that fire."""


class State(NamedTuple):
    """mean: m for each hidden layer. threshold: theta [n_l] for each, or () for rules without."""

    mean: PerLayer
    threshold: PerLayer


def unsupervised(
    net: Net,
    loss: Loss,
    growth: Growth,
    averaging: ArrayLike,
    homeostasis: bool,
    slide: Callable[[LayerBatch, ArrayLike | None], Array] | None = None,
) -> Rule:
    """A rule whose hidden layers learn by `growth`.

    averaging: step size of m. homeostasis: False leaves the biases as they are. slide: (data, gate)
    -> the new theta, for rules with a threshold.
    """
    hidden = range(len(net) - 1)

    def hears_moments(l):
        """Whether the input of layer l is a sequence."""
        return net[max(l - 1, 0)].time is not None

    def init(key, params, batch):
        currents = current_shapes(net, params, batch, key)
        inputs = jax.eval_shape(lambda p, x: forward(net, p, x, key).inputs, params, batch.x)
        for l in hidden:
            time = net[l].time
            if time is not None and time.moment.rest is not None:
                raise ValueError(
                    f"layer {l}: its synapses have a state, and a mean input is expected to say"
                    " what they send; use plain synapses"
                )
            shapes = [jnp.shape(w) for w in jax.tree.leaves(params[l])]
            if len(shapes) > 2 or [s[-1] for s in shapes if len(s) > 1] != [currents[l].shape[-1]]:
                raise ValueError(
                    f"layer {l}: weights [..., n] and at most one bias are expected, not {shapes};"
                    " use plain synapses"
                )
        mean = tuple(
            jnp.zeros(inputs[l].shape[2 if hears_moments(l) else 1 :], inputs[l].dtype)
            for l in hidden
        )
        return State(
            mean,
            (
                tuple(jnp.zeros(currents[l].shape[-1], currents[l].dtype) for l in hidden)
                if slide
                else ()
            ),
        )

    def layer_batch(params, state, trace, l, key, gate):
        """The data of layer l, the current of its mean input, and the gate of its examples."""
        layer, m = net[l], state.mean[l]
        x, current, h = trace.inputs[l], trace.currents[l], trace.outputs[l]
        if layer.time is not None:
            gate = None if gate is None else _mean_moment(spread(gate, current))
            x, current, h = (_mean_moment(a) for a in (x, current, h))
        elif hears_moments(l):
            x = of_sequence(net, net[l - 1], x)[:, None]
        m = m[None] if hears_moments(l) else m
        rest = drive(layer, params[l], m[None], key)
        u = current - rest
        theta = state.threshold[l] if slide else None
        return LayerBatch(layer, params[l], x, m, u, h, theta, key), rest, gate

    def grad(params, state, batch, key, gate=None):
        trace, k = forward(net, params, batch.x, key), [layer_key(key, l) for l in range(len(net))]
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))
        taught = through(net[-1], trace.currents[-1], k[-1], error)
        readout = pull(
            net[-1], params[-1], trace.inputs[-1], k[-1], taught, gates[-1], trace.heard[-1]
        )
        grads, mean, threshold = [], [], []
        for l in hidden:
            data, rest, opened = layer_batch(params, state, trace, l, k[l], gates[l])
            u, width = data.u, data.u.shape[-1]
            drift = jnp.zeros(width, data.x.dtype)
            if homeostasis:
                off = data.h - FIRING if net[l].neuron.spikes else rest
                drift = (spread(opened, u) * off).reshape(-1, width).mean(0)
            grads.append(
                jax.tree.map(lambda g, d=drift: -g if g.ndim > 1 else d, growth(data, opened))
            )
            m = state.mean[l]
            mean.append(m + averaging * (data.x.mean(0).reshape(m.shape) - m))
            threshold += [slide(data, opened)] if slide else []
        return (
            (*grads, readout),
            State(tuple(mean), tuple(threshold)),
            Info(loss=losses.mean(), signals=signals),
        )

    return Rule(init, grad, predictor(net))


def _mean_moment(a: Array) -> Array:
    """[B, T, ...] -> [B, 1, ...], sequences of one moment, the mean of all."""
    return a.mean(1, keepdims=True)
