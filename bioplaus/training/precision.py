"""Number formats: which computations use which format.

    float32    everything
    bfloat16   in training, a rule sees weights and examples rounded to bfloat16, and its
               activities, errors, loss and state (feedback weights, traces) are bfloat16. The
               weights, the gradients that the optimiser gets and its moments are float32, as are
               the states of neurons and synapses over time, and their time constants. The trained
               net is measured in float32
    float64    everything, inside `jax.enable_x64()`, which affects nothing else in the process
A rule that learns further weights (Kolen-Pollack, weight mirror) adds small changes to bfloat16
numbers, which have 8 significant bits, and loses changes below 1/256 of a weight: train such rules
in float32. For this reason Micikevicius et al., "Mixed precision training", 2018, arXiv:1710.03740,
keep float32 weights. bfloat16 has the range of float32, so that the loss is not scaled here.
"""

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.types import PyTree, Rule


def bfloat16(rule: Rule) -> Rule:
    """The rule computed in bfloat16, with float32 weights and float32 gradients."""

    def init(key, params, batch):
        return low(rule.init(key, params, batch))  # the same draws as in float32, rounded

    def grad(params, state, batch, key, gate=None):
        grads, state, info = rule.grad(low(params), state, low(batch), key, gate)
        return jax.tree.map(lambda g, w: g.astype(w.dtype), grads, params), state, high(info)

    def predict(params, state, x, key, context=(), **asked):
        return high(rule.predict(low(params), state, low(x), key, context, **asked))

    return Rule(init, grad, predict, rule.stream and bfloat16(rule.stream))


def low(tree: PyTree) -> PyTree:
    """Floats as bfloat16; integers and keys unchanged."""
    return jax.tree.map(
        lambda a: a.astype(jnp.bfloat16) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree
    )


def high(tree: PyTree) -> PyTree:
    """bfloat16 as float32; everything else unchanged."""
    return jax.tree.map(
        lambda a: a.astype(jnp.float32) if jnp.issubdtype(a.dtype, jnp.bfloat16) else a, tree
    )


def in_float64(tree: PyTree) -> PyTree:
    """Floats of numpy as float64; everything else unchanged."""
    return jax.tree.map(
        lambda a: a.astype(np.float64) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree
    )
