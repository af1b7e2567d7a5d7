"""Attention: gains by place or by feature, so that receptive fields move while no weight changes.

    spatial:     a(x) <- A_c(x) a(x),    A_c(x) = f + (1 - f) exp(-|x - p_c|^2 / (2 width^2))
    by feature:  a_k <- exp(strength z_ck) a_k
a: currents of one layer, at position x and in channel k;  c: context of each example, [B];  p_c:
where context c looks, in positions of that layer;  f: the floor, A far away;  z_ck: how much
context c prefers channel k. A, the attention field, acts on the current, before the nonlinearity:
rectifiers pass it on, relu(A a) = A relu(a), and with `bioplaus.neurons.divisive` it comes before
the normalisation, as in the model of Reynolds and Heeger. At f = 1, or strength = 0, nothing
changes.

A unit of a higher layer whose inputs have Gaussian weights of standard deviation s around x_0
attends to their product with A, a Gaussian around x_0 + (p_c - x_0) s^2 / (s^2 + width^2): its
receptive field moves. `bioplaus.measure.receptive` measures by how much.

Reynolds and Heeger, "The Normalization Model of Attention", 2009, doi:10.1016/j.neuron.2009.01.002.
Shifts of fields: Womelsdorf, Anton-Erxleben, Treue, "Receptive Field Shift and Shrinkage in
Macaque Middle Temporal Area through Attentional Gain Modulation", 2008,
doi:10.1523/JNEUROSCI.4030-07.2008. By feature: Martinez-Trujillo and Treue, "Feature-Based
Attention Increases the Selectivity of Population Responses in Primate Visual Cortex", 2004,
doi:10.1016/j.cub.2004.04.028. Departures: where to look is told by the context and not learned.
Gains are given, and have no gate on plasticity.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.hyper import Positive, Probability, Real, Size, declared
from bioplaus.modulators.contexts import rows_of
from bioplaus.types import Array, Gain, Modulator


class State(NamedTuple):
    """gains: of each context on the layer's currents, [K, 1, ..., n] by feature, [K, ..., H, W, 1]
    by place. layers: () for each layer.
    """

    gains: Array
    layers: tuple[tuple[()], ...]


@declared
def spatial_attention(
    layer: Size, places: Real, *, width: Positive, floor: Probability = 0.0, key: str = "place"
) -> Modulator:
    """Scales the currents of one layer around the place that `batch.context[key]` names.

    layer: its number, from 0. places: [K, D], where each of K contexts looks: row and column, for
    the D = 2 axes of positions of an image, counted from 0 in positions of that layer; they may be
    fractions, and lie outside. width: standard deviation of A, in positions. floor: A far away. The
    context is an array of integers [B] below K; another number gives NaN. Gains: [B, H, W, 1], and
    [B, 1, H, W, 1] over time.

    Raises ValueError for places of another shape, for a layer that the net has not, or that has
    fewer axes of positions, and for a batch without such a context.

        corners = [[3.0, 3.0], [3.0, 12.0], [12.0, 3.0], [12.0, 12.0]]
        modulate(backprop, spatial_attention(0, corners, width=3.0))
    """
    places = _table("spatial_attention", "places [K, D]", places)

    def init(key, currents):
        del key
        shape = _shape("spatial_attention", layer, currents)
        axes = places.shape[1]
        if len(shape) < 2 + axes:
            raise ValueError(
                f"spatial_attention: layer {layer} has currents {list(shape)}, without {axes} axes"
                f" of positions between the examples and the channels; give a layer of positions,"
                " such as a convolution"
            )
        grid = shape[-1 - axes : -1]
        at = jnp.stack(jnp.meshgrid(*map(jnp.arange, grid), indexing="ij"), -1)
        to = places.reshape(len(places), *(1,) * axes, axes)
        near = jnp.exp(-((at - to) ** 2).sum(-1) / (2 * jnp.asarray(width) ** 2))
        field = floor + (1 - floor) * near
        ones = (1,) * (len(shape) - 2 - axes)  # moments, where there are
        return _state(jnp.reshape(field, (len(places), *ones, *grid, 1)), currents)

    return _attention("spatial_attention", layer, init, key)


@declared
def feature_attention(
    layer: Size, preference: Real, *, strength: Real = 1.0, key: str = "feature"
) -> Modulator:
    """Scales the channels of one layer by exp(strength z), for the feature that
    `batch.context[key]` names.

    layer: its number, from 0. preference: z, [K, n], of each of K contexts for each of the layer's
    n units or channels, such as how much more a channel answers to that feature than to the others;
    rows of mean 0 leave the geometric mean of the gains at 1. The context is an array of integers
    [B] below K; another number gives NaN. Gains have all axes of the current, [B, 1, ..., n].

    Raises ValueError for preferences of another shape, for a layer that the net has not, and for a
    batch without such a context.

        feature_attention(0, [[0.5, -0.5], [-0.5, 0.5]], strength=2.0)
    """
    preference = _table("feature_attention", "preference [K, n]", preference)

    def init(key, currents):
        del key
        shape = _shape("feature_attention", layer, currents)
        if shape[-1] != preference.shape[1]:
            raise ValueError(
                f"feature_attention: got preferences for {preference.shape[1]} channels, and layer"
                f" {layer} has {shape[-1]}; give [K, {shape[-1]}]"
            )
        gains = jnp.exp(jnp.asarray(strength) * preference)
        return _state(gains.reshape(len(gains), *(1,) * (len(shape) - 2), shape[-1]), currents)

    return _attention("feature_attention", layer, init, key)


def _attention(name: str, layer: int, init, key: str) -> Modulator:
    """A modulator of one layer, whose state has a gain for each context."""

    def gain(state, context):
        scale = rows_of(state.gains, context, key, name)
        return tuple(Gain(scale) if l == layer else Gain() for l in range(len(state.layers)))

    def gate(state, signals):
        del signals
        return state, None

    return Modulator(init, gain, gate)


def _table(name: str, what: str, values: ArrayLike) -> Array:
    table = jnp.asarray(values)
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(f"{name}: got shape {list(table.shape)}, expected {what}")
    return table


def _shape(name: str, layer: int, currents) -> tuple[int, ...]:
    if layer >= len(currents):
        raise ValueError(
            f"{name}: there is no layer {layer} in a net of {len(currents)}; give 0 to"
            f" {len(currents) - 1}"
        )
    return currents[layer].shape


def _state(gains: Array, currents) -> State:
    return State(gains.astype(currents[-1].dtype), ((),) * len(currents))
