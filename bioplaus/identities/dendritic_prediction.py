"""Urbanczik and Senn's dendritic prediction: identities and negative controls.

rho: rate of a potential, peak sigmoid(slope (u - threshold)). S: spikes of a soma in a moment.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.any_net import apart, locally, same, settings
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
)
from bioplaus.identities.dendrites import largest, without_teaching
from bioplaus.identities.eprop import in_pieces
from bioplaus.layers import dense, over_time
from bioplaus.losses import at_each_moment, mse
from bioplaus.net import forward
from bioplaus.neurons import gaussian_current, leaky, tanh
from bioplaus.rules.backprop import readout_only
from bioplaus.types import Batch, PyTree, RuleFactory

KEY = "urbanczik_senn"
TAU, ROWS, MOMENTS = 4.0, 3, 8
SOMA: dict[str, Any] = {"nudge": 0.7, "peak": 2.0, "slope": 1.5, "threshold": 0.3}


def moments() -> Problem:
    """A fixed layer of rates with noise, a leaky readout, and a target at each of 8 moments."""
    net = (over_time(dense(4, gaussian_current(tanh(), 0.3))), over_time(dense(3, leaky(TAU))))
    p = pose(net, (ROWS, MOMENTS, 5), 3, at_each_moment(mse), gain=2.0)
    y = np.random.default_rng(4).standard_normal((ROWS, MOMENTS, 3))
    return p._replace(batch=Batch(p.batch.x, jnp.asarray(y)))


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be Urbanczik and Senn's rule."""
    yield from _by_hand(factory)
    yield from _small_teacher(factory)
    yield from _no_teacher(factory)
    yield from _on_average(factory)


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """The average over spikes on a net of the caller's, with its noise."""
    grads = gradient(factory, p, spikes=False)[0]
    want = surprisal_grad(p, settings(factory))
    name = "average over spikes: jax.grad of -log p of a Poisson soma, last layer"
    yield same(KEY, name, grads[-1:], want)
    yield from apart(KEY, p, grads)
    if len(p.net) > 1:
        yield small(KEY, "hidden layers do not learn: largest gradient", largest(grads[:-1]), 0.0)


def rho(u: Any, soma: dict[str, Any]) -> Any:
    return soma["peak"] / (1 + jnp.exp(-soma["slope"] * (u - soma["threshold"])))


def surprisal_grad(p: Problem, soma: dict[str, Any]) -> PyTree:
    """`jax.grad` of the expected rho(o) - S log rho(o), S of rate rho(o - lambda dL/do) held, by
    the parameters of the last layer."""
    trace = forward(p.net, p.params, p.batch.x, p.key)
    error = jax.grad(lambda o: p.loss(o, p.batch.y).sum())(trace.output)
    rates = rho(trace.output - soma["nudge"] * error, soma)
    last = len(p.net) - 1

    def surprisal(params):
        predicted = rho(locally(p, last, params, trace.inputs[-1]), soma)
        return jnp.sum(predicted - rates * jnp.log(predicted)) / len(rates)

    return (jax.jit(jax.grad(surprisal))(p.params[-1]),)


# --- In numpy, moment by moment


