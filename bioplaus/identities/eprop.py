"""e-prop: identities and negative controls, on whole sequences and on streams."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bioplaus.identities.any_net import apart, by_layer, same
from bioplaus.identities.common import (
    Check,
    Family,
    Problem,
    equal,
    gradient,
    large,
    pose,
    problem,
    relative,
    small,
    steps,
    truth,
)
from bioplaus.layers import dense, over_time, recurrent
from bioplaus.losses import at_each_moment, mse
from bioplaus.neurons import alif, gaussian_current, izhikevich, leaky, lif, synaptic, tanh
from bioplaus.rules.direct_feedback_alignment import direct_feedback_alignment
from bioplaus.types import Batch, Neuron, PyTree, Rule, RuleFactory

TAU, TAU_ADAPT, BETA, TAU_OUT, GAMMA = 5.0, 30.0, 0.3, 8.0, 0.3
RATE, DECAY = 0.1, 0.5
NEURONS: dict[str, Neuron] = {
    "ALIF neurons": alif(TAU, TAU_ADAPT, BETA),
    "LIF neurons": lif(TAU),
    "Izhikevich's neurons": izhikevich(),
    "leaky rate neurons": synaptic(tanh(), TAU),
}


def moments(neuron: Neuron, *, scale: float = 1.0, wide: int = 1) -> Problem:
    """A recurrent layer of 6 and a leaky readout, 8 moments, a target at each. scale: of inputs.
    wide: how many such layers stand below the readout."""
    layers = (recurrent(dense(6, neuron), dense(6)) for _ in range(wide))
    net = (*layers, over_time(dense(3, leaky(TAU_OUT))))
    p = pose(net, (3, 8, 4), 3, at_each_moment(mse), gain=2.0)
    draw = np.random.default_rng(4)
    x = jnp.asarray(scale * (draw.random((3, 8, 4)) < 0.5))
    return p._replace(batch=Batch(x, jnp.asarray(draw.standard_normal((3, 8, 3)))))


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be e-prop."""
    p = problem()
    grads, state, _ = gradient(factory, p)
    direct = gradient(direct_feedback_alignment, p, lambda s: s._replace(feedback=state.feedback))
    name = "direct feedback alignment with the same B, on a net of one moment"
    yield equal("eprop", name, grads, direct[0], 1e-12)
    doubled = gradient(factory, p, scale=2.0)[1].feedback
    want = jax.tree.map(lambda b: 2.0 * b, state.feedback)
    yield equal("eprop", "scale multiplies B", doubled, want, 1e-12)
    yield from _by_hand(factory)
    yield from _symmetric(factory)
    for name in NEURONS:
        yield from _in_pieces(factory, name)
    yield from _gated(factory)
    yield from _adaptive(factory)


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """e-prop on a net of the caller's, with its noise."""
    grads, state, _ = gradient(factory, p)
    direct = gradient(direct_feedback_alignment, p, lambda s: s._replace(feedback=state.feedback))
    yield same("eprop", "direct feedback alignment over time with the same B", grads, direct[0])
    yield same("eprop", "the last layer equals backprop", grads[-1:], truth(p)[-1:])
    yield from apart("eprop", p, grads)


# --- The recursion of the paper


def _by_hand(factory: RuleFactory) -> Iterator[Check]:
    p = moments(NEURONS["ALIF neurons"])
    grads, state, _ = gradient(factory, p)
    feedback = np.asarray(state.feedback[0])
    name = "the recursion of the paper, ALIF neurons, random B"
    yield equal("eprop", name, grads[0], recursion(p, feedback), 1e-12)
    unfiltered = relative(grads[0], recursion(p, feedback, kappa=0.0))
    yield large("eprop", "the same without the readout's filter", unfiltered, 0.05)
    forgets = relative(grads[0], recursion(p, feedback, adapts=False))
    yield large("eprop", "the same without the eligibility of the adaptation", forgets, 0.01)


