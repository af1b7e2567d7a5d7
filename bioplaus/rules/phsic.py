"""pHSIC: hidden layers make examples similar if their labels are, and dissimilar otherwise.

    minimise  O_l = pHSIC(K, K) - gamma pHSIC(Y, K),    pHSIC(A, B) = mean_ij (A_ij - mean A) B_ij
    dW_l = (1/B) h_{l-1}^T s_l,    s_l = phi'(a_l) * (2/B) sum_j M_ij dK_ij/dh_i
    M_ij = 2 (K_ij - mean K) - gamma (Y_ij - mean Y)
h_l, a_l: [B, n_l] output and current of layer l;  phi: its neurons;  K: [B, B] similarities
k(h_i, h_j) of the outputs of examples i and j, over time of what the net's answer reads of each
sequence (`bioplaus.pools`);  Y: [B, B] cosine similarities of the labels,
centred over classes;  gamma: weight of the labels;  s_l: [B, n_l] teaching signal at the current.
k is Gaussian, exp(-|u - v|^2 / (2 width^2)), or the cosine. With groups, k compares
u_c = (variance in group c + smoothing / size)^power instead of h, centred over the groups c of
`size` units each.
There is no feedback between layers. dK_ij/dh_i contains h_j: example i, the postsynaptic one,
changes in pairs with the other examples, which the layer remembers; a gate of example i weights
that change. M is the third factor: it needs how similar two labels are, not which labels they are.
The last layer learns by the loss, alone.

Pogodin and Latham, "Kernelized information bottleneck leads to biologically plausible 3-factor
Hebbian learning in deep networks", 2020, arXiv:2006.07123. Their settings
(https://github.com/romanpogodin/plausible-kernelized-bottleneck): gamma 2, width 5, smoothing 1,
power 0.5.
Departures: one optimiser for all layers; the update over a batch, as in their experiments, is
simultaneous in all layers. Divisive normalisation is left to the net: it changes what a layer sends
on, not how the layer learns.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.entry import check_classes, learning_rule
from bioplaus.hyper import NonNegative, Positive, Size
from bioplaus.local import error_of, gates_of, pull, signals_of, through
from bioplaus.net import forward, layer_key, predictor
from bioplaus.pools import of_sequence
from bioplaus.rules.shared.over_time import SEQUENCES
from bioplaus.types import Array, Info, Loss, Net, Rule

# (u [B, n], v [B, n], width) -> similarities [B, B]
Kernel = Callable[[Array, Array, ArrayLike], Array]


def cosine(u: Array, v: Array, width: ArrayLike) -> Array:
    """u . v / |u| |v|; zero for a zero vector."""
    del width
    return _unit(u) @ _unit(v).T


def gaussian(u: Array, v: Array, width: ArrayLike) -> Array:
    """exp(-|u - v|^2 / (2 width^2))."""
    distance = jnp.sum(u * u, -1)[:, None] + jnp.sum(v * v, -1) - 2 * u @ v.T
    return jnp.exp(-distance / (2 * jnp.asarray(width) ** 2))


@learning_rule(time=SEQUENCES)
def phsic(
    net: Net,
    loss: Loss,
    *,
    gamma: NonNegative = 2.0,
    width: Positive = 5.0,
    kernel: Kernel = gaussian,
    groups: Size = 0,
    power: NonNegative = 0.5,
    smoothing: NonNegative = 1.0,
) -> Rule:
    """Layers learn from similarities of labels; equals backprop in the last layer only.

    gamma: weight of the labels against compression. kernel: `gaussian` or `cosine`. width: of the
    Gaussian, in units of the outputs. smoothing, power: of the grouping.
    groups: the number of groups of units (of channels, in convolutions); it must divide n_l; 0
    turns the grouping off.

    Cost, in the letters of docs/rules.md: F forward, 2 B sum_{l<L} n_l credit, F update: every
    example is compared with the whole batch.
    """

    def features(h):
        if not groups:
            return h.reshape(len(h), -1)
        if h.shape[-1] % groups or h[0].size == groups:
            raise ValueError(
                f"phsic: an output of {h.shape} does not divide into {groups} groups of two units"
                " or more"
            )
        members = jnp.moveaxis(h, -1, 1).reshape(len(h), groups, -1)
        spread = jnp.sum((members - members.mean(-1, keepdims=True)) ** 2, -1) + smoothing
        u = (spread / members.shape[-1]) ** power
        return u - u.mean(-1, keepdims=True)

    def init(key, params, batch):
        del key, params
        check_classes("phsic", batch.y)
        if batch.x.shape[0] < 2:
            raise ValueError(
                "phsic: learns from pairs of examples, and a batch of one has none; give two or"
                " more"
            )
        return ()

    def grad(params, state, batch, key, gate=None):
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates, grads = gates_of(gate, signals, len(net)), []
        with jax.named_scope("credit"):
            labels = batch.y - batch.y.mean(-1, keepdims=True)
            wanted = _centred(cosine(labels, labels, 1.0))
        for l, (layer, h) in enumerate(zip(net, trace.outputs, strict=True)):
            k, taught = layer_key(key, l), error
            if l < len(net) - 1:
                with jax.named_scope("credit"):
                    others = features(of_sequence(net, layer, h))

                    def similarities(z, layer=layer, others=others):
                        return kernel(features(of_sequence(net, layer, z)), others, width)

                    similar, pullback = jax.vjp(similarities, h)
                    taught = pullback((2 * _centred(similar) - gamma * wanted) * 2 / len(h))[0]
            signal = through(layer, trace.currents[l], k, taught)
            grads.append(
                pull(layer, params[l], trace.inputs[l], k, signal, gates[l], trace.heard[l])
            )
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))


def _unit(u: Array) -> Array:
    return u * jax.lax.rsqrt(jnp.sum(u * u, -1, keepdims=True) + jnp.finfo(u.dtype).tiny)


def _centred(similarities: Array) -> Array:
    return similarities - similarities.mean()
