"""Homeostasis: the weights that arrive at a unit are scaled until its mean output is at a target.

    m_j <- d m_j + (1 - d) <h_j>
    w_ij <- (w_ij + update) max(0, 1 + rate (target - m_j / (1 - d^t)))       of hidden layers
h_j: output of unit j, <.> the mean over the batch;  m_j: its running mean;  t: steps;  d: decay.

All weights of a unit are scaled alike, so that their ratios stay, and what was learned with them.
Biases are not scaled. It suits units whose output grows with their weights, such as those of rates
above 0: a unit that answers nothing to any input, below its threshold, stays so if its weights are
negative.

Turrigiano, "The self-tuning neuron: synaptic scaling of excitatory synapses", 2008,
doi:10.1016/j.cell.2008.10.008. Departures: weights of both signs are scaled; steps in place of
hours. `bioplaus.projections.normalised` holds the sum of weights, and does not hear the activity.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from bioplaus.hyper import Fraction, NonNegative, Real, declared
from bioplaus.net import forward
from bioplaus.structure.entry import check_dense, told_of
from bioplaus.types import Array, Net, PyTree


class Scaled(NamedTuple):
    """The state of `scaled`. inner: of the optimiser. mean: running mean outputs, [n_l] of each
    hidden layer. steps: t."""

    inner: PyTree
    mean: tuple[Array, ...]
    steps: Array


@declared
def scaled(
    tx: optax.GradientTransformation,
    net: Net,
    *,
    target: Real,
    rate: NonNegative = 1e-3,
    decay: Fraction = 0.99,
) -> optax.GradientTransformationExtraArgs:
    """tx, after which the weights that arrive at hidden units are scaled: see the file's head.

    target: mean output of a hidden unit. rate: per step and unit of output. decay: of the running
    mean. `update` needs the params, and takes `batch` and `key` as extra arguments. Raises
    ValueError as `turnover` does.

        tx = bp.structure.scaled(optax.adam(1e-3), net, target=0.2)
    """
    optimiser = optax.with_extra_args_support(tx)

    def init(params: PyTree) -> Scaled:
        check_dense("scaled", net, params)
        means = tuple(jnp.zeros_like(p["b"]) for p in params[:-1])
        return Scaled(tx.init(params), means, jnp.zeros(()))

    def update(updates: PyTree, state: Any, params: PyTree = None, **told):
        batch, key = told_of("scaled", params, told)
        outputs = forward(net, params, batch.x, key).outputs[:-1]
        changes, inner = optimiser.update(updates, state.inner, params, **told)
        found: PyTree = changes
        steps, changes = state.steps + 1, list(found)
        means = tuple(
            (decay * m + (1 - decay) * h.mean(0)).astype(m.dtype)
            for m, h in zip(state.mean, outputs, strict=True)
        )
        for l, m in enumerate(means):
            factor = jnp.maximum(0, 1 + rate * (target - m / (1 - decay**steps)))
            w = params[l]["w"]
            new = (w + changes[l]["w"]) * factor
            changes[l] = {**changes[l], "w": (new - w).astype(w.dtype)}
        return tuple(changes), Scaled(inner, means, steps)

    return optax.GradientTransformationExtraArgs(init, update)
