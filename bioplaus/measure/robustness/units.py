"""Lesions and quantisation of hidden units. Each function is (net, params, x, key) -> (severity ->
(net, params, x)).

    lesion               h_j <- m_j h_j,              m_j = 0 with probability f, independent
    compensated_lesion   h_j <- m_j h_j / (1 - f):    the current sum_i w_i h_i of a unit keeps its
                                                      mean over lesions, and has the variance
                                                      f / (1 - f) sum_i (w_i h_i)^2
    layer_lesion(l)      as lesion, in hidden layer l alone, counted from 1
    targeted_lesion      m_j = 0 for the fraction f of each layer with the largest
                         sum_k |w_jk| mean |h_j|
    quantisation         h_j <- Q(h_j), see `levels`; the range is the largest |h| of the layer on x
h_j: output of unit j; f: the severity, the same in every hidden layer, except for layer_lesion. The
output of a lost unit is 0, not its mean. The mean and the largest |h| are those of the forward pass
on x. A channel of a convolution at one position is one unit.

Over time a unit is lost at all moments, for its own layer too. Means and largest values are then
over examples and moments, and w_jk includes the synapses by which a recurrent layer hears itself.

Utility: Dohare et al., "Loss of plasticity in deep continual learning", 2024, Nature 632,
doi:10.1038/s41586-024-07711-7 (there a running mean, here a mean over x).
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from bioplaus.net import forward, layer_key, with_gain
from bioplaus.salts import SYNAPSE
from bioplaus.types import Array, Gain, Key, Layer, Net, PyTree


def lesion(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Lesion a random fraction of the hidden units."""
    rank = unit_sample(net, params, x, key)
    return lambda fraction: (lesioned(net, rank, fraction), params, x)


