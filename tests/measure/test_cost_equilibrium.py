"""MACs of the variants of equilibrium propagation, and of contrastive learning, by hand."""

import jax
import jax.numpy as jnp
import pytest

from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure.cost import cost
from bioplaus.rules import RULES
from bioplaus.types import Batch

SIZES = (6, 5, 4, 3)
F1, F2, F3 = 30, 20, 12
F, X = F1 + F2 + F3, F2 + F3
FREE, SECOND = 5, 3
# the readout is outside of the dynamics; the current of x is computed once
SETTLED = (F - F3) + FREE * 2 * F2


def counted(name, **hyper):
    batch = jax.eval_shape(lambda: Batch(jnp.zeros((7, SIZES[0])), jnp.zeros((7, SIZES[-1]))))
    c = cost(RULES[name](mlp(SIZES), cross_entropy, free_steps=FREE, **hyper), mlp(SIZES), batch)
    return {phase: p.macs for phase, p in c.phases.items() if p.macs}, c.inference_macs


@pytest.mark.parametrize("name", ["pep", "nep"])
def test_one_sided(name):
    """One nudged phase and its readout, and the outer products of the weight update.

    The second layer has an outer product at both states; the input and the readout have one each.
    """
    phases, inference = counted(name, nudged_steps=SECOND)
    assert phases == {"forward": SETTLED + SECOND * 2 * X + F3, "update": F + F2}
    assert inference == SETTLED + F3


@pytest.mark.parametrize("points", [2, 4])
def test_holomorphic(points):
    """Nudged phases on and above the real line, with their readouts and outer products.

    A complex phase takes two real products for each; the input has one outer product in all.
    """
    phases, inference = counted("hep", nudged_steps=SECOND, points=points)
    above = points // 2 - 1
    assert phases == {
        "forward": SETTLED + (2 + 2 * above) * (SECOND * 2 * X + F3),
        "update": F + X + above * 2 * X,
    }
    assert inference == SETTLED + F3


@pytest.mark.parametrize("name", ["chl", "cpl"])
def test_contrastive(name):
    """The output settles in the free phase, and is not computed in the clamped one.

    The input has one outer product for both phases.
    """
    phases, inference = counted(name, clamped_steps=SECOND)
    assert phases == {"forward": F + FREE * 2 * X, "credit": SECOND * (2 * X - F3), "update": F + X}
    assert inference == F + FREE * 2 * X
