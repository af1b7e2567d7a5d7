"""What is local to one layer: its vector-Jacobian product, and the teaching signal that enters it.

Every rule of the form TEACHING SIGNAL x LOCAL ELIGIBILITY is written with these few functions:

    `pull`      dtheta_l = (1/B) sum_b g_b (d current_l / d theta_l)^T s_l
    `send`      signal at layer l's input = (d current_l / d input)^T s_l, at the feedback weights
    `through`   s_l = phi'(current_l) * signal at layer l's output

theta_l: parameters of layer l;  s_l: teaching signal at its current, per example;  g_b: gate of
example b;  phi: neurons;  B: examples. The mean over the batch is taken in `pull` and `backward`,
nowhere else.

Of a layer over time all arrays have the axis of moments, [B, T, ...]: `pull` sums over it, `send`
gives a signal at each moment, and `through` runs back through the neurons' own states. The path
through a layer's own synapses is in `backward` alone. `heard` is `Trace.heard[l]`.
`bioplaus.measure` tells the phases of a rule apart by the named scopes.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.gains import spans
from bioplaus.losses import bernoulli, binary_cross_entropy, cross_entropy, mse
from bioplaus.net import Trace, fire, layer_key
from bioplaus.outputs import at_moments, declared_by, entropy, over_asked, right_or_unknown
from bioplaus.salts import SYNAPSE
from bioplaus.types import Array, CreditFn, Gate, Key, Layer, Loss, Net, PyTree, Signals, SynapseFn


def by_vjp(synapse: SynapseFn) -> CreditFn:
    """The `credit` of ordinary synapses, by two vector-Jacobian products.

    One is by the parameters, the other by the input, at the feedback weights.
    """

    def credit(params, feedback, state, x, key, signal):
        with jax.named_scope("update"):
            grads = jax.vjp(lambda p: synapse(p, state, x, key)[1], params)[1](signal)[0]
        with jax.named_scope("credit"), jax.named_scope("feedback"):
            below = jax.vjp(lambda h: synapse(feedback, state, h, key)[1], x)[1](signal)[0]
        return grads, below

    return credit


def _credit(
    layer: Layer,
    params: PyTree,
    feedback: PyTree,
    x: Array,
    key: Key,
    signal: Array,
    heard: PyTree = (),
) -> tuple[PyTree, Array]:
    return layer.credit(params, feedback, heard, x, jax.random.fold_in(key, SYNAPSE), signal)


def pull(
    layer: Layer,
    params: PyTree,
    x: Array,
    key: Key,
    signal: Array,
    gate: ArrayLike | None = None,
    heard: PyTree = (),
) -> PyTree:
    """Gradient on one layer's parameters: (1/B) sum_b g_b (d current / d params)^T s_b.

    signal: s, [B, n]. gate: g, None, [], [B] or with all axes of the signal.
    """
    signal = _gated(signal, gate) / signal.shape[0]
    return _credit(layer, params, params, x, key, signal, heard)[0]


def send(
    layer: Layer,
    params: PyTree,
    feedback: PyTree,
    x: Array,
    key: Key,
    signal: Array,
    heard: PyTree = (),
) -> Array:
    """Signal at a layer's input: `signal` [B, n] at its current, sent back through `feedback`."""
    return _credit(layer, params, feedback, x, key, signal, heard)[1]


def through(layer: Layer, current: Array, key: Key, signal: Array) -> Array:
    """phi'(current) * signal: from a layer's output to its current.

    Uses the noise sample of the forward pass.
    """
    with jax.named_scope("credit"):
        if layer.time is not None:
            return layer.time.through(current, key, signal)
        return jax.vjp(lambda a: fire(layer, a, key), current)[1](signal)[0]


def backward(
    net: Net,
    params: PyTree,
    feedback: PyTree,
    trace: Trace,
    error: Array,
    key: Key,
    gates: tuple[ArrayLike | None, ...],
) -> PyTree:
    """Carry the output error back layer by layer: s_l = phi' * B_{l+1}^T s_{l+1}.

    feedback: B; with feedback = params this is backprop. Only a composite layer uses feedback[0].
    error: [B, C], per example, at the output. gates: one for each layer.
    Returns gradients with the tree of params.
    """
    if len(feedback) != len(net):
        raise ValueError(
            f"feedback has {len(feedback)} entries for a net of {len(net)} layers; make it with"
            " rule.init"
        )
    signal, grads = error / error.shape[0], [()] * len(net)
    for l in reversed(range(len(net))):
        layer, p, x, k = net[l], params[l], trace.inputs[l], layer_key(key, l)
        b = feedback[l] if l or layer.composite else p
        heard = trace.heard[l]
        if layer.time is None or layer.time.closed is None:
            signal = through(layer, trace.currents[l], k, signal)
        else:
            signal = layer.time.closed(p, b, trace.currents[l], k, signal)
        grads[l], below = _credit(layer, p, b, x, k, _gated(signal, gates[l]), heard)
        # A gate stops plasticity, but not the error on its way to the layer below.
        signal = below if gates[l] is None else send(layer, p, b, x, k, signal, heard)
    return tuple(grads)