def recursion(
    p: Problem, feedback: np.ndarray, kappa: float | None = None, adapts: bool = True
) -> PyTree:
    """Eligibilities of one recurrent layer of ALIF neurons, moment by moment, in numpy.

    eps_v = a eps_v + pre,  de = psi (eps_v - beta eps_b),  eps_b = r eps_b + de,
    ebar = kappa ebar + (1 - kappa) de,  dW = (1/B) sum_t L_t ebar_t.
    """
    a, r = np.exp(-1 / TAU), np.exp(-1 / TAU_ADAPT)
    k = np.exp(-1 / TAU_OUT)
    keep = k if kappa is None else kappa
    (layer, out), x, y = jax.tree.map(np.asarray, (p.params, p.batch.x, p.batch.y))
    w = np.concatenate([layer["in"]["w"], layer["back"]["w"], np.ones((1, 6))])
    bias = layer["in"]["b"] + layer["back"]["b"]
    shape = (len(x), *w.shape)
    v, b, z, o = (np.zeros((len(x), n)) for n in (6, 6, 6, 3))
    eps_v, eps_b, filtered, total = (np.zeros(shape) for _ in range(4))
    for t in range(x.shape[1]):
        pre = np.concatenate([x[:, t], z, np.ones((len(x), 1))], 1)
        u = a * v + pre[:, :-1] @ w[:-1] + bias
        s = u - 1 - BETA * b
        z, psi = (s > 0) * 1.0, GAMMA * np.maximum(0, 1 - np.abs(s))
        eps_v = a * eps_v + pre[:, :, None]
        change = psi[:, None] * (eps_v - BETA * eps_b * adapts)
        eps_b, v, b = r * eps_b + change, u - z, r * b + z
        filtered = keep * filtered + (1 - k) * change
        o = k * o + (1 - k) * (z @ out["w"] + out["b"])
        total += ((o - y[:, t]) @ feedback)[:, None] * filtered
    mean = total.mean(0)
    return {"in": {"w": mean[:4], "b": mean[-1]}, "back": {"w": mean[4:10], "b": mean[-1]}}


# --- Symmetric feedback


def _symmetric(factory: RuleFactory) -> Iterator[Check]:
    p = moments(NEURONS["ALIF neurons"])
    grads = gradient(factory, p, symmetric=True)[0]
    cut = jax.jit(jax.grad(lambda w: unrolled(p, w, cut=True)))(p.params)
    name = "backprop through time that does not pass the layer's own spikes, B = W_out^T"
    yield equal("eprop", name, grads, cut, 1e-12)
    gap = relative(grads[0], truth(p)[0])
    yield large("eprop", "backprop through time: relative difference, first layer", gap, 0.05)


def unrolled(p: Problem, params: PyTree, cut: bool) -> jax.Array:
    """The mean loss of the net of `moments`, in a loop; cut: no derivative by heard spikes."""
    neuron, readout = (layer.time.moment.neuron for layer in p.net if layer.time)
    state, z = neuron.init(jnp.zeros((3, 6))), jnp.zeros((3, 6))
    o, total = jnp.zeros((3, 3)), 0.0
    for t in range(p.batch.x.shape[1]):
        own = jax.lax.stop_gradient(z) if cut else z
        current = sum(
            h @ params[0][part]["w"] + params[0][part]["b"]
            for h, part in ((p.batch.x[:, t], "in"), (own, "back"))
        )
        state, z = neuron.step(state, current, p.key)
        o, answer = readout.step(o, z @ params[1]["w"] + params[1]["b"], p.key)
        total = total + mse(answer, p.batch.y[:, t])
    return jnp.mean(total)


# --- Streams


def in_pieces(
    stream: Rule,
    p: Problem,
    cuts: list[int],
    state: PyTree,
    kept: bool = True,
    gate: tuple[jax.Array, ...] | None = None,
) -> tuple[PyTree, PyTree]:
    """(sum of the gradients of pieces, the last state). kept: whether a piece goes on where the
    one before has ended; else each begins at rest. gate: of all moments, one for each layer."""
    grad, at, total, first = jax.jit(stream.grad), 0, None, state
    for length in cuts:
        piece, gates = jax.tree.map(lambda a, at=at, n=length: a[:, at : at + n], (p.batch, gate))
        grads, state, _ = grad(p.params, state if kept else first, piece, p.key, gates)
        total = grads if total is None else jax.tree.map(jnp.add, total, grads)
        at += length
    return total, state


