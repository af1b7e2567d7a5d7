"""Spike-timing-dependent plasticity on any net of spikes: the traces as products with all moments
before, which meet at the credit of each layer."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.any_net import apart, same, settings
from bioplaus.identities.common import Check, Problem, truth
from bioplaus.net import forward, layer_key, time_step
from bioplaus.salts import SYNAPSE
from bioplaus.types import PyTree, RuleFactory


def on_net(key: str, factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """The hidden layers against `by_products`, the readout against backprop."""
    rule = factory(p.net, p.loss)
    state = rule.init(p.key, p.params, p.batch)
    grads = jax.jit(rule.grad)(p.params, state, p.batch, p.key)[0]
    want = by_products(p, settings(factory))
    yield same(key, "dW equals the sum over all triplets of spikes", grads[:-1], want)
    yield same(key, "the readout equals backprop", grads[-1:], truth(p)[-1:])
    yield from apart(key, p, grads)


def by_products(p: Problem, numbers: dict[str, Any]) -> list[PyTree]:
    """-dW of hidden layers of any synapses, for M = 1."""
    trace, found = forward(p.net, p.params, p.batch.x, p.key), []
    dt = time_step(p.net)
    for l, layer in enumerate(p.net[:-1]):
        z, moments = trace.outputs[l], trace.outputs[l].shape[1]
        late = np.subtract.outer(np.arange(moments), np.arange(moments))

        def left(a, tau, late=late):
            past = np.where(late > 0, np.exp(-np.maximum(late, 0) * dt / tau), 0.0)
            return jax.tree.map(lambda a: jnp.einsum("ts,bs...->bt...", past, a), a)

        m = np.ones(moments)
        if "tau_eligibility" in numbers:
            m = np.where(
                late >= 0, np.exp(-np.maximum(late, 0) * dt / numbers["tau_eligibility"]), 0
            ).sum(0)
        m = m.reshape(1, -1, *(1,) * (z.ndim - 2)) / len(z)
        arriving = trace.inputs[l], trace.heard[l]
        o1, o2 = left(z, numbers["tau_minus"]), left(z, numbers["tau_y"])
        grow = -m * z * (numbers["potentiation"] + numbers["triplet_potentiation"] * o2)
        r2 = left(arriving, numbers["tau_x"])
        met = jax.tree.map(
            lambda x, r: x * (numbers["depression"] + numbers["triplet_depression"] * r),
            arriving,
            r2,
        )
        k = jax.random.fold_in(layer_key(p.key, l), SYNAPSE)
        parts = [
            layer.credit(p.params[l], p.params[l], heard, x, k, signal)[0]
            for (x, heard), signal in ((left(arriving, numbers["tau_plus"]), grow), (met, m * o1))
        ]
        found.append(jax.tree.map(lambda a, b: a + b if a.ndim > 1 else 0 * a, *parts))
    return found