def _by_hand(factory: RuleFactory) -> Iterator[Check]:
    p = moments()
    hidden, output = (np.asarray(a) for a in forward(p.net, p.params, p.batch.x, p.key).outputs)
    u = conductances(output, np.asarray(p.batch.y), SOMA["nudge"])
    rates = np.asarray(rho(u, SOMA))
    mean = gradient(factory, p, spikes=False, **SOMA)[0][-1]
    name = "the paper's equation in numpy, a leaky readout, average over spikes"
    yield equal(KEY, name, mean, recursion(hidden, output, rates), 1e-12)
    other = relative(mean, recursion(hidden, output, rates, tau=1e-3))
    yield large(KEY, "the same with inputs that are not low-passed", other, 0.1)
    other = relative(mean, recursion(hidden, output, rates, weighed=False))
    yield large(KEY, "the same without h", other, 0.1)

    fired, grads = spikes_of(factory, p, output)
    odd = float(np.abs(fired - np.round(fired)).max())
    yield small(KEY, "S, as read from gated gradients, are whole numbers", odd, 1e-9)
    yield equal(
        KEY, "the paper's equation in numpy at S", grads, recursion(hidden, output, fired), 1e-9
    )
    gap = float(np.abs(fired - rates).mean())
    yield large(KEY, "spikes are not their average: mean |S - rho|", gap, 0.2)
    z = (fired - rates) / np.sqrt(rates)
    name = "moments draw their own spikes: |correlation| with those of the moment before"
    yield small(KEY, name, abs((z[:, 1:] * z[:, :-1]).mean()), 0.3)
    yield from _in_pieces(factory, p, grads)


def _in_pieces(factory: RuleFactory, p: Problem, whole: PyTree) -> Iterator[Check]:
    """whole: gradient of the last layer for the whole sequence."""
    stream = factory(p.net, p.loss, **SOMA).stream
    assert stream is not None
    state = jax.jit(stream.init)(jax.random.key(6), p.params, p.batch)
    for cuts, word in (([1] * MOMENTS, "pieces of one moment"), ([3, 1, 1, 3], "ragged pieces")):
        got = in_pieces(stream, p, cuts, state)[0]
        name = f"the whole sequence in {word}, noise and spikes"
        yield equal(KEY, name, got[-1], whole, 1e-11)
        yield small(KEY, f"hidden layers in {word}: largest gradient", largest(got[:-1]), 0.0)
    forgot = in_pieces(stream, p, [3, 1, 1, 3], state, kept=False)[0][-1]
    yield large(KEY, "pieces that forget the ones before", relative(forgot, whole), 1e-2)


def conductances(output: np.ndarray, y: np.ndarray, nudge: float) -> np.ndarray:
    """The soma's steady potential: a dendrite pulls it to `output`, a teacher to y."""
    own, teacher = 0.7, 0.7 * nudge / (1 - nudge)
    return (own * output + teacher * y) / (own + teacher)


def recursion(
    hidden: np.ndarray,
    output: np.ndarray,
    fired: np.ndarray,
    tau: float = TAU,
    weighed: bool = True,
) -> PyTree:
    """dW = (1/B) sum_t PSP_t^T (rho(o_t) - S_t) h(o_t), PSP_t = k PSP_{t-1} + (1 - k) input_t."""
    k, peak, slope = np.exp(-1 / tau), SOMA["peak"], SOMA["slope"]
    inputs = np.concatenate([hidden, np.ones_like(hidden[..., :1])], -1)
    psp = np.zeros_like(inputs[:, 0])
    total = np.zeros((inputs.shape[-1], fired.shape[-1]))
    for t in range(inputs.shape[1]):
        psp = k * psp + (1 - k) * inputs[:, t]
        rate = peak / (1 + np.exp(-slope * (output[:, t] - SOMA["threshold"])))
        derivative = slope * rate * (1 - rate / peak)
        h = derivative / rate if weighed else 1.0
        total += psp.T @ ((rate - fired[:, t]) * h) / len(hidden)
    return {"w": total[:-1], "b": total[-1]}


def spikes_of(factory: RuleFactory, p: Problem, output: np.ndarray) -> tuple[np.ndarray, PyTree]:
    """S [B, T, C], and the gradient of the last layer. S is read from the gradients of the biases
    with a gate on one moment of one example."""
    rule = factory(p.net, p.loss, **SOMA)
    gates = jnp.eye(ROWS * MOMENTS).reshape(-1, ROWS, MOMENTS, 1)
    gates = jnp.concatenate([gates, jnp.ones_like(gates[:1])])
    every = jax.jit(jax.vmap(lambda g: rule.grad(p.params, (), p.batch, p.key, (0.0, g))[0][-1]))(
        gates
    )
    biases = np.asarray(every["b"][:-1]).reshape(output.shape)
    psp = 1 - np.exp(-np.arange(1, MOMENTS + 1) / TAU)  # of an input that is always 1
    rate = np.asarray(rho(output, SOMA))
    h = SOMA["slope"] * (1 - rate / SOMA["peak"])
    fired = rate - ROWS * biases / (h * psp[None, :, None])
    return fired, jax.tree.map(lambda g: g[-1], every)