def _in_pieces(factory: RuleFactory, name: str) -> Iterator[Check]:
    neuron = gaussian_current(NEURONS[name], 0.3)
    scale = 20.0 if name == "Izhikevich's neurons" else 1.0  # so that they fire
    p = moments(neuron, scale=scale, wide=2 if name == "LIF neurons" else 1)
    rule = factory(p.net, p.loss)
    assert rule.stream is not None
    state = rule.stream.init(jax.random.key(6), p.params, p.batch)
    whole = jax.jit(rule.grad)(p.params, state.learned, p.batch, p.key)[0]
    for cuts, word in (([1] * 8, "pieces of one moment"), ([3, 1, 1, 3], "ragged pieces")):
        got = in_pieces(rule.stream, p, cuts, state)[0]
        yield same("eprop", f"the whole sequence in {word}, {name} with noise", got, whole, 1e-11)
    forgetful = in_pieces(rule.stream, p, [3, 1, 1, 3], state, kept=False)[0]
    forgot = relative(by_layer(forgetful), by_layer(whole))
    yield large("eprop", f"pieces that forget the ones before, {name}", forgot, 1e-2)


def _gated(factory: RuleFactory) -> Iterator[Check]:
    """A gate of moments acts on the errors of these moments, wherever a sequence is cut."""
    p = moments(NEURONS["LIF neurons"])
    draw = np.random.default_rng(5)
    gate = tuple(jnp.asarray(draw.random(shape)) for shape in ((3, 8, 1),) * 2)
    rule = factory(p.net, p.loss)
    assert rule.stream is not None
    state = rule.stream.init(jax.random.key(6), p.params, p.batch)
    whole = jax.jit(rule.grad)(p.params, state.learned, p.batch, p.key, gate)[0]
    got = in_pieces(rule.stream, p, [1] * 8, state, gate=gate)[0]
    yield same("eprop", "a gate of moments, in pieces of one moment", got, whole, 1e-11)
    free = jax.jit(rule.grad)(p.params, state.learned, p.batch, p.key)[0]
    gap = relative(by_layer(free), by_layer(whole))
    yield large("eprop", "no gate: relative difference", gap, 0.1)


# --- Adaptive feedback


def _adaptive(factory: RuleFactory) -> Iterator[Check]:
    p = moments(NEURONS["LIF neurons"])
    tx = optax.chain(optax.add_decayed_weights(DECAY), optax.sgd(RATE))
    options: dict[str, Any] = {"adaptive": True, "tx": tx}
    rule = factory(p.net, p.loss, **options)
    state = rule.init(jax.random.key(6), p.params, p.batch)
    params, after = steps(rule, p, state, tx, 3)
    first, left = (w[1]["w"] - s.feedback[0].T for w, s in ((p.params, state), (params, after)))
    name = "W_out - B^T shrinks by 1 - lr wd a step, as in Kolen and Pollack"
    yield equal("eprop", name, left, (1 - RATE * DECAY) ** 3 * first, 1e-11)
    moved = relative(params[1]["w"], (1 - RATE * DECAY) ** 3 * p.params[1]["w"])
    yield large("eprop", "W_out learns meanwhile: relative change", moved, 1e-2)
    fixed = factory(p.net, p.loss).grad(p.params, state._replace(opt=()), p.batch, p.key)[1]
    yield small("eprop", "random B never changes", relative(fixed.feedback, state.feedback), 0.0)

    assert rule.stream is not None
    streams = rule.stream.init(jax.random.key(6), p.params, p.batch)
    once = in_pieces(rule.stream, p, [8], streams)[1].learned
    whole = rule.grad(p.params, streams.learned, p.batch, p.key)[1]
    name = "adaptive B of a stream, after one piece of all moments"
    yield equal("eprop", name, once.feedback, whole.feedback, 1e-11)


FAMILIES = {
    "eprop": Family(
        checks,
        on_net,
        credit="fixed, symmetric or adaptive weights from the readout, at each moment",
        equals="one hidden layer that does not hear itself, and B = W_out^T",
    )
}
