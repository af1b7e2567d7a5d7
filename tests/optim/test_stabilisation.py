"""Synaptic intelligence against its equations, and what it is for: two tasks in turn."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bioplaus.optim import consolidated, synaptic_intelligence

STRENGTH, XI, LR = 2.0, 0.05, 0.1
TARGETS = jnp.array([[1.0, 0.0], [-1.0, 2.0]])  # of two tasks
WEIGHTS = jnp.array([[1.0, 0.0], [0.1, 1.0]])  # how much each parameter matters in each


def gradient(task, p):
    return WEIGHTS[task] * (p - TARGETS[task])


@functools.cache
def trained(strength=STRENGTH, steps=40):
    """Params and state after each of two tasks, of half the weighted squared distance."""
    tx: Any = synaptic_intelligence(optax.sgd(LR), strength, xi=XI)
    p = jnp.zeros(2)
    state, found = tx.init(p), []
    for task in (0, 1):
        for _ in range(steps):
            updates, state = tx.update(gradient(task, p), state, p)
            p = optax.apply_updates(p, updates)
        before, state = state, consolidated(state, p)
        found.append((p, before, state))
    return found


def test_importance_is_the_path_integral_of_the_loss():
    (p, before, after), _ = trained()
    path, q = np.zeros(2), np.zeros(2)
    for _ in range(40):
        g = np.array([1.0, 0.0]) * (q - np.array([1.0, 0.0]))
        path, q = path + LR * g**2, q - LR * g
    np.testing.assert_allclose(before.path, path, rtol=1e-5)
    np.testing.assert_allclose(after.importance, path / (q**2 + XI), rtol=1e-5)
    np.testing.assert_allclose(after.anchor, p)
    assert not np.any(after.path)
    assert float(after.importance[0]) > 0.4  # the loss has fallen by 1/2, over a distance of 1
    assert after.importance[1] == 0  # and the other parameter has not moved


def test_importance_adds_up():
    first, second = (after.importance for *_, after in trained())
    assert (second >= first).all()
    assert float(second[1]) > float(first[1]) + 0.1


def test_the_pull_is_that_of_the_surrogate_loss():
    state = trained()[0][2]
    p = state.anchor + jnp.array([0.3, -0.2])
    tx: Any = synaptic_intelligence(optax.sgd(LR), STRENGTH, xi=XI)

    def surrogate(p):
        return STRENGTH * (state.importance * (p - state.anchor) ** 2).sum()

    g = jnp.array([0.5, 0.5])
    updates, after = tx.update(g, state, p)
    np.testing.assert_allclose(updates, -LR * (g + jax.grad(surrogate)(p)), rtol=1e-5)
    np.testing.assert_allclose(after.path, -g * updates, rtol=1e-5)  # of the task's own gradient
    assert not np.allclose(updates, -LR * g, rtol=1e-2)


def test_what_mattered_stays_and_the_rest_learns():
    held, free = trained()[1][0], trained(0.0)[1][0]
    assert abs(held[0] - 1) < 0.15  # the first task's parameter stays near its target
    assert abs(free[0] - 1) > 0.5  # and leaves it without
    np.testing.assert_allclose(held[1], free[1], rtol=1e-5)  # the second task's learns as before
    assert abs(held[1] - 2) < 0.1


@pytest.mark.parametrize(("strength", "xi"), [(-1.0, 0.1), (1.0, 0.0), (1.0, -1.0)])
def test_numbers_out_of_range(strength, xi):
    with pytest.raises(ValueError, match="expected 0 or more, and above 0"):
        synaptic_intelligence(optax.sgd(LR), strength, xi=xi)
