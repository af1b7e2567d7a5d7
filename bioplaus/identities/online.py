"""RTRL, OTTT and DECOLLE: identities and negative controls, on whole sequences and on streams."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.any_net import by_layer, current_of, quiet, same
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
    squashed,
    truth,
)
from bioplaus.identities.eprop import NEURONS, in_pieces, moments
from bioplaus.layers import after, dense, mean_over_time, over_time, recurrent
from bioplaus.losses import at_each_moment, bernoulli, mse
from bioplaus.net import fire, forward, layer_key
from bioplaus.neurons import gaussian_current, lif
from bioplaus.outputs import at_moments
from bioplaus.rules.eprop import eprop
from bioplaus.types import Batch, Layer, Net, PyTree, RuleFactory

TAU, GAMMA = 5.0, 0.3


def pieces(key: str, factory: RuleFactory, p: Problem, name: str) -> Iterator[Check]:
    """Pieces of one moment, and ragged ones, teach together what the whole teaches."""
    rule = factory(p.net, p.loss)
    assert rule.stream is not None
    state = rule.stream.init(jax.random.key(6), p.params, p.batch)
    whole = jax.jit(rule.grad)(p.params, state.learned, p.batch, p.key)[0]
    for cuts, word in (([1] * 8, "pieces of one moment"), ([3, 1, 1, 3], "ragged pieces")):
        got = in_pieces(rule.stream, p, cuts, state)[0]
        yield same(key, f"the whole sequence in {word}, {name}", got, whole, 1e-11)
    forgetful = in_pieces(rule.stream, p, [3, 1, 1, 3], state, kept=False)[0]
    gap = relative(by_layer(forgetful), by_layer(whole))
    yield large(key, f"pieces that forget the ones before, {name}", gap, 1e-2)


# --- RTRL


def rtrl_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be real-time recurrent learning."""
    yield from rtrl_on_net(factory, problem((4, 3, 3)))
    rates = moments(gaussian_current(NEURONS["leaky rate neurons"], 0.3))
    yield from rtrl_on_net(factory, rates, ", recurrent rate neurons with noise")
    p = moments(gaussian_current(NEURONS["ALIF neurons"], 0.3))
    yield from rtrl_on_net(factory, p, ", recurrent ALIF neurons with noise")
    yield from pieces("rtrl", factory, p, "ALIF neurons with noise")


def rtrl_on_net(factory: RuleFactory, p: Problem, name: str = "") -> Iterator[Check]:
    """RTRL on a net of the caller's, with its noise. The control is e-prop, which leaves out what
    goes through the spikes of others."""
    grads = gradient(factory, p)[0]
    yield same("rtrl", "backprop" + name, grads, truth(p), 1e-9)
    local = relative(by_layer(gradient(eprop, p)[0]), by_layer(grads))
    yield large("rtrl", "e-prop: relative difference" + name, local, 1e-3)


# --- OTTT


def leaking(*layers: Layer) -> Problem:
    """A net of these layers and a readout without a state, 8 moments, a target at each."""
    net: Net = (*layers, over_time(dense(3)))
    p = pose(net, (3, 8, 4), 3, at_each_moment(mse), gain=2.0)
    draw = np.random.default_rng(4)
    x = jnp.asarray((draw.random((3, 8, 4)) < 0.5).astype(float))
    return p._replace(batch=Batch(x, jnp.asarray(draw.standard_normal((3, 8, 3)))))


def ottt_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be online training through time."""
    yield from ottt_on_net(factory, problem())
    one = leaking(recurrent(dense(6, lif(TAU)), dense(6)))
    grads = gradient(factory, one)[0]
    name = "e-prop with symmetric feedback, one recurrent layer of LIF neurons"
    yield equal("ottt", name, grads, gradient(eprop, one, symmetric=True)[0], 1e-12)
    gap = relative(grads[0], truth(one)[0])
    yield large("ottt", "backprop through time: relative difference, first layer", gap, 0.05)

    two = leaking(over_time(dense(6, lif(TAU))), over_time(dense(5, lif(TAU))))
    grads = gradient(factory, two)[0]
    yield equal(
        "ottt", "the sums of the paper by hand, two layers", grads, ottt_by_hand(two), 1e-12
    )
    through_time = relative(grads[0], truth(two)[0])
    yield large("ottt", "backprop through time, two layers: first layer", through_time, 0.01)
    without = relative(grads[:2], ottt_by_hand(two, leak=0.0)[:2])
    yield large("ottt", "the sums of the paper without traces of inputs", without, 0.05)
    deep = leaking(recurrent(dense(6, lif(TAU)), dense(6)), over_time(dense(5, lif(TAU))))
    yield from pieces("ottt", factory, deep, "LIF neurons")


def ottt_by_hand(p: Problem, leak: float | None = None) -> PyTree:
    """The sums of the paper for layers that do not hear themselves, in numpy. leak: of traces."""
    a = np.exp(-1 / TAU)
    keep = a if leak is None else leak
    params, x, y = jax.tree.map(np.asarray, (p.params, p.batch.x, p.batch.y))
    potentials = [np.zeros((len(x), w["w"].shape[1])) for w in params[:-1]]
    sums = [np.zeros((len(x), w["w"].shape[0])) for w in params]
    counts = np.zeros(len(params))
    grads = jax.tree.map(np.zeros_like, params)
    for t in range(x.shape[1]):
        h, slopes = [x[:, t]], []
        for l, w in enumerate(params[:-1]):
            u = a * potentials[l] + h[-1] @ w["w"] + w["b"]
            z = (u > 1) * 1.0
            potentials[l] = u - z
            slopes.append(GAMMA * np.maximum(0, 1 - np.abs(u - 1)))
            h.append(z)
        signal = h[-1] @ params[-1]["w"] + params[-1]["b"] - y[:, t]
        kept = [*[keep] * len(slopes), 0.0]
        for l in reversed(range(len(params))):
            sums[l], counts[l] = kept[l] * sums[l] + h[l], kept[l] * counts[l] + 1
            grads[l]["w"] += sums[l].T @ signal / len(x)
            grads[l]["b"] += counts[l] * signal.mean(0)
            if l:
                signal = signal @ params[l]["w"].T * slopes[l - 1]
    return grads


def ottt_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """OTTT on a net of the caller's of one moment, where it is backprop."""
    grads = gradient(factory, p)[0]
    yield same("ottt", "backprop on a net of one moment", grads, truth(p))
    turned = relative(by_layer(grads), by_layer(jax.tree.map(jnp.negative, truth(p))))
    yield large("ottt", "backprop uphill: relative difference", turned, 1.0)


