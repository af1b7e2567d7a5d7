"""Local losses: identities and negative controls."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bioplaus.identities.any_net import locally, quiet, same, settings
from bioplaus.identities.common import (
    Check,
    Family,
    Problem,
    convolutional,
    equal,
    gradient,
    large,
    problem,
    relative,
    small,
    truth,
)
from bioplaus.net import fire
from bioplaus.pools import of_sequence
from bioplaus.types import PyTree, RuleFactory

# (problem, head, h) -> the loss of the head for the output h of its layer, mean over the batch
HeadLoss = Callable[[Problem, PyTree, jax.Array], jax.Array]
Parts = tuple[tuple[float, HeadLoss], ...]


def prediction(p: Problem, head: PyTree, h: jax.Array) -> jax.Array:
    """The loss of the net for a readout of h with the output neurons of the net."""
    current = jnp.einsum("bn,nc->bc", h.reshape(len(h), -1), head["w"]) + head["b"]
    return p.loss(fire(quiet(p).net[-1], current, p.key), p.batch.y).mean()


def similarity(p: Problem, head: PyTree, h: jax.Array) -> jax.Array:
    """Mean squared difference between two correlation matrices of the examples.

    One is that of the labels, the other that of h after a map by the head; for images of more than
    3 channels, that of the standard deviations over positions.
    """
    u = jnp.einsum("b...n,nm->b...m", h, head["w"])
    u = (
        u.std(tuple(range(1, u.ndim - 1)))
        if u.ndim > 2 and u.shape[-1] > 3
        else u.reshape(len(u), -1)
    )
    return jnp.mean((correlations(u) - jnp.corrcoef(p.batch.y)) ** 2)


def correlations(u: jax.Array) -> jax.Array:
    """Between the rows of u. A row that does not vary, as of a layer without a spike, has length 1
    in place of 0.
    """
    centred = u - u.mean(-1, keepdims=True)
    varies = jnp.any(centred != 0, -1, keepdims=True)
    safe = jnp.where(varies, centred, 1.0)
    unit = jnp.where(varies, safe / jnp.linalg.norm(safe, axis=-1, keepdims=True), centred)
    return unit @ unit.T


def prediction_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be the local prediction loss."""
    run = Run("local_pred", factory, problem(), ((1.0, prediction),))
    yield from _checks(run, factory)
    yield from _on_net(run._replace(p=convolutional()), ", convolutions")
    heads = factory(run.p.net, run.p.loss).init(jax.random.key(6), run.p.params, run.p.batch).heads
    yield small(
        "local_pred",
        "initial heads are zero: largest weight",
        max(float(jnp.abs(h).max()) for h in jax.tree.leaves(heads)),
        0.0,
    )


def similarity_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be the local similarity loss."""
    run = Run("local_sim", factory, problem(), ((1.0, similarity),))
    yield from _checks(run, factory)
    yield from _on_net(run._replace(p=convolutional()), ", convolutions")

    state, step = run.compiled()
    turned = tuple(({"w": head["w"] @ _rotation(len(head["w"]))},) for (head,) in state.heads)
    grads, rotated = (step(s, jnp.ones(8))[0] for s in (state, state._replace(heads=turned)))
    yield equal(
        "local_sim",
        "rotating the features of a head, mean kept, changes nothing",
        rotated,
        grads,
        1e-9,
    )
    swapped = tuple(({"w": head["w"][::-1]},) for (head,) in state.heads)
    other = step(state._replace(heads=swapped), jnp.ones(8))[0]
    yield large(
        "local_sim",
        "other heads give other gradients: relative difference",
        relative(other[:-1], grads[:-1]),
        0.1,
    )


def both_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be the sum of both losses."""
    yield from _checks(
        Run("local_losses", factory, problem(), ((0.3, prediction), (0.7, similarity)), 0.3),
        factory,
    )
    default = settings(factory)["prediction"]
    yield small(
        "local_losses",
        "the default of `prediction` is 0.01: |difference|",
        abs(default - 0.01),
        1e-12,
    )


def prediction_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Any net: the gradient of its local losses, at heads drawn at random."""
    yield from _on_net(Run("local_pred", factory, p, ((1.0, prediction),)))


def similarity_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Any net: the gradient of its local losses, at heads drawn at random."""
    yield from _on_net(Run("local_sim", factory, p, ((1.0, similarity),)))


