"""Nets trained on the embedded digits, for the tests of attacks: one quickly, and two at length."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
import pytest

from bioplaus import data
from bioplaus import net as nets
from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.rules import RULES
from bioplaus.types import Array, Batch, Net, PyTree

NET = mlp([64, 128, 128, 10])
SEEDS, STEPS, SIZE = 2, 400, 64


class Digits(NamedTuple):
    """bp, fa: trained params of each rule, their first axis over seeds.

    feedback: the feedback weights of fa, with others for the first layer.
    """

    net: Net
    test: Batch
    bp: PyTree
    fa: PyTree
    feedback: PyTree

    @staticmethod
    def first(params: PyTree) -> PyTree:
        """The params of the first seed."""
        return jax.tree.map(lambda a: a[0], params)

    def answer(self, params: PyTree):
        """(x, key) -> the output of the net at these params."""
        return lambda x, key: nets.forward(self.net, params, x, key).output


class Trained(NamedTuple):
    """A net that answers nearly all of `test`, trained by bp. feedback: random, of its shapes."""

    net: Net
    test: Batch
    params: PyTree
    feedback: PyTree

    def answer(self, x: Array, key: Array) -> Array:
        """The output of the net at these params."""
        return nets.forward(self.net, self.params, x, key).output


@pytest.fixture(scope="session")
def trained() -> Trained:
    """A small net: it takes a tenth of the time of `digits`."""
    found, net, key = data.load("digits"), mlp([64, 32, 32, 10]), jax.random.key(0)
    batch = Batch(jnp.asarray(found.train.x), jnp.asarray(found.train.y))
    rule, tx = RULES["bp"](net, cross_entropy), optax.adam(1e-2)
    own, other = (nets.init(net, jax.random.key(s), batch.x[:1]) for s in (0, 5))

    def step(carry, t):
        params, opt = carry
        part = jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, t % 20 * SIZE, SIZE), batch)
        updates, opt = tx.update(rule.grad(params, (), part, key)[0], opt, params)
        return (optax.apply_updates(params, updates), opt), None

    run = jax.jit(lambda: jax.lax.scan(step, (own, tx.init(own)), jnp.arange(120))[0][0])
    test = Batch(jnp.asarray(found.test.x[:200]), jnp.asarray(found.test.y[:200]))
    return Trained(net, test, run(), other)


@pytest.fixture(scope="session")
def digits() -> Digits:
    found = data.load("digits")
    train: Batch = jax.tree.map(jnp.asarray, found.train)
    tx = optax.adam(3e-3)

    def trained(name: str, seed: Array):
        rule, key = RULES[name](NET, cross_entropy), jax.random.fold_in(jax.random.key(0), seed)
        params = nets.init(NET, key, train.x[:1])
        state = rule.init(jax.random.fold_in(key, 1), params, Batch(train.x[:2], train.y[:2]))

        def step(carry, t):
            params, opt = carry
            first = t % (len(train.x) // SIZE) * SIZE
            batch = Batch(*(jax.lax.dynamic_slice_in_dim(a, first, SIZE) for a in train[:2]))
            updates, opt = tx.update(rule.grad(params, state, batch, key)[0], opt, params)
            return (optax.apply_updates(params, updates), opt), None

        return jax.lax.scan(step, (params, tx.init(params)), jnp.arange(STEPS))[0][0], state

    @jax.jit
    def both():
        bp, fa = (
            jax.vmap(lambda s, name=name: trained(name, s))(jnp.arange(SEEDS))
            for name in ("bp", "fa")
        )
        return bp[0], fa

    bp, (fa, state) = both()
    first = jax.vmap(
        lambda s: nets.init(NET, jax.random.fold_in(jax.random.key(5), s), train.x[:1])[0]
    )(jnp.arange(SEEDS))
    test = Batch(jnp.asarray(found.test.x[:200]), jnp.asarray(found.test.y[:200]))
    return Digits(NET, test, bp, fa, (first, *state.feedback[1:]))
