"""Hand counts of weight perturbation, forward gradients three-factor learning and pHSIC."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import pytest

from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure.cost import cost
from bioplaus.measure.counts import total
from bioplaus.rules import RULES
from bioplaus.types import Batch

F, X, UNITS = 30 + 20 + 12, 20 + 12, 5 + 4 + 3
WEIGHTS, EXAMPLES = F + UNITS, 7


def counted(name, **hyper):
    net, batch = (
        mlp((6, 5, 4, 3)),
        jax.eval_shape(lambda: Batch(jnp.zeros((EXAMPLES, 6)), jnp.zeros((EXAMPLES, 3)))),
    )
    return cost(RULES[name](net, cross_entropy, **hyper), net, batch)


@pytest.mark.parametrize(
    ("name", "hyper", "expected", "random"),
    [
        ("wp", {"shared": False}, {"forward": 2 * F, "update": WEIGHTS}, WEIGHTS),
        ("wp", {}, {"forward": 2 * F}, Fraction(WEIGHTS, EXAMPLES)),
        # tangents: x v_1, then dh W and h v
        ("fg", {}, {"forward": 2 * F + X}, Fraction(WEIGHTS, EXAMPLES)),
        ("fg", {"shared": False}, {"forward": 2 * F + X, "update": WEIGHTS}, WEIGHTS),
        ("afg", {}, {"forward": F + X, "update": F}, UNITS),
    ],
)
def test_directions_by_hand(name, hyper, expected, random):
    c = counted(name, **hyper)
    assert {phase: p.macs for phase, p in c.phases.items() if p.macs} == expected
    assert total(c).random == random
    assert c.inference_macs == F


@pytest.mark.parametrize("delay", [0, 2])
def test_three_factor_by_hand(delay):
    """One noisy pass, and an outer product an example for the traces, which stay in the state."""
    c = counted("threefactor", delay=delay, decay=0.5)
    assert {phase: p.macs for phase, p in c.phases.items() if p.macs} == {"forward": F, "update": F}
    assert total(c).random == UNITS
    # traces, rewards, the baseline and a counter
    assert c.state_words == 2 * WEIGHTS + 2 * delay + Fraction(2 * 2, EXAMPLES)


def test_phsic_by_hand():
    """pHSIC: similarities of labels and of hidden outputs, and their derivatives, B n_l each."""
    c = counted("phsic")
    assert {phase: p.macs for phase, p in c.phases.items() if p.macs} == {
        "forward": F,
        "credit": EXAMPLES * (3 + 2 * (5 + 4)),
        "update": F,
    }
    assert c.inference_macs == F