# --- Limits and averages


def _small_teacher(factory: RuleFactory) -> Iterator[Check]:
    """The delta rule, with an error for each unit of rho'^2 / rho e."""
    p, weak = problem(), 1e-6
    soma: dict[str, Any] = {**SOMA, "nudge": weak}
    grads = gradient(factory, p, **soma, spikes=False)[0][-1]

    def weighted(output, y):
        error = jax.grad(lambda o: p.loss(o, y).sum())(output)
        slope = SOMA["slope"] * rho(output, SOMA) * (1 - rho(output, SOMA) / SOMA["peak"])
        return (jax.lax.stop_gradient(slope**2 / rho(output, SOMA) * error) * output).sum(-1)

    def delta(loss):
        want = gradient(readout_only, p._replace(loss=loss))[0][-1]
        return jax.tree.map(lambda g: weak * g, want)

    name = "a weak teacher: the delta rule of the error rho'^2 / rho e"
    yield equal(KEY, name, grads, delta(weighted), 1e-5)
    yield large(KEY, "the same of the error e", relative(grads, delta(p.loss)), 0.1)


def _no_teacher(factory: RuleFactory) -> Iterator[Check]:
    for p, name, check, limit in (
        (without_teaching(problem()), "no teacher", small, 1e-15),
        (problem(), "a teacher", large, 1e-2),
    ):
        size = largest(gradient(factory, p, spikes=False)[0])
        yield check(KEY, f"{name}, average over spikes: largest gradient", size, limit)


def _on_average(factory: RuleFactory) -> Iterator[Check]:
    """Many examples with spikes of their own: mean and spread of dW are those of Poisson spikes."""
    p, copies = problem((6, 4)), 1000
    tiled = p._replace(batch=jax.tree.map(lambda a: jnp.tile(a, (copies, 1)), p.batch))
    grads = gradient(factory, tiled, **SOMA)[0][0]
    mean = gradient(factory, p, spikes=False, **SOMA)[0][0]
    yield equal(
        KEY, "average over spikes: jax.grad of -log p", mean, surprisal_grad(p, SOMA)[0], 1e-12
    )
    x, y = np.asarray(p.batch.x), np.asarray(p.batch.y)
    o = x @ np.asarray(p.params[0]["w"]) + np.asarray(p.params[0]["b"])
    odds = np.exp(o)
    u = o - SOMA["nudge"] * (odds / odds.sum(-1, keepdims=True) - y)
    h = SOMA["slope"] * (1 - np.asarray(rho(o, SOMA)) / SOMA["peak"])
    spread = np.sqrt((x**2).T @ (h**2 * np.asarray(rho(u, SOMA))) / copies) / len(x)
    z = (np.asarray(grads["w"]) - np.asarray(mean["w"])) / spread
    yield small(
        KEY, f"{copies} draws of spikes: largest |z| of dW about its average", abs(z).max(), 4
    )
    rms = float(np.sqrt((z**2).mean()))
    yield small(KEY, "the spread of dW is that of Poisson spikes: |rms z - 1|", abs(rms - 1), 0.3)
    yield large(KEY, "half of the average: largest |z|", (abs(mean["w"]) / 2 / spread).max(), 5)


FAMILIES = {
    KEY: Family(
        checks,
        on_net,
        credit="nothing: a teacher at the output's somata, whose dendrites learn to predict them",
        equals="never, but for the readout: a weighted error, on average, as nudge -> 0",
    )
}
