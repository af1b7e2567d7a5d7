"""Number formats: what is computed in which, as policies that are stated.

    float32    everything
    bfloat16   in training a rule sees weights and examples rounded to bfloat16, and its activities,
        errors, loss and state (feedback
               weights, traces) are bfloat16; the weights themselves, the gradients that the
                   optimiser gets and its moments are float32.
               The trained net is measured in float32
    float64    everything, inside `jax.enable_x64()`, which is local: nothing else in the process
        changes
A rule that learns weights of its own (Kolen-Pollack, weight mirror) adds small changes to bfloat16
numbers of 8 bits, and loses those below 1/256 of a weight: train such rules in float32.
Micikevicius et al., "Mixed precision training", 2018, arXiv:1710.03740, keep float32 weights for
that reason; bfloat16 has float32's range, so that no loss is scaled here.
"""

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.types import PyTree, Rule


def bfloat16(rule: Rule) -> Rule:
    """The rule computed in bfloat16, between float32 weights and float32 gradients."""

    def init(key, params, batch):
        return low(rule.init(key, params, batch))  # the same draws as in float32, rounded

    def grad(params, state, batch, key, gate=None):
        grads, state, info = rule.grad(low(params), state, low(batch), key, gate)
        return jax.tree.map(lambda g, w: g.astype(w.dtype), grads, params), state, high(info)

    def predict(params, state, x, key, context=()):
        return high(rule.predict(low(params), state, low(x), key, context))

    return Rule(init, grad, predict)


def low(tree: PyTree) -> PyTree:
    """Floats as bfloat16; integers and keys as they are."""
    return jax.tree.map(
        lambda a: a.astype(jnp.bfloat16) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree
    )


def high(tree: PyTree) -> PyTree:
    """bfloat16 as float32, all else as it is."""
    return jax.tree.map(
        lambda a: a.astype(jnp.float32) if jnp.issubdtype(a.dtype, jnp.bfloat16) else a, tree
    )


def in_float64(tree: PyTree) -> PyTree:
    """Floats of numpy as float64; all else as it is."""
    return jax.tree.map(
        lambda a: a.astype(np.float64) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree
    )
