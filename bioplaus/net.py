"""Nets: initialise, run forward, change excitability, switch noise."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.salts import END, FEEDBACK, FIRST, NEURON, SYNAPSE
from bioplaus.types import Array, Batch, Gain, Key, Layer, Net, Neuron, PredictFn, PyTree


class Trace(NamedTuple):
    """A forward pass.

    inputs[l], currents[l]: what the synapses and the neurons of layer l received. output: [B, C].
    """

    inputs: tuple[Array, ...]
    currents: tuple[Array, ...]
    output: Array


def drive(layer: Layer, params: PyTree, x: Array, key: Key) -> Array:
    """The current that input x sends into a layer. key: `layer_key(key, l)` of that layer."""
    return layer.synapse(params, (), x, jax.random.fold_in(key, SYNAPSE))[1]


def fire(layer: Layer, current: Array, key: Key) -> Array:
    """The output of a layer's neurons at a current. key: `layer_key(key, l)` of that layer.

    Raises ValueError for neurons with a state: a single step from rest would not be their response.
    """
    rest = layer.neuron.init(current)
    if jax.tree.leaves(rest):
        raise ValueError(
            "the neurons of a layer have a state, which needs time, and nets do not run in time"
            " yet; give neurons with state ()"
        )
    return layer.neuron.step(rest, current, jax.random.fold_in(key, NEURON))[1]


def layer_key(key: Key, l: int) -> Key:
    """The key of layer l, the same in the forward pass and in credit: both see the same noise.

    Layer indices from FIRST on are shifted to END + l, above all salts of `bioplaus.salts`. So no
    layer of a deep net shares its key with a salt.
    """
    return jax.random.fold_in(key, l if l < FIRST else END + l)


def forward(net: Net, params: PyTree, x: Array, key: Key) -> Trace:
    """Run the net and keep what each layer needs to learn."""
    check_depth(net, params)
    inputs, currents = [], []
    with jax.named_scope("forward"):
        for l, (layer, p) in enumerate(zip(net, params, strict=True)):
            k = layer_key(key, l)
            inputs.append(x)
            currents.append(drive(layer, p, x, k))
            x = fire(layer, currents[-1], k)
    return Trace(tuple(inputs), tuple(currents), x)


def init(net: Net, key: Key, x: Array) -> PyTree:
    """Fresh parameters for inputs shaped like x [B, ...]: a tuple with one entry for each layer."""
    params = []
    shape = jax.eval_shape(lambda: x)
    for l, layer in enumerate(net):
        example = jnp.zeros(shape.shape, shape.dtype)
        params.append(layer.init(layer_key(key, l), example))
        shape = jax.eval_shape(
            lambda p, h, k, layer=layer: fire(layer, drive(layer, p, h, k), k),
            params[-1],
            example,
            key,
        )
    return tuple(params)


def feedback_init(net: Net, key: Key, params: PyTree, x: Array) -> PyTree:
    """Feedback weights: drawn like the forward weights, independently of them; see `fed_back`."""
    del params
    return fed_back(net, init(net, jax.random.fold_in(key, FEEDBACK), x))


def fed_back(net: Net, tree: PyTree) -> PyTree:
    """The entries of a tree of params that errors pass on their way back.

    The first layer sends nothing back: its entry is (), unless the layer is composite and sends
    errors back inside.
    """
    return (tree[0] if net[0].composite else (), *tree[1:])


def current_shapes(
    net: Net, params: PyTree, batch: Batch, key: Key
) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Shape and dtype of every layer's current [B, n_l], at no cost."""
    return jax.eval_shape(lambda p, x: forward(net, p, x, key).currents, params, batch.x)


def predictor(net: Net) -> PredictFn:
    """The usual `Rule.predict`: a forward pass."""

    def predict(params: PyTree, state: PyTree, x: Array, key: Key, context: PyTree = ()) -> Array:
        del state, context
        return forward(net, params, x, key).output

    return predict


def with_gain(net: Net, gains: Sequence[Gain]) -> Net:
    """The net with changed excitability: output = out * neuron(scale * current + offset).

    gains: one for each layer. They may be tracers and may differ between examples. Modulators,
    lesions and perturbations all act through this function.
    """
    if len(gains) != len(net):
        raise ValueError(
            f"with_gain: got {len(gains)} gains for a net of {len(net)} layers; give one Gain for"
            " each layer"
        )
    return tuple(
        layer._replace(neuron=_gained(layer.neuron, g)) for layer, g in zip(net, gains, strict=True)
    )


def _gained(neuron: Neuron, gain: Gain) -> Neuron:
    def step(state, current, key):
        state, output = neuron.step(state, current * jnp.asarray(gain.scale) + gain.offset, key)
        return state, output * jnp.asarray(gain.out)

    quiet = neuron.off and _gained(neuron.off, gain)
    return Neuron(neuron.init, step, quiet, neuron.mean and _gained(neuron.mean, gain))


def noise_mode(net: Net, mode: Literal["on", "off", "mean"]) -> Net:
    """The net with the noise of synapses and neurons on, off, or replaced by the expected output.

    Synaptic noise is linear in the weights, so that its mean is the layer without noise. Raises
    ValueError for any other mode.
    """
    if mode not in ("on", "off", "mean"):
        raise ValueError(f"noise_mode: got {mode!r}; expected 'on', 'off' or 'mean'")
    if mode == "on":
        return net

    def quiet(layer: Layer) -> Layer:
        neuron = layer.neuron
        return (layer.off or layer)._replace(
            neuron=(neuron.off if mode == "off" else neuron.mean) or neuron
        )

    return tuple(quiet(layer) for layer in net)


def check_depth(net: Net, params: PyTree) -> None:
    """Raise ValueError unless params has one entry for each layer."""
    if len(params) != len(net):
        raise ValueError(
            f"params has {len(params)} entries for a net of {len(net)} layers; make them with"
            " bp.init(net, key, x)"
        )
