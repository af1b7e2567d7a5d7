"""Items of the contract: what the gates of neuromodulators do."""

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.net import current_shapes
from bioplaus.testing.cases import Case, independent_examples, refuses
from bioplaus.trees import agree, close
from bioplaus.types import PyTree, Signals


def gates(c: Case) -> None:
    """Gates act linearly, per example: grad = sum_b g_b grad_b, with grad_b the part of example b.

    g_b: the gate of example b; 1 leaves its part as it is, 0 removes it.
    """
    examples = len(c.batch.y)
    g = np.linspace(0.5, 2.0, examples)
    stack = np.concatenate([np.eye(examples), np.stack([g, np.ones(examples), np.zeros(examples)])])
    every = jax.device_get(
        jax.jit(jax.vmap(lambda gate: c.grad(c.params, c.state, c.batch, c.key, gate)[0]))(stack)
    )
    single, gated, ones, zeros = (
        jax.tree.map(lambda a, i=i: a[i], every) for i in (slice(examples), -3, -2, -1)
    )
    free, _, info = c.grad(c.params, c.state, c.batch, c.key)
    agree("gates: a gate of ones changes the gradient", ones, free)
    assert not any(np.any(z) for z in jax.tree.leaves(zeros)), (
        "gates: with a gate of zeros the gradient is not zero"
    )
    agree(
        "gates: grad is not sum_b g_b grad_b",
        gated,
        jax.tree.map(lambda a: np.tensordot(g, a, 1), single),
    )
    assert not close(gated, free), "gates: the gate does nothing"
    if independent_examples(c):
        _alone(c, single)

    seen: list[Signals] = []

    def gate(signals):
        return seen.append(signals) or signals.loss

    layered = (g, None, *[0.0] * len(c.net))[: len(c.net)]
    by_function, by_layer = jax.jit(
        lambda w: [c.rule.grad(w, c.state, c.batch, c.key, f)[0] for f in (gate, layered)]
    )(c.params)
    assert len(seen) == 1, (
        f"gates: a gate that is a function was called {len(seen)} times; call it once, with the"
        " signals"
    )
    want = jax.tree.map(lambda a: np.tensordot(info["signals"].loss, a, 1), single)
    agree("gates: a gate that is a function of the signals is not applied", by_function, want)
    agree(
        "gates: a tuple with one gate per layer is not applied layer by layer",
        by_layer,
        (*gated[:1], *free[1:2], *zeros[2:]),
    )
    for wrong in (jnp.ones(examples + 1), (None,) * (len(c.net) + 1)):
        refuses(
            "gates: a gate of the wrong shape",
            lambda wrong=wrong: c.rule.grad(c.params, c.state, c.batch, c.key, wrong),
        )


def _alone(c: Case, single: PyTree) -> None:
    """With all gates but one closed, grad is the gradient of that example alone, divided by B.

    single: the gradients with one open gate, the examples first.
    """
    examples = len(c.batch.y)
    rows, scaled = (
        jax.tree.map(lambda a: a[:, None], c.batch),
        jax.tree.map(lambda a: a * examples, single),
    )
    alone = jax.jit(jax.vmap(lambda batch: c.rule.grad(c.params, c.state, batch, c.key)[0]))(rows)
    agree(
        "gates: with all gates but one closed, grad is not that example's gradient / B",
        scaled,
        alone,
    )


def unit_gates(c: Case) -> None:
    """Gates per unit: a closed unit learns nothing, and the others learn as before.

    The gates are [B, n_post], and one number for each channel where a layer has further axes:
    [B, 1, 1, n_post]. A rule whose update is not a pullback of signals may raise ValueError
    instead.
    """
    currents = [a.shape for a in current_shapes(c.net, c.params, c.batch, c.key)]
    shapes = [(s[0], *(1,) * (len(s) - 2), s[-1]) for s in currents]
    odd = _complementary(
        "unit_gates", c, [np.broadcast_to(np.arange(s[-1]) % 2.0, s) for s in shapes]
    )
    if odd is None:
        return
    for l, shape in enumerate(currents):
        units = [leaf[..., ::2] for leaf in jax.tree.leaves(odd[l]) if leaf.shape[-1] == shape[-1]]
        assert not any(np.any(u) for u in units), (
            f"unit_gates: closed units of layer {l} still learn"
        )


def place_gates(c: Case) -> None:
    """Gates per place, [B, H, W, 1], or per moment, [B, T, 1]: the parts that places contribute to
    a gradient add up to it, and no gate stands for another.

    Layers without such axes have a gate of ones. A rule may raise ValueError instead, as for
    `unit_gates`.
    """
    currents = [a.shape for a in current_shapes(c.net, c.params, c.batch, c.key)]
    gates = [np.indices((*s[:-1], 1))[1:-1].sum(0) % 2.0 if s[1:-1] else None for s in currents]
    placed = [l for l, g in enumerate(gates) if g is not None]
    if not placed:
        return
    halves = [np.full(s, 0.5) if g is None else g for g, s in zip(gates, currents, strict=True)]
    odd = _complementary("place_gates", c, halves)
    if odd is not None:
        free = c.grad(c.params, c.state, c.batch, c.key)[0]
        half = [jax.tree.map(lambda a: a / 2, free[l]) for l in placed]
        learning = [any(np.any(a) for a in jax.tree.leaves(h)) for h in half]
        assert not any(
            close(odd[l], h) and moves for l, h, moves in zip(placed, half, learning, strict=True)
        ), "place_gates: half of the places teach just what half of the gradient does"


def _complementary(item: str, c: Case, gates: list[np.ndarray]) -> PyTree | None:
    """The gradient at these gates of the layers, which with that at 1 - gates must add up to the
    whole; None for a rule that refuses them.
    """
    stack = tuple(np.stack([g, 1 - g]) for g in gates)
    try:
        every = jax.device_get(
            jax.jit(jax.vmap(lambda gate: c.grad(c.params, c.state, c.batch, c.key, gate)[0]))(
                stack
            )
        )
    except ValueError:
        return None
    one, other = (jax.tree.map(lambda a, i=i: a[i], every) for i in (0, 1))
    free = c.grad(c.params, c.state, c.batch, c.key)[0]
    agree(
        f"{item}: the gradients at two complementary gates do not add up to that without gates",
        jax.tree.map(np.add, one, other),
        free,
    )
    return one
