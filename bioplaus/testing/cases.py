"""What the contract of a rule is checked on: a rule with a net and a batch, and shared helpers."""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.layers import (
    after,
    conv,
    dense,
    flattened,
    mean_over_time,
    mlp,
    over_time,
    pooled,
)
from bioplaus.losses import at_each_moment, cross_entropy
from bioplaus.net import init
from bioplaus.neurons import lif, tanh
from bioplaus.support import needs_rewards, needs_time
from bioplaus.trees import cast, close, types
from bioplaus.types import Batch, GradFn, Key, Loss, Net, PyTree, Rule, RuleFactory


class Case(NamedTuple):
    """A rule with a net, a batch, parameters and a state.

    grad: `rule.grad`, compiled. Items call it to share one trace, and `rule.grad` to force another.
    traces: one entry for each time that `grad` was traced.
    """

    factory: RuleFactory
    net: Net
    loss: Loss
    batch: Batch
    params: PyTree
    rule: Rule
    state: PyTree
    key: Key
    grad: GradFn
    traces: list[None]


def perceptron(factory: RuleFactory, loss: Loss = cross_entropy) -> Case:
    """The rule on a net with two hidden layers of tanh units, and random data."""
    return case(factory, mlp((5, 6, 4, 3)), loss, random_batch(4, 5))


def convolutional(factory: RuleFactory, loss: Loss = cross_entropy) -> Case:
    """The rule on a net of a convolution, pooling and two dense layers, and random data."""
    net = (conv(2, 3, tanh()), pooled(2, flattened(dense(6, tanh()))), dense(3))
    return case(factory, net, loss, random_batch(4, 6, 6, 2))


def spiking(factory: RuleFactory, loss: Loss = cross_entropy) -> Case:
    """The rule on a net over time, with two hidden layers of LIF neurons, and random spikes."""
    wide = jax.nn.initializers.normal(0.8)
    hidden = (over_time(dense(n, lif(), weights=wide)) for n in (6, 5))
    net = (*hidden, after(mean_over_time, dense(3)))
    spikes = np.random.default_rng(3).random((4, 7, 5)) < 0.5
    return case(factory, net, loss, random_batch(4)._replace(x=jnp.asarray(spikes, float)))


def rewarded(factory: RuleFactory, loss: Loss = cross_entropy) -> Case:
    """The rule on a net over time that answers at each moment, with rewards: two actions, and a
    last output for the value."""
    wide = jax.nn.initializers.normal(0.8)
    net = (over_time(dense(6, lif(), weights=wide)), over_time(dense(3)))
    draw = np.random.default_rng(3)
    x, reward = draw.random((4, 7, 5)) < 0.5, draw.standard_normal((4, 7))
    actions = np.eye(3)[np.arange(4) % 2]  # at all moments
    batch = Batch(jnp.asarray(x, float), jnp.asarray(actions), {"reward": jnp.asarray(reward)})
    return case(factory, net, at_each_moment(loss), batch)


def standard(factory: RuleFactory, loss: Loss = cross_entropy) -> Case:
    """The rule on the net that it is checked on in full: `perceptron`, or what it declares that it
    needs."""
    if needs_rewards(factory):
        return rewarded(factory, loss)
    return (spiking if needs_time(factory) else perceptron)(factory, loss)


def random_batch(*shape: int) -> Batch:
    return Batch(
        jnp.asarray(np.random.default_rng(3).standard_normal(shape)),
        jnp.asarray(np.eye(3)[np.arange(shape[0]) % 3]),
    )


def case(factory: RuleFactory, net: Net, loss: Loss, batch: Batch) -> Case:
    """The rule in float64, with its initial state.

    Call this function, and the items of CONTRACT, inside `jax.enable_x64()`.
    """
    batch = cast(batch, jnp.float64)
    params = jax.jit(lambda key, x: init(net, key, x))(jax.random.key(0), batch.x)
    rule = factory(net, loss)
    state = jax.jit(rule.init)(jax.random.key(1), params, batch)
    traces: list[None] = []

    def grad(*args):
        traces.append(None)
        return rule.grad(*args)

    return Case(
        factory, net, loss, batch, params, rule, state, jax.random.key(2), jax.jit(grad), traces
    )


def descend(params: PyTree, grads: PyTree) -> PyTree:
    return jax.tree.map(lambda w, g: w - 0.01 * g, params, grads)


def independent_examples(c: Case) -> bool:
    """Whether each example contributes to the gradient by itself, so that a batch may be repeated
    or taken apart: the gradient does not depend on the key, nor the state on the batch size.
    """
    # A rule that learns from pairs of examples refuses a batch of one.
    with contextlib.suppress(ValueError):
        one = jax.eval_shape(c.rule.init, c.key, c.params, jax.tree.map(lambda a: a[:1], c.batch))
        a, b = (c.grad(c.params, c.state, c.batch, key)[0] for key in jax.random.split(c.key))
        return close(a, b) and types(one) == types(c.state)
    return False


def refuses(message: str, call: Callable[[], Any]) -> None:
    try:
        jax.eval_shape(call)
    except (ValueError, TypeError):
        return
    raise AssertionError(f"{message} was accepted; raise a ValueError")