def layer_lesion(layer: int) -> Callable:
    """Lesion a random fraction of the units of one hidden layer.

    They are the same units that `lesion` takes in this layer at the same key.
    """

    def perturb(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
        if layer >= len(net):
            raise ValueError(
                f"lesion of layer {layer}: the net has {len(net) - 1} hidden layers; leave this"
                " curve out"
            )
        rank = [
            r if l == layer else jnp.ones_like(r)
            for l, r in enumerate(unit_sample(net, params, x, key), 1)
        ]
        return lambda fraction: (lesioned(net, rank, fraction), params, x)

    return perturb


def compensated_lesion(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Lesion a random fraction of the hidden units, and scale up the others to compensate."""
    rank = unit_sample(net, params, x, key)
    return lambda fraction: (lesioned(net, rank, fraction, compensate=True), params, x)


def targeted_lesion(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Lesion the most useful hidden units first."""
    rank = [order(-u) for u in utility(net, params, x, key)]
    return lambda fraction: (lesioned(net, rank, fraction), params, x)


def quantisation(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Activations on a small number of levels. Their derivative is that of the unrounded
    activations, so that rules still settle.
    """
    sizes = [jnp.abs(h) for h in forward(net, params, x, key).inputs[1:]]

    def rounded(layer: Layer, size: Array, step: Array) -> Layer:
        neuron = layer.neuron

        def fire(state, current, key):
            state, out = neuron.step(state, current, key)
            return state, out + jax.lax.stop_gradient(
                levels(out, size.max(), size.mean(), step) - out
            )

        return layer._replace(neuron=neuron._replace(step=fire))

    def at(step):
        hidden = [
            at_one_moment(layer, lambda one, size=size: rounded(one, size, step))
            for layer, size in zip(net[:-1], sizes, strict=True)
        ]
        return (*hidden, net[-1]), params, x

    return at


def at_one_moment(layer: Layer, change: Callable[[Layer], Layer]) -> Layer:
    """The layer with a change; of a layer over time, the change of its layers of one moment."""
    return change(layer) if layer.time is None else layer.time.lift(change)


def levels(w: Array, top: Array, mean: Array, step: Array) -> Array:
    """Q(w): symmetric uniform rounding to b bits, with step = 2^(1 - b). The levels are 0 and K = 1
    / step - 1 levels on either side, spaced by top / K.

    One bit gives sign(w) mean. step 0 leaves w unchanged. An evenly distributed rounding error has
    the variance (top / K)^2 / 12. One bit: Rastegari et al., "XNOR-Net", 2016, arXiv:1603.05279.
    """
    count = jnp.maximum(1 / jnp.maximum(step, 2.0**-30) - 1, 1)
    width = jnp.where(top > 0, top, 1) / count
    rounded = jnp.where(
        step < 1, width * jnp.clip(jnp.round(w / width), -count, count), jnp.sign(w) * mean
    )
    return jnp.where(step > 0, rounded, w).astype(w.dtype)


def utility(net: Net, params: PyTree, x: Array, key: Key) -> list[Array]:
    """sum_k |w_jk| mean |h_j| for each hidden unit j, by layer."""
    trace, found = forward(net, params, x, key), []

    def mean(h: PyTree, layer: Layer) -> PyTree:
        axes = 0 if layer.time is None else (0, 1)
        return jax.tree.map(lambda a: jnp.abs(a).mean(axes, keepdims=True), h)

    def current(l: int, h: Array, heard: PyTree) -> Array:
        """The sum of what layer l's synapses send, at |w|, of their input and of its own output."""
        size, k = jax.tree.map(jnp.abs, params[l]), jax.random.fold_in(layer_key(key, l), SYNAPSE)
        return net[l].synapse(size, heard, h, k)[1].sum()

    for l, below in enumerate(net[:-1]):
        h, heard = mean(trace.outputs[l], below), mean(trace.heard[l + 1], net[l + 1])
        leaving = jax.grad(current, 1)(l + 1, h, heard)
        if below.time is not None and below.time.closed is not None:
            leaving += jax.grad(current, 2)(l, mean(trace.inputs[l], below), h)
        found.append(_of_a_unit(leaving * h, below))
    return found


def _of_a_unit(h: Array, layer: Layer) -> Array:
    """Of a layer's output, that of the first example, at the first moment."""
    return h[0] if layer.time is None else h[0, 0]


def order(a: Array) -> Array:
    """The rank of each of the n values of a, smallest first, scaled to (0, 1). Those below f are
    the round(f n) smallest.
    """
    place = jnp.zeros(a.size, jnp.int32).at[jnp.argsort(a.ravel())].set(jnp.arange(a.size))
    return ((place + 0.5) / a.size).reshape(a.shape)


def unit_sample(net: Net, params: PyTree, x: Array, key: Key) -> list[Array]:
    """A uniform number in [0, 1) for each hidden unit, by layer. A lesion of fraction f takes the
    units whose number is below f.
    """

    def hidden() -> list[Array]:
        outputs = forward(net, params, x, key).outputs[:-1]
        return [_of_a_unit(h, layer) for h, layer in zip(outputs, net[:-1], strict=True)]

    return sample(jax.random.uniform, jax.eval_shape(hidden), key)


def sample(sampler: Callable[..., Array], like: Sequence[Array], key: Key) -> list[Array]:
    """Samples with the shapes and the dtype of `like`.

    They are drawn in one call, because every call would be compiled separately.
    """
    if not like:
        return []
    ends = np.cumsum([math.prod(a.shape) for a in like])
    flat = sampler(key, (int(ends[-1]),), like[0].dtype)
    return [part.reshape(a.shape) for part, a in zip(jnp.split(flat, ends[:-1]), like, strict=True)]


def lesioned(
    net: Net, rank: Sequence[Array], fraction: ArrayLike, *, compensate: bool = False
) -> Net:
    """The net with some hidden units silenced.

    The outputs of units whose rank (in [0, 1), by layer) is below the fraction are set to 0.

    compensate: whether the other outputs are multiplied by 1 / (1 - fraction).
    """
    left = (
        jnp.maximum(1.0 - jnp.asarray(fraction), jnp.finfo(jnp.float32).tiny) if compensate else 1.0
    )
    gains = []
    for r, layer in zip(rank, net[:-1], strict=True):
        out = jnp.where(r < fraction, 0.0, 1.0 / left).astype(r.dtype)
        gains.append(Gain(out=out[None] if layer.time is None else out[None, None]))
    return with_gain(net, [*gains, Gain()])
