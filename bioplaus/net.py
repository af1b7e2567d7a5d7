"""Nets: initialise, run forward, go on along a stream, change excitability, switch noise."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.checks import check_past, checked_pasts
from bioplaus.gains import gained
from bioplaus.salts import END, FEEDBACK, FIRST, NEURON, SYNAPSE
from bioplaus.types import (
    Array,
    Batch,
    Gain,
    Key,
    Layer,
    Net,
    Past,
    Played,
    PredictFn,
    PyTree,
)


class Trace(NamedTuple):
    """A forward pass.

    inputs[l], currents[l], outputs[l]: what the synapses and the neurons of layer l received, and
    what the neurons sent. heard[l]: what a layer over time heard of itself, its outputs one moment
    before, for `pull` and `send`; () for other layers.
    """

    inputs: tuple[Array, ...]
    currents: tuple[Array, ...]
    outputs: tuple[Array, ...]
    heard: tuple[PyTree, ...]

    @property
    def output(self) -> Array:
        """[B, C], of the last layer; [B, T, C] where that runs over time."""
        return self.outputs[-1]


def drive(layer: Layer, params: PyTree, x: Array, key: Key) -> Array:
    """The current that input x sends into a layer. key: `layer_key(key, l)` of that layer."""
    return play(layer, params, None, x, key).current


def fire(layer: Layer, current: Array, key: Key) -> Array:
    """The output of a layer's neurons at a current, from rest. key: `layer_key(key, l)` of it.

    Raises ValueError for neurons with a state in a layer of one moment: a single step from rest
    would not be their response.
    """
    rest = layer.neuron.init(current)
    if layer.time is None and jax.tree.leaves(rest):
        raise ValueError(
            "the neurons of a layer have a state, which needs time, and the layer is one of a"
            " single moment: give bp.over_time(layer) or bp.recurrent(layer, back), and inputs"
            " [B, T, ...]"
        )
    return layer.neuron.step(rest, current, jax.random.fold_in(key, NEURON))[1]


def play(layer: Layer, params: PyTree, past: Past | None, x: Array, key: Key) -> Played:
    """A layer's answer to an input, or to a piece of a sequence after the moments of `past`.

    past: None is rest, and all that a layer of one moment has.
    """
    if layer.time is not None:
        return layer.time.run(params, past, x, key)
    if layer.rest is not None:
        raise ValueError(
            "the synapses of a layer have a state, which needs time, and the layer is one of a"
            " single moment: give bp.over_time(layer) or bp.recurrent(layer, back), and inputs"
            " [B, T, ...]"
        )
    current = layer.synapse(params, (), x, jax.random.fold_in(key, SYNAPSE))[1]
    return Played((), current, fire(layer, current, key), None)


def layer_key(key: Key, l: int) -> Key:
    """The key of layer l, the same in the forward pass and in credit: both see the same noise.

    Layer indices from FIRST on are shifted to END + l, above all salts of `bioplaus.salts`. So no
    layer of a deep net shares its key with a salt.
    """
    return jax.random.fold_in(key, l if l < FIRST else END + l)


def forward(net: Net, params: PyTree, x: Array, key: Key) -> Trace:
    """Run the net, layers over time from rest, and keep what each layer needs to learn."""
    return advance(net, params, None, x, key)[1]


Pasts = tuple[Past | None, ...]
"""One entry a layer; None for a layer of one moment, which keeps nothing."""


def advance(
    net: Net, params: PyTree, pasts: Pasts | None, x: Array, key: Key
) -> tuple[Pasts, Trace]:
    """`forward` that goes on where the last call has ended: (pasts after x, trace of x).

    x: [B, T, ...], the next piece of a sequence, of T moments, 1 or more. pasts: as the last call
    returned them, or None at rest. With the same key, pieces of any lengths give what the whole
    sequence gives, noise included: neurons draw it from the key and the moment's number. Raises
    ValueError for pasts of another net or of another number of examples.

        pasts = None
        for piece in stream:
            pasts, trace = bp.advance(net, params, pasts, piece, key)
    """
    check_depth(net, params)
    pasts = (None,) * len(net) if pasts is None else checked_pasts(net, pasts)
    played, inputs = [], []
    with jax.named_scope("forward"):
        for l, (layer, p) in enumerate(zip(net, params, strict=True)):
            check_past(l, layer, p, pasts[l], x)
            inputs.append(x)
            played.append(play(layer, p, pasts[l], x, layer_key(key, l)))
            x = played[-1].output
    heard, currents, outputs, after = zip(*played, strict=True)
    return after, Trace(tuple(inputs), currents, outputs, heard)


def time_step(net: Net) -> float | None:
    """The length of a moment in ms; None for a net without layers over time.

    Raises ValueError if layers disagree, if a layer of one moment feeds one over time, and if a
    layer over time was given another `neuron`, which would not run.
    """
    for l, layer in enumerate(net):
        if layer.time is not None and layer.neuron is not layer.time.neuron:
            raise ValueError(
                f"net: the neuron of layer {l}, which runs over time, was replaced, and the layer"
                " would run as before; replace that of one moment,"
                " layer.time.lift(lambda m: m._replace(neuron=...))"
            )
    steps = [None if layer.time is None else layer.time.dt for layer in net]
    found = sorted({dt for dt in steps if dt is not None})
    if len(found) > 1:
        raise ValueError(
            f"net: its layers take steps of {' and '.join(map(str, found))} ms; give all layers"
            " over time the same dt"
        )
    last = max((l for l, dt in enumerate(steps) if dt is not None), default=0)
    if None in steps[:last]:
        raise ValueError(
            f"net: layer {steps.index(None)} is one of a single moment and feeds a layer over time;"
            " wrap it too, bp.over_time(layer): only layers after the last one over time may be of"
            " one moment"
        )
    return found[0] if found else None


def init(net: Net, key: Key, x: Array) -> PyTree:
    """Fresh parameters for inputs shaped like x [B, ...]: a tuple with one entry for each layer.

    Raises ValueError for layers that do not run together: see `time_step`.
    """
    time_step(net)
    params = []
    shape = jax.eval_shape(lambda: x)
    for l, layer in enumerate(net):
        example = jnp.zeros(shape.shape, shape.dtype)
        params.append(layer.init(layer_key(key, l), example))
        shape = jax.eval_shape(
            lambda p, h, k, layer=layer: play(layer, p, None, h, k).output,
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

    def predict(
        params: PyTree,
        state: PyTree,
        x: Array,
        key: Key,
        context: PyTree = (),
        asked: Array | None = None,
    ) -> Array:
        del state, context
        return answer(net, forward(net, params, x, key).output, asked)

    return predict


def answer(net: Net, output: Array, asked: Array | None) -> Array:
    """The output [B, C]; of a net that answers at each moment, the mean of the asked moments.

    asked: [B, T]; None for all moments. Raises ValueError for another shape.
    """
    if asked is not None and (net[-1].time is None or jnp.shape(asked) != output.shape[:2]):
        raise ValueError(
            f"predict: got asked {jnp.shape(asked)} for outputs {output.shape}; expected [B, T] and"
            " a net that answers at each moment, [B, T, C]"
        )
    return output if net[-1].time is None else asked_mean(output, asked)


def asked_mean(values: Array, asked: Array | None) -> Array:
    """[B, T, C] -> [B, C], the mean of the asked moments [B, T]; of all moments for None."""
    if asked is None:
        return values.mean(1)
    asked = jnp.asarray(asked, bool)[..., None]
    return jnp.where(asked, values, 0).sum(1) / jnp.maximum(asked.sum(1), 1)


def with_gain(net: Net, gains: Sequence[Gain]) -> Net:
    """The net with changed excitability: output = out * neuron(scale * current + offset).

    gains: one for each layer. They may be tracers and may differ between examples. Modulators,
    lesions and perturbations all act through this function. Raises ValueError for another number of
    gains; a forward pass raises it for a gain of a shape that `Gain` does not allow.

        bp.with_gain(net, [bp.Gain(out=kept[:, None, None, :]), bp.Gain()])    # kept: [B, channels]
    """
    if len(gains) != len(net):
        raise ValueError(
            f"with_gain: got {len(gains)} gains for a net of {len(net)} layers; give one Gain for"
            " each layer"
        )
    return tuple(
        layer._replace(neuron=gained(layer.neuron, g))
        if layer.time is None
        else layer.time.gained(g)
        for layer, g in zip(net, gains, strict=True)
    )


def noise_mode(net: Net, mode: Literal["on", "off", "mean"]) -> Net:
    """The net with the noise of synapses and neurons on, off, or replaced by the expected output.

    Without noise, an encoder in front of the net gives the expected value of each moment.
    Synaptic noise is linear in the weights, so that its mean is the layer without noise. Raises
    ValueError for any other mode.
    """
    if mode not in ("on", "off", "mean"):
        raise ValueError(f"noise_mode: got {mode!r}; expected 'on', 'off' or 'mean'")
    if mode == "on":
        return net

    def quiet(layer: Layer) -> Layer:
        still = layer.off or layer  # without noise of synapses, nor of an encoder
        if still.time is not None:
            return still.time.lift(quiet)
        neuron = layer.neuron
        return still._replace(neuron=(neuron.off if mode == "off" else neuron.mean) or neuron)

    return tuple(quiet(layer) for layer in net)


def check_depth(net: Net, params: PyTree) -> None:
    """Raise ValueError unless params has one entry for each layer."""
    if len(params) != len(net):
        raise ValueError(
            f"params has {len(params)} entries for a net of {len(net)} layers; make them with"
            " bp.init(net, key, x)"
        )
