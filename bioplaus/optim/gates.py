"""Gates on plasticity that act on the change of weights, and not on the gradient alone.

Adam divides a gradient by its running size, and so by a gate that is the same for all examples of a
batch: under it a modulator that halves every gradient changes nothing in the end. `gated` takes the
mean gate out of the gradient, and multiplies by it what the optimiser makes of the rest:

    u = g T(grad / g)  if g > 0,  else 0

grad: the gradient, in which the rule has multiplied the part of each example by its gate;  g: [],
mean of the gates over examples and layers, `info["gate"]`;  T: the optimiser, with its momentum and
weight decay;  u: the change of the weights. Which examples and layers count more is left to the
gradient. For plain gradient descent, T = -eta grad, u is what it was without this.

    tx = gated(optax.adam(1e-3))
    grads, state, info = rule.grad(params, state, batch, key)
    updates, opt = tx.update(grads, opt, params, gate=info["gate"])

Neuromodulation as the learning rate of synapses: Doya, "Metalearning and neuromodulation", 2002,
doi:10.1016/S0893-6080(02)00044-8. Adam: Kingma and Ba, 2015, arXiv:1412.6980. That its step does
not depend on the scale of the gradient is in its section 2.1; `gated` is not in these papers.
"""

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from bioplaus.types import PyTree


def gated(tx: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """`tx` with updates in proportion to the mean gate on plasticity.

    The gate is an extra argument of `update`, gate=info["gate"], as the training loops of this
    package give it; None, of a rule without a modulator, is open. Where all gates are closed the
    state of `tx` stays as well. For gates that are 0 or more: `signed` dopamine has a mean near 0,
    by which nothing should be divided. Weights that belong to a rule are not among the params, and
    follow their own gradients. The state is that of `tx`. Structure goes outside, as
    `turnover(gated(tx), net)`: inside, a gate of 1/2 would make half of a new unit.
    """
    inner = optax.with_extra_args_support(tx)

    def update(
        updates: PyTree,
        state: PyTree,
        params: PyTree = None,
        *,
        gate: ArrayLike | None = None,
        **rest,
    ):
        if gate is None:
            return inner.update(updates, state, params, **rest)
        is_open = jnp.asarray(gate) > 0
        g = jnp.where(is_open, gate, 1.0)
        whole = jax.tree.map(lambda u: (u / g).astype(u.dtype), updates)
        changes, after = inner.update(whole, state, params, gate=gate, **rest)
        changes = jax.tree.map(lambda u: jnp.where(is_open, g * u, 0).astype(u.dtype), changes)
        return changes, jax.tree.map(lambda new, old: jnp.where(is_open, new, old), after, state)

    return optax.GradientTransformationExtraArgs(tx.init, update)
