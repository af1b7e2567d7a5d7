"""Builds the nets of arms, with their neurons, noise and encoder."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from bioplaus.encoders import ENCODERS, in_front
from bioplaus.hyper import Hyperparameter, hyperparameters
from bioplaus.layers import (
    SYNAPSES,
    cnn,
    contextual,
    dense,
    last_moment,
    mean_over_time,
    mlp,
    over_time,
    recurrent,
)
from bioplaus.layers.basic import Initializer, after, flattened
from bioplaus.neurons import (
    NEURONS,
    NOISES,
    RESETS,
    SURROGATES,
    SYNAPTIC_NOISES,
    leaky,
    synaptic,
)
from bioplaus.pools import pools_moments
from bioplaus.study.settings import Arm, StudyError
from bioplaus.study.tables import NeuronSpec
from bioplaus.types import Array, Encoder, Layer, Net, Neuron

DEFAULT_DT = 1.0
"""Length of a moment in ms, for data that an encoder turns into sequences."""


def make_net(arm: Arm, example: Array, classes: int, values: Mapping[str, Any] = {}) -> Net:
    """The net of an arm. example, values: as of `bioplaus.study.build.build`.

    Raises StudyError if the net does not fit the data.
    """
    neuron = noisy_neuron(arm.neuron, values)
    weights = jax.nn.initializers.variance_scaling(arm.net.variance, arm.net.fan, "normal")
    if arm.net.kind == "spiking":
        net = spiking(arm, classes, neuron, weights, values)
        encoder = encoder_of(arm)
        return net if encoder is None else in_front(net, encoder)
    output = NEURONS[arm.net.output]()
    if arm.net.kind == "cnn":
        if example.ndim != 4 or min(example.shape[1:3]) < 28:
            raise StudyError(
                f"net.kind: cnn needs images of 28x28 or more, and an input has the shape"
                f" {example.shape[1:]}; use mlp"
            )
        net = cnn(
            classes,
            neuron,
            output=output,
            padding=2 if example.shape[1] == 28 else 0,
            weights=weights,
        )
    else:
        sizes = [example[0].size, *arm.net.hidden, classes]
        net = mlp(
            sizes, neuron, output=output, weights=positive(weights) if arm.net.positive else weights
        )
        net = (*net[:-1], mlp(sizes[-2:], output=output)[0]) if arm.net.positive else net
    return tuple(cued(arm, released(arm.neuron, behind(arm, layer), values)) for layer in net)


def spiking(
    arm: Arm,
    classes: int,
    neuron: Neuron,
    weights: Initializer,
    values: Mapping[str, Any],
) -> Net:
    """Hidden layers over time, and a readout. neuron: of the hidden layers."""
    spec = arm.net
    time = {"dt": spec.dt or DEFAULT_DT, "horizon": spec.horizon}

    def moment(n: int, neuron: Neuron | None = None, *, many: bool = True) -> Layer:
        layer = dense(n, neuron, weights=weights)
        layer = behind(arm, layer) if many else layer
        each_moment = many and arm.neuron.each_moment
        return cued(arm, released(arm.neuron, layer, values, each_moment=each_moment))

    layers = [moment(n, neuron) for n in spec.hidden]
    layers[0] = flattened(layers[0])  # a moment may be a row of an image, with channels
    backs = [moment(n) for n in spec.hidden] if spec.recurrent else []
    hidden = (
        [recurrent(layer, back, **time) for layer, back in zip(layers, backs, strict=True)]
        if spec.recurrent
        else [over_time(layer, **time) for layer in layers]
    )
    if spec.readout == "each":
        return (*hidden, over_time(moment(classes, leaky(spec.readout_tau)), **time))
    reduce = {"pooled": mean_over_time, "last": last_moment}[spec.readout]
    answer = moment(classes, NEURONS[spec.output](), many=False)

    @pools_moments
    def read(outputs):
        return spec.readout_gain * reduce(outputs)

    return (*hidden, after(read, answer))


def encoder_of(arm: Arm) -> Encoder | None:
    """What turns the data into moments; None if the arm has no encoder."""
    if arm.encoder.kind == "none":
        return None
    return ENCODERS[arm.encoder.kind](**arm.encoder.numbers)


def neuron_numbers(spec: NeuronSpec) -> dict[str, Any]:
    """Name -> value of the numbers that are given of a neuron over time; others keep its
    defaults.
    """
    of_fields = {"threshold": spec.threshold, "reset": spec.reset}
    return spec.numbers | {n: v for n, v in of_fields.items() if v and not isinstance(v, str)}


def over_moments(spec: NeuronSpec) -> bool:
    """Whether the neurons have a state and need a net over time, as all that know the length of a
    moment.
    """
    return NEURONS[spec.kind]().at is not None


def has_numbers(kind: str) -> bool:
    """Whether a kind of neuron has numbers beside slope and threshold, which are fields."""
    return bool(hyperparameters(NEURONS[kind]).keys() - {"slope", "threshold"})


def takes(spec: NeuronSpec, name: str) -> bool:
    """Whether the kind of neuron has a parameter of this name."""
    return name in inspect.signature(NEURONS[spec.kind]).parameters


def resets_by_name(spec: NeuronSpec) -> bool:
    """Whether a name says what a spike does to the potential, and not a number of the neuron."""
    return takes(spec, "reset") and "reset" not in hyperparameters(NEURONS[spec.kind])


def noisy_neuron(spec: NeuronSpec, values: Mapping[str, Any]) -> Neuron:
    """The hidden neurons, with their noise."""
    if has_numbers(spec.kind):
        traced = {name: v for name, v in under("neuron.", values).items() if takes(spec, name)}
        given: dict[str, Any] = neuron_numbers(spec) | traced
        if resets_by_name(spec):
            given["reset"] = RESETS[str(spec.reset)]
        if takes(spec, "surrogate"):
            given["surrogate"] = SURROGATES[spec.surrogate.kind](**spec.surrogate.numbers)
        neuron = NEURONS[spec.kind](**given)
    else:
        curve = {"sigmoid": (spec.slope, spec.threshold), "softmax": (spec.slope,)}
        neuron = NEURONS[spec.kind](*curve.get(spec.kind, ()))
    if spec.tau_syn is not None:
        neuron = synaptic(neuron, values.get("neuron.tau_syn", spec.tau_syn))
    if spec.noise in NOISES:
        level = values.get("neuron.level", spec.level)
        return NOISES[spec.noise](neuron, level, **spec.noise_hyper)
    return neuron


def released(
    spec: NeuronSpec, layer: Layer, values: Mapping[str, Any], *, each_moment: bool = False
) -> Layer:
    """The layer of one moment with its noise of synapses, if it has any."""
    if spec.noise not in SYNAPTIC_NOISES:
        return layer
    level = values.get("neuron.level", spec.level)
    return SYNAPTIC_NOISES[spec.noise](layer, level, each_moment=each_moment, **spec.noise_hyper)


def behind(arm: Arm, layer: Layer) -> Layer:
    """The layer of one moment behind synapses with dynamics of their own, if the arm has some."""
    kind = arm.synapses.kind
    return layer if kind == "none" else SYNAPSES[kind](layer, **arm.synapses.numbers)


def cued(arm: Arm, layer: Layer) -> Layer:
    """The layer with gains that hear the cue of the data, if the arm's net has them."""
    return layer if arm.net.cue is None else contextual(layer, arm.net.cue)


def level_of(noise: Callable[..., Any]) -> Hyperparameter:
    """The strength of a noise: the number of it that has no default."""
    (level,) = (h for h in hyperparameters(noise).values() if h.required)
    return level


def further_of(noise: Callable[..., Any]) -> dict[str, Hyperparameter]:
    """The numbers of a noise beside its level; `each_moment` is a setting of its own."""
    known = hyperparameters(noise).items()
    return {n: h for n, h in known if not h.required and n != "each_moment"}


def under(head: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the keys that begin with `head`, by the rest of their keys."""
    return {
        name.removeprefix(head): value for name, value in values.items() if name.startswith(head)
    }


def positive(weights: Initializer) -> Initializer:
    """Uniform weights above 0, with the same mean square as those of `weights`."""

    def init(key, shape, dtype):
        return jax.random.uniform(key, shape, dtype) * jnp.sqrt(
            3 * jnp.mean(weights(key, shape, dtype) ** 2)
        )

    return init
