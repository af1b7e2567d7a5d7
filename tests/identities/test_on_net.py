"""`bp.verify` on nets of the caller's: the rules pass, and rules with a mistake do not."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from mutants import MUTANTS, factory_of
from variants import LABELLED_AND_SLOW_COSTLY, MANY_IDENTITIES, REWARDED

import bioplaus as bp
from bioplaus.identities import FAMILIES, first_failure
from bioplaus.identities.any_net import posed
from bioplaus.identities.common import LINEAR, SIGMOID
from bioplaus.identities.over_time import small_problem
from bioplaus.rules import BASELINES, RULES

pytestmark = pytest.mark.thorough

ALL = RULES | BASELINES
SLOW = pytest.mark.slow


def data(*shape, classes=3):
    draw = np.random.default_rng(0)
    y = np.eye(classes, dtype=np.float32)[draw.integers(0, classes, shape[0])]
    return bp.Batch(jnp.asarray(draw.standard_normal(shape), jnp.float32), jnp.asarray(y))


TANH = bp.mlp((6, 8, 7, 3)), data(5, 6)
RELU = bp.mlp((6, 8, 7, 3), bp.relu()), data(5, 6)
CONV = (
    (bp.conv(3, 3, bp.tanh()), bp.pooled(2, bp.flattened(bp.dense(6, bp.tanh()))), bp.dense(3)),
    data(4, 6, 6, 2),
)
NOISY = (
    (
        bp.synaptic_release(bp.dense(8, bp.gaussian(bp.tanh(), 0.3)), 0.7),
        bp.dense(6, bp.tanh()),
        bp.dense(3),
    ),
    data(5, 6),
)


class Block(nnx.Module):
    def __init__(self, rngs):
        self.norm, self.inner = nnx.LayerNorm(8, rngs=rngs), nnx.Linear(8, 8, rngs=rngs)

    def __call__(self, x):
        return x + self.inner(self.norm(x))


def flax_net():
    layers = partial(nnx.Linear, 6, 8), bp.tanh(), Block, bp.tanh(), partial(nnx.Linear, 8, 3)
    return bp.from_flax(*layers), data(5, 6)


def test_every_rule_has_checks_for_any_net():
    assert all(family.on_net for key, family in FAMILIES.items() if key not in REWARDED)


@pytest.mark.parametrize(
    "key", ["fa", "ldrl", *(pytest.param(k, marks=SLOW) for k in ("dfa", "np"))]
)
@pytest.mark.parametrize(
    "net", [RELU, CONV, NOISY, flax_net()], ids=["relu", "conv", "noisy", "flax"]
)
def test_on_other_nets(key, net):
    assert not [str(c) for c in bp.verify(ALL[key], *net) if not c.passed]


def test_a_net_that_does_not_settle_fails_the_first_check():
    net, batch = (
        bp.mlp((6, 30, 30, 3), bp.relu(), weights=jax.nn.initializers.he_normal()),
        data(5, 6),
    )
    failed = [c.name for c in bp.verify("ep", net, batch) if not c.passed]
    assert failed[0].startswith("settles")


@pytest.mark.parametrize("key", LABELLED_AND_SLOW_COSTLY)
def test_mutants_of_nonlinear_outputs_fail_at_nonlinear_outputs_only(x64, key):
    """Mistakes that have no effect at linear outputs: only checks at nonlinear outputs fail."""
    (mutant,) = (m for m in MUTANTS if m.key == key and m.name.startswith("nonlinear outputs"))
    factory = factory_of(mutant)
    assert first_failure(key, factory, small_problem(factory, LINEAR)) is None
    assert first_failure(key, factory, small_problem(factory, SIGMOID))


def test_every_rule_has_a_mutant_of_nonlinear_outputs():
    assert {
        m.key for m in MUTANTS if m.name.startswith("nonlinear outputs")
    } == FAMILIES.keys() - REWARDED


@pytest.mark.parametrize("key", ["bp", "kp", "pc", *MANY_IDENTITIES])
def test_on_a_perceptron(key):
    checks = bp.verify(key, *TANH)
    assert not [str(c) for c in checks if not c.passed]
    assert {c.rule for c in checks} == {key}


@pytest.mark.parametrize(
    ("claim", "factory"), [("bp", "fa"), ("bp", "frozen"), ("frozen", "bp"), ("fa", "kp")]
)
def test_another_rule(x64, claim, factory):
    """Kolen-Pollack's first gradient is feedback alignment's: passing is right there."""
    net, batch = RELU
    failed = first_failure(claim, ALL[factory], posed(net, bp.cross_entropy, batch))
    assert (failed is None) == ((claim, factory) == ("fa", "kp"))


def test_hyperparameters_and_params_of_the_caller():
    net, batch = RELU
    params = bp.init(net, jax.random.key(3), batch.x)
    assert all(
        c.passed
        for c in bp.verify(
            partial(bp.rules.predictive_coding, steps=3, precision=0.5), net, batch, bp.mse, params
        )
    )


def test_errors():
    net, batch = RELU
    with pytest.raises(ValueError, match="check_rule"):
        bp.verify(lambda net, loss: bp.rules.backprop(net, loss), net, batch)
    with pytest.raises(ValueError, match="both a net and a batch"):
        bp.verify("fa", net)
    with pytest.raises(ValueError, match="without a net"):
        bp.verify(partial(bp.rules.feedback_alignment, scale=2.0))
    assert str(bp.verify("frozen", net, batch)[0]).startswith(
        "ok     frozen identity the last layer equals backprop"
    )
