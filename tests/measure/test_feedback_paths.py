"""MACs by hand of rules that differ from FA and DFA in their feedback paths alone."""

import jax
import jax.numpy as jnp
import pytest

from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure.cost import cost
from bioplaus.measure.counts import total
from bioplaus.rules import RULES
from bioplaus.types import Batch

SIZES = (6, 5, 4, 3)
F, X = 30 + 20 + 12, 20 + 12
HIDDEN, CLASSES = 5 + 4, 3
PLAIN = {"forward": F, "credit": X, "update": F}


def counted(name, examples=7):
    batch = jax.eval_shape(
        lambda: Batch(jnp.zeros((examples, SIZES[0])), jnp.zeros((examples, CLASSES)))
    )
    return cost(RULES[name](mlp(SIZES), cross_entropy), mlp(SIZES), batch)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("frsf", PLAIN),
        ("brsf", PLAIN),
        # noise through the weights, and its correlation with the response
        ("wm", PLAIN | {"auxiliary": 2 * X}),
        ("drtp", PLAIN | {"credit": CLASSES * HIDDEN}),
        # a plateau potential in each of two phases
        ("guerguiev", PLAIN | {"credit": 2 * CLASSES * HIDDEN}),
        # the last layer alone
        ("urbanczik_senn", {"forward": F, "update": 4 * 3}),
    ],
)
def test_macs(name, expected):
    c = counted(name)
    assert {phase: p.macs for phase, p in c.phases.items() if p.macs} == expected
    assert c.inference_macs == F


def test_random_numbers_and_state():
    """A mirror draws per example, brSF per batch; B is read and written only where it changes."""
    assert {name: total(counted(name, 4)).random for name in ("wm", "brsf", "frsf", "drtp")} == {
        "wm": HIDDEN,
        "brsf": X // 4,
        "frsf": 0,
        "drtp": 0,
    }
    assert counted("wm", 4).state_words == 2 * X // 4
    assert counted("frsf").state_words == counted("drtp").state_words == 0
