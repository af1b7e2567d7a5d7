"""Hebbian and competitive learning: hidden layers learn from what they see, the readout alone from the labels.

    dW_l = (1/B) [(x - m)^T s - W_l M],    u = (x - m) W_l,    dW_L = -(1/B) h_{L-1}^T (phi'(a_L) * e)
    m <- m + averaging (mean x - m),       db_l = -(m W_l + b_l)
x: [B, n_{l-1}] input of layer l, m its running mean;  u: [B, n_l] current relative to that of the mean input;  e: [B, C] error.
    hebb       s = h, the output,                                            M = 0,  m = 0, and b_l learns as synapses of input 1
    oja        s = u,                                                        M = u^T u
    sanger     s = u,                                                        M = the upper triangle of u^T u
    bcm        s = u (u - theta),  theta <- theta + rate (mean u^2 / u_0 - theta),    M = 0
    softhebb   s = softmax(u / T),                                           M = diag(sum_b s * u)
    krotov     s = 1 for the winner, -delta for the unit of rank k, else 0,  M = diag(sum_b s * u)
What is returned is -dW, to be descended. A convolution learns at every position, by its patches. Competition reads the currents;
features are what the net's own neurons make of them, kept in the middle of their range by the bias (homeostasis).

Hebb, "The Organization of Behavior", 1949. Oja, "Simplified neuron model as a principal component analyzer", 1982,
doi:10.1007/BF00275687; several units: Oja, "Neural networks, principal components, and subspaces", 1989.
Sanger, "Optimal unsupervised learning in a single-layer linear feedforward neural network", 1989.
Bienenstock, Cooper, Munro, "Theory for the development of neuron selectivity", 1982, doi:10.1523/JNEUROSCI.02-01-00032.1982.
Moraitis et al., "SoftHebb: Bayesian inference in unsupervised Hebbian soft winner-take-all networks", 2022, arXiv:2107.05747;
Journe et al., "Hebbian Deep Learning Without Feedback", 2023, arXiv:2209.11883 (losers; rates by the norm).
Krotov and Hopfield, "Unsupervised learning by competing hidden units", 2019, arXiv:1806.10181, at p = 2, R = 1.
Departures: all layers learn at once. m stands for data of zero mean, or for the papers' normalisation of a layer's input
(averaging = 0 leaves it out); homeostasis for biases that the papers do not have, or learn otherwise. theta has the mean of u^2.
No division of an update by its largest entry, which would mix the examples.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.local import error_of, gates_of, pull, signals_of, spread, through
from bioplaus.net import current_shapes, drive, forward, layer_key, predictor
from bioplaus.types import Array, Key, Layer, Loss, Net, PyTree, Rule


class State(NamedTuple):
    """mean: m, one a hidden layer; threshold: theta [n_l], one a hidden layer, () but for bcm."""

    mean: tuple[Array, ...]
    threshold: tuple[Array, ...]


class Seen(NamedTuple):
    """What a hidden layer learns from. u: [B, n_l] current relative to that of the mean input; theta: None but for bcm."""

    layer: Layer
    params: PyTree
    x: Array
    mean: Array
    u: Array
    theta: Array | None
    key: Key


def hebb(net: Net, loss: Loss) -> Rule:
    """What fires together wires together, without bound: units come to the direction of largest power, all of them to one."""

    def grad(params, state, batch, key, gate=None):
        trace, k, gates, readout, info = _readout(net, loss, params, batch, key, gate)
        h, hidden = trace.inputs, range(len(net) - 1)
        return (*(pull(net[l], params[l], h[l], k[l], -h[l + 1], gates[l]) for l in hidden), readout), state, info

    return Rule(lambda key, params, batch: (), grad, predictor(net))


def oja(net: Net, loss: Loss, *, averaging: ArrayLike = 0.05) -> Rule:
    """The principal subspace of a layer's input; one unit finds the first component. Costs n_l^2 more, and n_{l-1} n_l^2 a batch."""
    return _rule(net, loss, averaging, _decorrelating(lambda m: m))


def sanger(net: Net, loss: Loss, *, averaging: ArrayLike = 0.05) -> Rule:
    """The principal components in order: unit k sees what units 1 ... k - 1 have left. Costs as `oja`."""
    return _rule(net, loss, averaging, _decorrelating(jnp.triu))


def bcm(net: Net, loss: Loss, *, target: ArrayLike = 0.1, rate: ArrayLike = 0.1, averaging: ArrayLike = 0.05) -> Rule:
    """Selectivity: without averaging, a unit comes to answer u_0 / p to one pattern of probability p, and 0 to the others.

    target: u_0, in units of the current. rate: of theta, a step; slower than W, both oscillate.
    """

    def slide(seen, gate):
        change = spread(gate, seen.u) * (seen.u**2 / target - seen.theta)
        return seen.theta + rate * change.reshape(-1, change.shape[-1]).mean(0)

    return _rule(net, loss, averaging, lambda seen, gate: _product(seen, seen.u * (seen.u - seen.theta), gate), slide)


def repelling(v: Array) -> Array:
    """Softmax, negative for all but the winner: the losers move away (Journe et al.)."""
    return jax.nn.softmax(v) * jnp.where(v == v.max(-1, keepdims=True), 1, -1)


