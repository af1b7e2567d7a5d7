"""Two nets trained on the embedded digits, for the tests of attacks."""

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
