"""Costs of an update against counts by hand."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import optax
import pytest
from counting import ARRAY, F2, F3, SIZES, F, X, by_phase, counted, images

from bioplaus.layers import cnn, dense, mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure import total
from bioplaus.measure.cost import changed, cost
from bioplaus.measure.program import trace
from bioplaus.neurons import gaussian, multiplicative, synaptic_release, tanh
from bioplaus.rules import RULES


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bp", {"forward": F, "credit": X, "update": F}),
        ("fa", {"forward": F, "credit": X, "update": F}),
        ("kp", {"forward": F, "credit": X, "update": F}),
        ("usf", {"forward": F, "credit": X, "update": F}),
        ("dfa", {"forward": F, "credit": 3 * (5 + 4), "update": F}),
        ("np", {"forward": 2 * F, "update": F}),
        ("frozen", {"forward": F, "update": F3}),
    ],
)
def test_dense_rules_by_hand(name, expected):
    c = counted(name)
    assert by_phase(c) == expected
    assert c.inference_macs == F
    assert total(c).macs == sum(expected.values())


@pytest.mark.parametrize("steps", [1, 6])
def test_predictive_coding_by_hand(steps):
    """Predictive coding: a forward pass without the readout, T sweeps and the errors once more.

    A sweep computes predictions, X products, and errors, X products.
    """
    c = counted("pc", steps=steps)
    assert by_phase(c) == {"forward": F - F3, "credit": steps * 2 * X + X, "update": F}


def test_equilibrium_propagation_by_hand():
    """Equilibrium propagation: a free phase without the readout and two nudged phases with it.

    The current of x is computed once. Each nudged state gives an outer product, the input one in
    all.
    """
    free, nudged = 5, 3
    c = counted("ep", free_steps=free, nudged_steps=nudged)
    settle = (F - F3) + free * 2 * F2 + 2 * nudged * 2 * X + 2 * F3
    assert by_phase(c) == {"forward": settle, "update": F + F2 + F3}
    assert c.inference_macs == (F - F3) + free * 2 * F2 + F3


def test_convolutions_by_hand():
    """LeNet on 28 x 28 images: output positions x kernel x channels, without zeros of padding."""
    # along one axis, of 28 positions of 5 columns; 3 stick out at either end
    inside = 28 * 5 - 2 * (2 + 1)
    layers = [inside**2 * 6, 10 * 10 * 16 * 25 * 6, 400 * 120, 120 * 84, 84 * 10]
    c = counted("bp", cnn(10), images(2, 28, 28, 1, classes=10))
    assert by_phase(c) == {"forward": sum(layers), "credit": sum(layers[1:]), "update": sum(layers)}
    assert c.inference_macs == sum(layers)


def test_the_worked_example():
    """784-512-512-10: the table that other libraries' numbers are compared with."""
    net, batch = mlp([784, 512, 512, 10]), images(128, 784, classes=10)
    macs = {
        name: total(counted(name, net, batch)).macs
        for name in ("bp", "fa", "dfa", "pepita", "np", "frozen", "ff")
    }
    forward_forward = macs.pop("ff")
    assert macs == {
        "bp": 1_604_608,
        "fa": 1_604_608,
        "dfa": 1_347_584,
        "pepita": 2_013_856,
        "np": 2_006_016,
        "frozen": 673_792,
    }
    # forward-forward, all of whose layers learn by goodness: here the hidden ones, 784-512-512-10,
    # below a readout of its own
    hidden, readout = 784 * 512 + 512 * 512 + 512 * 10, 10 * 10
    deeper = total(counted("ff", mlp([784, 512, 512, 10, 10]), batch)).macs
    # less the readout's pass and its update
    assert deeper - (hidden + readout) - readout == 2_674_688
    assert forward_forward == 5 * (784 * 512 + 512 * 512) + 2 * 512 * 10


def test_counts_are_per_example():
    assert by_phase(counted("bp", batch=images(2, 6))) == by_phase(
        counted("bp", batch=images(30, 6))
    )
    one, two = (counted("bp", batch=images(n, 6)).phases["forward"] for n in (1, 2))
    assert (one.weight_reads, two.weight_reads) == (F, Fraction(F, 2))  # shared by the batch
    assert one.activation_reads == two.activation_reads == 6 + 5 + 4
    assert one.activation_writes == two.activation_writes == 5 + 4 + 3


def test_random_numbers():
    assert total(counted("np")).random == 5 + 4 + 3
    assert total(counted("bp")).random == 0
    # additive noise has no derivative
    assert total(counted("bp", mlp(SIZES, gaussian(tanh(), 0.1)))).random == 5 + 4
    # drawn again from its key
    assert total(counted("bp", mlp(SIZES, multiplicative(tanh(), 0.1)))).random == 2 * (5 + 4)
    # one a synapse and batch
    assert total(counted("bp", (synaptic_release(dense(3), 0.5),))).random == Fraction(2 * 6 * 3, 7)


def test_state_that_changes_is_counted():
    """Kolen-Pollack's Adam: B, its mean and its square, each read and written, and a counter."""
    words = X + 4 + 3  # weights and biases of the layers that send back
    c = counted("kp", tx=optax.adam(1e-3))
    assert c.state_words == Fraction(2 * (3 * words + 1), 7)
    assert c.phases["auxiliary"].ops > 0
    assert c.phases["auxiliary"].weight_writes == c.state_words / 2
    t = total(c)
    assert (
        sum(t.words for t in c.traffic)
        == t.weight_reads + t.weight_writes + t.activation_reads + t.activation_writes
    )
    assert counted("fa").state_words == counted("bp").state_words == 0


def test_state_that_a_scan_passes_through_does_not_change():
    def update(params, state):
        kept, moved = jax.lax.scan(lambda c, _: ((c[0], c[1] + c[0]), None), state, length=3)[0]
        return params, (kept, moved)

    program = trace(
        update, ARRAY((2,), jnp.float32), (ARRAY((3,), jnp.float32), ARRAY((3,), jnp.float32))
    )
    assert changed(program) == [program.inputs[1][1]]


def test_telemetry_is_free():
    net = mlp(SIZES)
    rule = RULES["bp"](net, cross_entropy)

    def grad(params, state, batch, key, gate=None):
        grads, state, info = rule.grad(params, state, batch, key, gate)
        gram = batch.x @ batch.x.T
        return (
            (jax.tree.map(lambda g: g + gram.sum(), grads) if charged else grads),
            state,
            info | {"gram": gram},
        )

    charged = False
    assert total(cost(rule._replace(grad=grad), net, images(7, 6))).macs == 2 * F + X
    charged = True
    assert total(cost(rule._replace(grad=grad), net, images(7, 6))).macs == 2 * F + X + 7 * 6
