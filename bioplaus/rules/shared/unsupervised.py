"""Hidden layers that learn without labels, under a readout that learns from them.

    dW_l = growth(x, m, u, h),    u = (x - m) W_l,    db_l = -(m W_l + b_l)
    dW_L = -(1/B) h_{L-1}^T (phi'(a_L) * e)
    m <- m + averaging (mean x - m)
x: [B, n_{l-1}] input of layer l, m: [n_{l-1}] its running mean;  u: [B, n_l] current minus the
current of the mean input;  h: [B, n_l] output;  b_l: biases;  a_L, phi: current and neurons of the
last layer;  e: [B, C] = dL/dh_L;  L: the last layer. Rules return -dW, to be descended. A
convolution learns from the patches at every position.

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
from bioplaus.types import Array, Info, Key, Layer, Loss, Net, PerLayer, PyTree, Rule


class State(NamedTuple):
    """mean: m for each hidden layer. threshold: theta [n_l] for each, or () for rules without."""

    mean: PerLayer
    threshold: PerLayer


class LayerBatch(NamedTuple):
    """A hidden layer and the batch from which it learns.

    x, mean, u, h: x, m, u and h above. theta: [n_l], or None for rules without a threshold.
    """

    layer: Layer
    params: PyTree
    x: Array
    mean: Array
    u: Array
    h: Array
    theta: Array | None
    key: Key


Growth = Callable[[LayerBatch, ArrayLike | None], PyTree]
"""(data, gate) -> dW of a layer; its entries for biases are not used."""


def product(data: LayerBatch, s: Array, gate: ArrayLike | None) -> PyTree:
    """(1/B) sum_b g_b (x_b - m)^T s_b, where g is the gate. The bias cancels."""
    at_mean = _over_batch(spread(gate, s) * s)[None]
    parts = (
        pull(data.layer, data.params, data.x, data.key, s, gate),
        pull(*data[:2], data.mean[None], data.key, at_mean),
    )
    return jax.tree.map(jnp.subtract, *parts)


def _over_batch(x: Array) -> Array:
    """The mean over the first axis.

    On a CPU it is added up by halves: XLA's sum takes 3 to 30 times as long there.
    """

    def halves(x):
        count, odd = len(x), jnp.zeros_like(x[0])
        while len(x) > 1:
            half = len(x) // 2
            x, odd = x[:half] + x[half : 2 * half], odd + x[-1] if len(x) % 2 else odd
        return (x[0] + odd) / count

    return jax.lax.platform_dependent(x, cpu=halves, default=lambda x: x.mean(0))


def inhibited(
    data: LayerBatch,
    s: Array,
    part: Callable[[Array], Array],
    length: ArrayLike,
    gate: ArrayLike | None,
) -> PyTree:
    """(1/B) [(x - m)^T s - W part(u^T s) / R^2], R = length.

    The second term keeps a unit from learning again what the layer's weights already reconstruct of
    x.
    part: which entries of u^T s inhibit.
    """
    u, gated = (a.reshape(-1, a.shape[-1]) for a in (data.u, spread(gate, s) * s))
    with jax.named_scope("update"):
        m = part(u.T @ gated) / (len(s) * jnp.asarray(length, u.dtype) ** 2)
        decay = jax.tree.map(lambda w: jnp.tensordot(w, m, 1) if w.ndim > 1 else 0 * w, data.params)
    return jax.tree.map(jnp.subtract, product(data, s, gate), decay)


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

    def init(key, params, batch):
        currents = current_shapes(net, params, batch, key)
        inputs = jax.eval_shape(lambda p, x: forward(net, p, x, key).inputs, params, batch.x)
        for l in hidden:
            shapes = [jnp.shape(w) for w in jax.tree.leaves(params[l])]
            if len(shapes) > 2 or [s[-1] for s in shapes if len(s) > 1] != [currents[l].shape[-1]]:
                raise ValueError(
                    f"layer {l}: weights [..., n] and at most one bias are expected, not {shapes};"
                    " use plain synapses"
                )
        mean = tuple(jnp.zeros(inputs[l].shape[1:], inputs[l].dtype) for l in hidden)
        return State(
            mean,
            (
                tuple(jnp.zeros(currents[l].shape[-1], currents[l].dtype) for l in hidden)
                if slide
                else ()
            ),
        )

    def grad(params, state, batch, key, gate=None):
        trace, k = forward(net, params, batch.x, key), [layer_key(key, l) for l in range(len(net))]
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))
        taught = through(net[-1], trace.currents[-1], k[-1], error)
        readout = pull(net[-1], params[-1], trace.inputs[-1], k[-1], taught, gates[-1])
        grads, mean, threshold = [], [], []
        for l in hidden:
            x, m, h = trace.inputs[l], state.mean[l], trace.inputs[l + 1]
            rest = drive(net[l], params[l], m[None], k[l])
            u = trace.currents[l] - rest
            data = LayerBatch(
                net[l], params[l], x, m, u, h, state.threshold[l] if slide else None, k[l]
            )
            drift = jnp.zeros(rest.shape[-1:], x.dtype)
            if homeostasis:
                drift = (spread(gates[l], u) * rest).reshape(-1, rest.shape[-1]).mean(0)
            grads.append(
                jax.tree.map(lambda g, d=drift: -g if g.ndim > 1 else d, growth(data, gates[l]))
            )
            mean.append(m + averaging * (x.mean(0) - m))
            threshold += [slide(data, gates[l])] if slide else []
        return (
            (*grads, readout),
            State(tuple(mean), tuple(threshold)),
            Info(loss=losses.mean(), signals=signals),
        )

    return Rule(init, grad, predictor(net))
