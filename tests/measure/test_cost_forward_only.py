"""Rules that learn in forward passes: hand counts of MAC operations an example."""

from fractions import Fraction

import jax
import jax.numpy as jnp

from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure.cost import cost
from bioplaus.rules import RULES
from bioplaus.types import Batch

SIZES = (6, 5, 4, 3)
F, READOUT, HIDDEN, CLASSES, B = 30 + 20 + 12, 12, 5 + 4, 3, 7


def counted(name: str) -> dict:
    net = mlp(SIZES)
    batch = jax.eval_shape(lambda: Batch(jnp.zeros((B, 6)), jnp.zeros((B, 3))))
    return {
        phase: p.macs
        for phase, p in cost(RULES[name](net, cross_entropy), net, batch).phases.items()
        if p.macs
    }


def test_pepita():
    assert counted("pepita") == {"forward": 2 * F, "credit": CLASSES * SIZES[0], "update": F}


def test_local_heads():
    """Cosines: B n_l an example; their derivative, twice that; those of the labels, B C."""
    pred, squares = CLASSES * HIDDEN, 5 * 5 + 4 * 4
    sim = B * (3 * HIDDEN + 2 * CLASSES)
    for name, heads, compared in (
        ("local_pred", pred, 0),
        ("local_sim", squares, sim),
        ("local_losses", pred + squares, sim),
    ):
        assert counted(name) == {
            "forward": F + heads,
            "credit": heads + compared,
            "update": F,
            "auxiliary": heads,
        }


def test_forward_forward():
    """Forward-forward: two passes through the hidden layers, and one of the net for the readout.

    The two passes have the right and a wrong label, the last one has no label.
    """
    assert counted("ff") == {
        "forward": 2 * (F - READOUT) + F,
        "update": 2 * (F - READOUT) + READOUT,
    }


def test_signal_propagation():
    """Signal propagation: class signals pass once per batch; similarities and derivatives."""
    once = Fraction(CLASSES * (F - READOUT), B)
    assert counted("sigprop") == {
        "forward": F + once,
        "credit": 3 * CLASSES * HIDDEN,
        "update": F + once,
    }


def test_clapp():
    """CLAPP: two glimpses pass the hidden layers, the input the net; P predicts and is trained."""
    squares, glimpses = 5 * 5 + 4 * 4, 2 * (F - READOUT)
    assert counted("clapp") == {
        "forward": F + glimpses,
        "credit": 2 * squares,
        "update": READOUT + glimpses,
        "auxiliary": squares,
    }