# --- DECOLLE


def decolle_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be DECOLLE."""
    yield from decolle_on_net(factory, problem())
    p = problem()
    state = gradient(factory, p)[1]
    doubled = gradient(factory, p, scale=2.0)[1]
    want = jax.tree.map(lambda g: 2.0 * g, state.heads)
    yield equal("decolle", "scale multiplies G", doubled.heads, want, 1e-12)
    yield from decolle_on_net(factory, squashed(bernoulli), ", outputs are probabilities")
    pooled = pose(
        (over_time(dense(6, lif(TAU))), after(mean_over_time, dense(3))), (3, 8, 4), 3, gain=2.0
    )
    yield from decolle_on_net(factory, pooled, ", one label a sequence")
    p = moments(gaussian_current(NEURONS["ALIF neurons"], 0.3), wide=2)
    yield from decolle_on_net(factory, p, ", two recurrent layers of ALIF neurons with noise")
    yield from pieces("decolle", factory, p, "ALIF neurons with noise")


def decolle_on_net(factory: RuleFactory, p: Problem, name: str = "") -> Iterator[Check]:
    """DECOLLE on a net of the caller's: each layer descends the loss of its own readout."""
    grads, state, _ = gradient(factory, p)
    heads = [np.asarray(g) for g in state.heads]
    want = local_descent(p, heads)
    yield same("decolle", "jax.grad of each layer's own loss" + name, grads, want)
    yield same("decolle", "the last layer equals backprop" + name, grads[-1:], truth(p)[-1:])
    through_all = relative(by_layer(grads[:-1]), by_layer(truth(p)[:-1]))
    yield large("decolle", "backprop: relative difference, hidden layers" + name, through_all, 0.1)
    others = relative(by_layer(grads[:-1]), by_layer(local_descent(p, [-g for g in heads])[:-1]))
    yield large("decolle", "other readouts: relative difference" + name, others, 0.1)


def local_descent(p: Problem, heads: list[np.ndarray]) -> PyTree:
    """`jax.grad` of the sum of all layers' own losses, each at inputs that are held."""
    last = len(p.net) - 1

    def own(l: int, out: jax.Array) -> jax.Array:
        if l == last:
            return p.loss(out, p.batch.y)
        answer = jnp.tensordot(out, heads[l], heads[l].ndim - 1)
        if p.net[last].time is None:  # these have output neurons without a state
            answer = fire(quiet(p).net[last], answer, p.key)
        if p.net[l].time is None or at_moments(p.loss):
            return p.loss(answer, p.batch.y)
        return jax.vmap(lambda o: p.loss(o, p.batch.y), 1)(answer).mean(0)  # moments first

    def loss(params):
        trace = forward(p.net, p.params, p.batch.x, p.key)
        total = jnp.zeros(())
        for l, layer in enumerate(p.net):
            out = fire(layer, current_of(p, l, params[l], trace), layer_key(p.key, l))
            total = total + own(l, out).sum()
        return total / len(p.batch.y)

    return jax.jit(jax.grad(loss))(p.params)


FAMILIES = {
    "decolle": Family(
        decolle_checks,
        decolle_on_net,
        credit="the error of each layer's own random readout, at each moment",
        equals="never",
    ),
    "ottt": Family(
        ottt_checks,
        ottt_on_net,
        credit="W, at each moment, not back in time",
        equals="nets of one moment",
        spiking="OTTT represents neurons that only leak, and these nets have adaptive ones",
    ),
    "rtrl": Family(
        rtrl_checks,
        rtrl_on_net,
        credit="all that a parameter has done to all states",
        equals="always",
    ),
}
