"""A learning rule that also keeps its neurons from firing too much, or too little.

    E_l = c / 2 sum_j (r_j - f)^2,    r_j = (1 / (B T dt)) sum_b sum_t z_bjt
Each layer of spiking neurons adds the gradient of its own E_l by its own parameters to what the
rule gives it. z: [B, T, n_l] spikes;  r_j: spikes per ms of unit j, mean over batch and moments;
f: target;  c: strength;  T: moments of dt ms. The signal starts at the layer's output,
dE_l / dz_bjt = c (r_j - f) / (B T dt), and never leaves the layer: it passes the neurons' own
states and, in a recurrent layer, the layer's own synapses.

Bellec et al., "A solution to the learning dilemma for recurrent networks of spiking neurons", 2020,
doi:10.1038/s41467-020-17236-y. Departures: e-prop carries this signal with eligibility traces, and
leaves out the path through a recurrent layer's own synapses. Here E_l is descended exactly.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.entry import learning_rule
from bioplaus.hyper import NonNegative, declared
from bioplaus.local import gates_of, pull, through
from bioplaus.net import Trace, forward, layer_key
from bioplaus.support import needs_rewards, over_time_of, takes_added
from bioplaus.types import Array, Gate, Info, Key, Layer, Loss, Net, PyTree, Rule, RuleFactory


class RateInfo(Info):
    """rate: [], mean spikes per ms of all spiking units."""

    rate: Array


@declared
def rate_regularised(
    factory: RuleFactory, target: NonNegative = 0.01, strength: NonNegative = 1.0
) -> RuleFactory:
    """A factory (net, loss) -> Rule of the regularised rule, on any rule.

    target: f, spikes per ms; 0.01 is 10 Hz. strength: c, in units of the loss times ms^2. info has
    another entry 'rate', the mean rate in spikes per ms. Layers that do not fire learn as under the
    rule alone, and a net without any gets the rule itself.

        factory = bp.rate_regularised(bp.rules.feedback_alignment, target=0.02, strength=50.0)
        rule = factory(net, loss)

    Bind hyperparameters beforehand: rate_regularised(functools.partial(rule, sigma=0.1)). A gate
    gates this part as it does the rule's. Feedback weights that learn as the forward weights do
    (Kolen-Pollack) change by this part too: both ends of a synapse see it. Modulate and encode on
    the outside, modulate(rate_regularised(rule), modulator): what fires is the net that they hand
    on. The forward pass is written a second time, and the compiler merges the two where the rule
    runs the net as it is.
    """

    if not callable(factory):
        raise ValueError(
            f"rate_regularised: got {type(factory).__name__}, expected a rule's factory, as"
            " bp.rules.backprop; the net and the loss come afterwards, factory(net, loss)"
        )

    @learning_rule(time=over_time_of(factory), rewards=needs_rewards(factory))
    def regularised(net: Net, loss: Loss) -> Rule:
        rule = factory(net, loss)
        if not any(_fires(layer) for layer in net):
            return rule

        learn: Any = rule.grad

        def grad(params, state, batch, key, gate: Gate = None):
            def own(trace, gates):
                return _penalties(net, params, trace, gates, key, target, strength)

            more = {"added": own} if takes_added(factory) else {}
            grads, state, info = learn(params, state, batch, key, gate, **more)
            trace = forward(net, params, batch.x, key)
            if not more:
                gates = gates_of(gate, info["signals"], len(net))
                grads = jax.tree.map(jnp.add, grads, own(trace, gates))
            rates = [_rate(layer, trace, l).ravel() for l, layer in enumerate(net) if _fires(layer)]
            return grads, state, RateInfo(**info, rate=jnp.concatenate(rates).mean())

        return Rule(rule.init, grad, rule.predict)

    return regularised


def _fires(layer: Layer) -> bool:
    return layer.time is not None and layer.neuron.spikes


def _rate(layer: Layer, trace: Trace, l: int) -> Array:
    """Of each unit of layer l, spikes per ms."""
    assert layer.time is not None
    return trace.outputs[l].mean((0, 1)) / layer.time.dt


def _penalties(
    net: Net,
    params: PyTree,
    trace: Trace,
    gates: Sequence[ArrayLike | None],
    key: Key,
    target: ArrayLike,
    strength: ArrayLike,
) -> PyTree:
    """The gradient of each layer's E_l by its own parameters; 0 for layers that do not fire."""
    found = [jax.tree.map(jnp.zeros_like, p) for p in params]
    for l, layer in enumerate(net):
        if layer.time is not None and _fires(layer):
            z, moments = trace.outputs[l], trace.outputs[l].shape[1]
            excess = strength * (_rate(layer, trace, l) - target) / (moments * layer.time.dt)
            signal, k = jnp.broadcast_to(excess, z.shape), layer_key(key, l)
            found[l] = _pulled(layer, params[l], trace, l, k, signal, gates[l])
    return tuple(found)


def _pulled(
    layer: Layer,
    params: PyTree,
    trace: Trace,
    l: int,
    key: Key,
    signal: Array,
    gate: ArrayLike | None,
) -> PyTree:
    """The gradient of a layer's parameters that a signal at its output makes, inside the layer."""
    current = trace.currents[l]
    if layer.time is None or layer.time.closed is None:
        signal = through(layer, current, key, signal)
    else:
        signal = layer.time.closed(params, params, current, key, signal)
    return pull(layer, params, trace.inputs[l], key, signal, gate, trace.heard[l])