def softhebb(
    net: Net,
    loss: Loss,
    *,
    temperature: ArrayLike = 0.01,
    power: ArrayLike = 0.5,
    averaging: ArrayLike = 0.05,
    competition: Callable[[Array], Array] = jax.nn.softmax,
) -> Rule:
    """Soft competition: units share out the input; weights tend to length 1. Nothing is locked, or sent back.

    temperature: T, in units of the current. power: a unit learns at | |w| - 1 |^power of the rate (Journe et al.: 0.5; 0 leaves that
    out). competition: (u / T) -> s; `repelling` is that of deep nets.
    """

    def growth(seen, gate):
        def paced(w, g):
            norm = jnp.sqrt((w**2).sum(tuple(range(w.ndim - 1))))
            return g * jnp.abs(norm - 1) ** power if w.ndim > 1 else g

        return jax.tree.map(paced, seen.params, _bounded(seen, competition(seen.u / temperature), gate))

    return _rule(net, loss, averaging, growth)


def krotov(net: Net, loss: Loss, *, rank: int = 2, delta: ArrayLike = 0.05, averaging: ArrayLike = 0.05) -> Rule:
    """Hard competition: the winner moves towards the input, the unit of rank k away. Raises ValueError for layers of fewer units."""

    def growth(seen, gate):
        if not 2 <= rank <= seen.u.shape[-1]:
            raise ValueError(f"krotov: rank is {rank}; expected 2 to the number of units of a hidden layer, {seen.u.shape[-1]}")
        best = jax.lax.top_k(seen.u, rank)[0]
        s = jnp.where(seen.u == best[..., -1:], -jnp.asarray(delta, seen.u.dtype), 0)
        return _bounded(seen, jnp.where(seen.u == best[..., :1], 1, s), gate)

    return _rule(net, loss, averaging, growth)


def _product(seen: Seen, s: Array, gate) -> PyTree:
    """(1/B) sum_b g_b (x_b - m)^T s_b; that of the bias cancels."""
    at_mean = (spread(gate, s) * s).mean(0, keepdims=True)
    parts = pull(seen.layer, seen.params, seen.x, seen.key, s, gate), pull(*seen[:2], seen.mean[None], seen.key, at_mean)
    return jax.tree.map(jnp.subtract, *parts)


def _bounded(seen: Seen, s: Array, gate) -> PyTree:
    """(1/B) sum_b g_b s_b (x_b - m - u_b w): where s u is positive on average, weights tend to length 1."""
    decay = (spread(gate, s) * s * seen.u).sum(tuple(range(s.ndim - 1))) / len(s)
    return jax.tree.map(lambda w, g: g - decay * w if w.ndim > 1 else g, seen.params, _product(seen, s, gate))


def _decorrelating(part: Callable[[Array], Array]):
    """(1/B) [(x - m)^T u - W part(u^T u)]."""

    def growth(seen, gate):
        u, gated = (a.reshape(-1, a.shape[-1]) for a in (seen.u, spread(gate, seen.u) * seen.u))
        with jax.named_scope("update"):
            m = part(u.T @ gated) / len(seen.u)
            decay = jax.tree.map(lambda w: jnp.tensordot(w, m, 1) if w.ndim > 1 else 0 * w, seen.params)
        return jax.tree.map(jnp.subtract, _product(seen, seen.u, gate), decay)

    return growth


def _readout(net: Net, loss: Loss, params: PyTree, batch, key: Key, gate):
    trace = forward(net, params, batch.x, key)
    losses, error = error_of(loss, trace.output, batch.y)
    signals = signals_of(losses, trace.output, batch.y)
    gates, k = gates_of(gate, signals, len(net)), [layer_key(key, l) for l in range(len(net))]
    taught = through(net[-1], trace.currents[-1], k[-1], error)
    readout = pull(net[-1], params[-1], trace.inputs[-1], k[-1], taught, gates[-1])
    return trace, k, gates, readout, {"loss": losses.mean(), "signals": signals}


def _rule(net: Net, loss: Loss, averaging: ArrayLike, growth: Callable, slide: Callable | None = None):
    """growth: (seen, gate) -> dW of a hidden layer; slide: (seen, gate) -> theta. averaging: rate of m, a step."""
    hidden = range(len(net) - 1)

    def init(key, params, batch):
        currents = current_shapes(net, params, batch, key)
        inputs = jax.eval_shape(lambda p, x: forward(net, p, x, key).inputs, params, batch.x)
        for l in hidden:
            shapes = [jnp.shape(w) for w in jax.tree.leaves(params[l])]
            if len(shapes) > 2 or [s[-1] for s in shapes if len(s) > 1] != [currents[l].shape[-1]]:
                raise ValueError(
                    f"layer {l}: weights [..., n] and at most one bias are expected, not {shapes}; use plain synapses"
                )
        mean = tuple(jnp.zeros(inputs[l].shape[1:], inputs[l].dtype) for l in hidden)
        return State(mean, tuple(jnp.zeros(currents[l].shape[-1], currents[l].dtype) for l in hidden) if slide else ())

    def grad(params, state, batch, key, gate=None):
        trace, k, gates, readout, info = _readout(net, loss, params, batch, key, gate)
        grads, mean, threshold = [], [], []
        for l in hidden:
            x, m = trace.inputs[l], state.mean[l]
            rest = drive(net[l], params[l], m[None], k[l])
            seen = Seen(net[l], params[l], x, m, trace.currents[l] - rest, state.threshold[l] if slide else None, k[l])
            drift = (spread(gates[l], seen.u) * rest).reshape(-1, rest.shape[-1]).mean(0)
            grads.append(jax.tree.map(lambda g, d=drift: -g if g.ndim > 1 else d, growth(seen, gates[l])))
            mean.append(m + averaging * (x.mean(0) - m))
            threshold += [slide(seen, gates[l])] if slide else []
        return (*grads, readout), State(tuple(mean), tuple(threshold)), info

    return Rule(init, grad, predictor(net))