def both_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Any net: the gradient of its local losses, at heads drawn at random."""
    share = float(settings(factory)["prediction"])
    yield from _on_net(
        Run("local_losses", factory, p, ((share, prediction), (1 - share, similarity)), share)
    )


class Run(NamedTuple):
    """A rule on a problem.

    parts: the loss of each head of a layer, with its weight. share: the value of `prediction`, for
    a rule with this hyperparameter.
    """

    key: str
    factory: RuleFactory
    p: Problem
    parts: Parts
    share: float | None = None

    def compiled(self) -> tuple[Any, Callable[..., tuple[PyTree, PyTree, Any]]]:
        """A state with random heads; the compiled step (state, gate) -> (grads, descent, state).

        descent: the heads before the step minus those after it.
        """
        hyper = {} if self.share is None else {"prediction": self.share}
        rule = self.factory(self.p.net, self.p.loss, tx=optax.sgd(1.0, momentum=0.9), **hyper)
        state, draw = (
            rule.init(jax.random.key(6), self.p.params, self.p.batch),
            np.random.default_rng(3),
        )
        heads = jax.tree.map(lambda w: jnp.asarray(draw.standard_normal(w.shape)), state.heads)

        @jax.jit
        def step(state, gate):
            grads, after, _ = rule.grad(self.p.params, state, self.p.batch, self.p.key, gate)
            return grads, jax.tree.map(jnp.subtract, state.heads, after.heads), after

        return state._replace(heads=heads), step


def _on_net(run: Run, name: str = "") -> Iterator[Check]:
    p, (state, step) = run.p, run.compiled()

    def total(params, heads, joined):
        loss, h = 0.0, p.batch.x
        for l in range(len(p.net)):
            h = locally(p, l, params[l], joined * h + (1 - joined) * jax.lax.stop_gradient(h))
            if l < len(p.net) - 1:
                read = of_sequence(p.net, p.net[l], h)
                loss += sum(
                    weight * part(p, head, read)
                    for (weight, part), head in zip(run.parts, heads[l], strict=True)
                )
        return loss + p.loss(h, p.batch.y).mean()

    slopes = jax.jit(jax.grad(total, (0, 1)))
    grads, moved, _ = step(state, jnp.ones(len(p.batch.y)))
    want, heads = slopes(p.params, state.heads, 0.0)
    yield same(run.key, "dW equals jax.grad of the local losses, random heads" + name, grads, want)
    if len(p.net) > 1:
        yield same(
            run.key, "steps of the heads equal jax.grad of the local losses" + name, moved, heads
        )
        passed = slopes(p.params, state.heads, 1.0)[0]
        yield large(
            run.key,
            "dW differs from jax.grad with errors passing between layers" + name,
            relative(grads[:-1], passed[:-1]),
            1e-3,
        )


def _checks(run: Run, factory: RuleFactory) -> Iterator[Check]:
    key, p = run.key, run.p
    yield from _on_net(run)
    state, step = run.compiled()
    g = jnp.linspace(0.0, 2.0, len(p.batch.y))
    (_, whole, after), (_, some, _), (_, rest, _), (_, none, _) = (
        step(state, gate) for gate in (jnp.ones_like(g), g, 1 - g, 0 * g)
    )
    added = jax.tree.map(jnp.add, some, rest)
    yield equal(
        key,
        "a gate weights the examples: the heads' steps at g and 1 - g add up",
        added,
        whole,
        1e-12,
    )
    yield large(
        key,
        "a gate changes the step of the heads: relative difference",
        relative(some, whole),
        0.05,
    )
    yield small(
        key,
        "a closed gate stops the heads: largest change",
        max(float(jnp.abs(h).max()) for h in jax.tree.leaves(none)),
        0.0,
    )
    carried = jax.tree.map(lambda h: 0.9 * h, whole)
    yield equal(
        key,
        "the heads move on by the momentum of tx alone when the gate closes",
        step(after, 0 * g)[1],
        carried,
        1e-12,
    )
    alone = problem((12, 5))
    yield equal(
        key,
        "a net of one layer learns as in backprop",
        gradient(factory, alone)[0],
        truth(alone),
        1e-12,
    )


def _rotation(n: int) -> np.ndarray:
    """An orthogonal matrix that maps the vector of ones to itself."""
    ones = np.ones((n, 1)) / n**0.5
    basis = np.linalg.qr(
        np.concatenate([ones, np.random.default_rng(4).standard_normal((n, n - 1))], 1)
    )[0]
    turn = np.linalg.qr(np.random.default_rng(5).standard_normal((n - 1, n - 1)))[0]
    return ones @ ones.T + basis[:, 1:] @ turn @ basis[:, 1:].T


FAMILIES = {
    "local_pred": Family(
        prediction_checks,
        prediction_on_net,
        credit="nothing: each layer has a loss of its own",
        equals="a net of one layer that does not hear itself",
    ),
    "local_sim": Family(
        similarity_checks,
        similarity_on_net,
        credit="nothing: each layer has a loss of its own",
        equals="a net of one layer that does not hear itself",
    ),
    "local_losses": Family(
        both_checks,
        both_on_net,
        credit="nothing: each layer has a loss of its own",
        equals="a net of one layer that does not hear itself",
    ),
}
