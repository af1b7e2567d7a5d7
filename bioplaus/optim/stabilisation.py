"""Synaptic intelligence: synapses that mattered for earlier tasks are held where they are.

Within a task            w_i <- w_i - grad_i u_i,
                         u = T(grad + 2 c Omega (theta - theta*))
at the end of a task     Omega_i <- Omega_i + max(0, w_i) / ((theta_i - theta*_i)^2 + xi),
                         theta* <- theta,  w <- 0
theta_i: a parameter;  grad: gradient of the loss of the present task;  T: the optimiser;  u: the
change of the parameters at a step;  w_i: how much the changes of theta_i have lowered the loss in
this task;  Omega_i: importance of theta_i for the tasks before;  theta*: parameters at the end of
the last task;  c: strength;  xi: keeps the division from a small one.

    tx = synaptic_intelligence(optax.adam(1e-3), 0.1)
    ... train on a task ...
    opt = consolidated(opt, params)

Zenke, Poole, Ganguli, "Continual Learning Through Synaptic Intelligence", 2017, arXiv:1703.04200.
Departure: the gradient may be any rule's, so that the path integral of a rule that does not follow
the gradient of the loss is an estimate along its own updates; the optimiser's state goes on from
one task to the next.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from bioplaus.types import PyTree


class Stabilised(NamedTuple):
    """The state of `synaptic_intelligence`: trees of the shape of params, but for inner, the state
    of the optimiser. path: w. importance: Omega. anchor: theta*. xi: [].
    """

    inner: PyTree
    path: PyTree
    importance: PyTree
    anchor: PyTree
    xi: ArrayLike


def synaptic_intelligence(
    tx: optax.GradientTransformation, strength: ArrayLike, *, xi: ArrayLike = 0.1
) -> optax.GradientTransformationExtraArgs:
    """`tx` with a pull of each parameter to where it was at the end of the last task.

    strength: c, 0 or more. xi: above 0, in squared units of a parameter. Goes outermost: its state
    is given to `consolidated` at the end of each task. Raises ValueError for numbers outside of
    these ranges.
    """
    known = [a for a in (strength, xi) if isinstance(a, int | float)]
    if any(a < 0 for a in known) or (isinstance(xi, int | float) and not xi > 0):
        raise ValueError(
            f"synaptic_intelligence: strength is {strength}, xi {xi}; expected 0 or more, and above"
            " 0"
        )
    inner = optax.with_extra_args_support(tx)

    def init(params: PyTree) -> Stabilised:
        zeros = jax.tree.map(jnp.zeros_like, params)
        anchor = jax.tree.map(jnp.array, params)
        return Stabilised(inner.init(params), zeros, zeros, anchor, jnp.asarray(xi, float))

    def update(updates: PyTree, state: Stabilised, params: PyTree = None, **extra):
        pulled = jax.tree.map(
            lambda g, o, p, a: g + 2 * strength * o * (p - a),
            updates,
            state.importance,
            params,
            state.anchor,
        )
        changes, after = inner.update(pulled, state.inner, params, **extra)
        path = jax.tree.map(lambda w, g, u: w - g * u, state.path, updates, changes)
        return changes, state._replace(inner=after, path=path)

    return optax.GradientTransformationExtraArgs(init, update)  # type: ignore[arg-type]


def consolidated(state: Stabilised, params: PyTree) -> Stabilised:
    """The state at the end of a task. params: those that the task has left."""

    def grown(importance, path, p, anchor):
        return importance + jnp.maximum(path, 0) / ((p - anchor) ** 2 + state.xi)

    return Stabilised(
        state.inner,
        jax.tree.map(jnp.zeros_like, state.path),
        jax.tree.map(grown, state.importance, state.path, params, state.anchor),
        params,
        state.xi,
    )