def error_of(loss: Loss, output: Array, y: Array) -> tuple[Array, Array]:
    """Loss [B] and its derivative e [B, C] by the output, per example."""
    with jax.named_scope("credit"):
        losses, pullback = jax.vjp(lambda o: loss(o, y), output)
        return losses, pullback(jnp.ones_like(losses))[0]


NEGATIVE_LOG_LIKELIHOOD: dict[str, Loss] = {
    "logits": cross_entropy,
    "independent logits": binary_cross_entropy,
    "probabilities": bernoulli,
    "values": lambda output, y: mse(output, y) + output.shape[1] / 2 * math.log(2 * math.pi),
}
"""-log p(y | x) [B] in nats, for each kind of outputs."""


def signals_of(loss: Loss, losses: Array, output: Array, y: Array) -> Signals:
    """The signals that a gate may read, given the kind of outputs that the loss declares.

    If it declares no kind, all signals but the loss are None. For answers at each moment they are
    means over the asked moments, and the loss is the sum.
    """
    kind = declared_by(loss)
    if kind is None:
        return Signals(losses, None, None, None)  # type: ignore[arg-type]
    measured = (
        functools.partial(right_or_unknown, kind=kind),
        lambda output, y: entropy(output, kind),
        NEGATIVE_LOG_LIKELIHOOD[kind],
    )
    if at_moments(loss):
        return Signals(losses, *(over_asked(each, output, y) for each in measured))
    return Signals(losses, *(each(output, y) for each in measured))


class _LossOnly(Signals):
    """The signals under a loss that declares no kind of outputs: only the loss can be read."""

    def _refuse(self):
        raise ValueError(
            "gate: whether an answer is correct, its entropy and its surprise depend on the kind"
            " of outputs, which the loss does not declare; decorate it with @bp.outputs_are(kind)"
        )

    correct = entropy = surprise = property(_refuse)  # type: ignore[assignment]


def gates_of(gate: Gate, signals: Signals, depth: int) -> tuple[ArrayLike | None, ...]:
    """One gate for each layer. If `gate` is a function, it is called with the signals.

    Raises ValueError for a tuple that does not have one entry for each layer.
    """
    if callable(gate):
        gate = gate(signals if signals.correct is not None else _LossOnly(*signals))
    if not isinstance(gate, tuple):
        return (gate,) * depth
    if len(gate) != depth:
        raise ValueError(
            f"gate: got a tuple of {len(gate)} for a net of {depth} layers; give one entry for each"
            " layer (None is open)"
        )
    return gate


def spread(gate: ArrayLike | None, like: Array) -> Array:
    """A gate, None (open), [], [B] or with all axes, in the shape of `like`, a layer's signal.

    With all axes, each may be 1: where `like` is [B, H, W, n], a gate [B, 1, 1, n] is one number
    for each channel, and [B, H, W, 1] one for each place; under time, [B, T, 1] is one for each
    moment. Raises ValueError for a gate of another shape.
    """
    gate = jnp.ones((), like.dtype) if gate is None else jnp.asarray(gate, like.dtype)
    if gate.ndim and gate.shape != like.shape[:1] and not spans(gate.shape, like.shape):
        raise ValueError(
            f"gate: got shape {gate.shape} where a layer's signal is {like.shape}; give a scalar,"
            f" [B] = {like.shape[:1]}, or all axes, each 1 or as in {like.shape}"
        )
    return jnp.broadcast_to(
        gate.reshape(gate.shape + (1,) * (like.ndim - gate.ndim)) if gate.ndim else gate, like.shape
    )


def weighted(gate: ArrayLike | None, change: Array) -> Array:
    """`change` [B], one number for each example, times its gate: None, [] or [B].

    Raises ValueError for gates on units, [B, n_post].
    """
    if jnp.ndim(0.0 if gate is None else gate) > 1:
        raise ValueError(
            "gate: this rule has one number per example for all synapses of a layer, and no signal"
            " per unit that [B, n_post] could gate; give a scalar or [B]"
        )
    return change * spread(gate, change)


def _gated(signal: Array, gate: ArrayLike | None) -> Array:
    return signal if gate is None else signal * spread(gate, signal)
