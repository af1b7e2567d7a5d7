"""Masked gradients: a net of the digits example that deceives an attack, and suites made by hand.

An attack that follows the learning signal of feedback alignment does not find what PGD finds.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bioplaus import net as nets
from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure.robustness import (
    CHECKS,
    SINGLE_TRY,
    Budget,
    Suite,
    attack_with_learning_signal,
    claim,
    describe,
    pgd,
    radii,
    render,
    suite,
    surviving,
)
from bioplaus.neurons import gaussian, tanh
from bioplaus.types import Batch

pytestmark = pytest.mark.slow

KEY = jax.random.key(0)
BUDGET = Budget(0.1, steps=40, restarts=2, queries=200, samples=20)


@pytest.fixture(scope="module")
def examined(digits):
    """Feedback alignment on digits, 2 seeds, by the true gradient and by the learning signal."""

    @jax.jit
    @jax.vmap
    def both(fa, other, bp, feedback):
        sources = [digits.answer(bp), digits.answer(other)]
        ways = (pgd, attack_with_learning_signal(digits.net, fa, feedback))
        return [
            suite(digits.answer(fa), cross_entropy, digits.test, KEY, BUDGET, sources, white)
            for white in ways
        ]

    swapped = jax.tree.map(lambda a: jnp.roll(a, 1, 0), digits.fa)
    return [
        claim(found, BUDGET, 0.1) for found in both(digits.fa, swapped, digits.bp, digits.feedback)
    ]


def failed(found):
    return {f.name for f in found.flags if not f.passed}


def test_feedback_alignment_is_robust_only_to_a_blind_attack(examined):
    true, pseudo = examined
    assert failed(true) == set()
    assert {"F5", "F6", "F7", "F8"} <= failed(pseudo)
    assert true.holds
    assert not pseudo.holds
    assert true.attacks["clean"].mean() > 0.95
    assert true.attacks["pgd"].mean() < 0.6
    assert pseudo.attacks["pgd"].mean() > 0.9
    assert pseudo.attacks["worst"].mean() < 0.6  # the other attacks see what it does not


def test_the_order_of_attacks_on_an_honest_net(examined):
    a = examined[0].attacks
    assert (a["worst"] <= np.min([v for k, v in a.items() if k != "worst"], axis=0)).all()
    assert (a["pgd"] < a["fgsm"]).all()
    assert (a["pgd"] < a["transfer"]).all()
    for query in ("square", "ray_search"):
        assert (a["pgd"] <= a[query] + 0.01).all()
        assert (a[query] < a["random_signs"] - 0.1).all()
    assert a["worst"].shape == (2,)


def test_the_text_says_no_claim_where_a_check_fails(examined):
    true, pseudo = (render(c) for c in examined)
    assert "robust accuracy" in true
    assert "FAILED" not in true
    assert "no claim of robustness: " in pseudo
    assert "robust accuracy" not in pseudo
    for text in (true, pseudo):
        assert all(f"{name} " in text and what in text for name, what in CHECKS.items())
    said = describe(BUDGET)
    for number in (
        "0.1",
        "40 steps",
        "0.00625",
        "2 random starts",
        "queries 200",
        "20 random samples",
        "80 steps",
        "0.5",
    ):
        assert number in said


def by_hand(**changes: Any) -> Suite:
    """An honest net, one seed: 100 examples, all right when clean, of which PGD breaks 60."""

    def tries(*broken):  # how many of the first examples each try breaks
        return np.broadcast_to(
            (np.arange(100) >= np.array(broken)[:, None]).astype(float), (1, 2, len(broken), 100)
        )

    honest: dict[str, Any] = {
        "clean": tries(0),
        "fgsm": tries(40),
        "pgd": tries(58, 60),
        "further": tries(60, 60),
        "longer": tries(60, 60),
        "sweep": tries(10, 30, 58, 100),
        "transfer": tries(50),
        "single_try": dict.fromkeys(SINGLE_TRY, tries(55)),
        "random_signs": tries(8, 10),
        "random_ball": tries(3, 4),
        "fixed": None,
        "blind": np.zeros((1, 100)),
        "softmax": np.zeros((1, 100)),
        "noise": np.zeros(1),
    }
    for name, change in changes.items():
        of = honest["single_try"] if name in SINGLE_TRY else honest
        of[name] = tries(*change) if isinstance(change, tuple) else change
    return Suite(**honest)


HAND = Budget(0.1, restarts=2, samples=4)


@pytest.mark.parametrize(
    ("flag", "changes", "value"),
    [
        ("F1", {"fgsm": (61,)}, 0.01),
        ("F2", {"longer": (60, 62)}, 0.02),
        ("F2", {"longer": (50, 58)}, 0.02),
        ("F3", {"further": (62, 60)}, 0.02),
        ("F4", {"sweep": (10, 40, 38, 100)}, 0.02),
        ("F5", {"sweep": (10, 30, 58, 89)}, 0.11),
        *(("F6", {name: (63,)}, 0.03) for name, one in SINGLE_TRY.items() if one.queries),
        ("F6", {"random_ball": (1, 63)}, 0.03),
        ("F7", {"transfer": (10, 63)}, 0.03),
        ("F8", {"random_signs": (28, 34)}, 31 / 60),
        ("F9", {"blind": np.arange(100)[None] < 2}, 0.02),
        ("F9", {"softmax": np.ones((1, 100))}, 1.0),
        ("F10", {"noise": np.ones(1)}, 1.0),
    ],
)
def test_each_check_alone(flag, changes, value):
    assert failed(claim(by_hand(), HAND, 0.1)) == set()
    found = claim(by_hand(**changes), HAND, 0.1)
    assert failed(found) == {flag}
    assert {f.name: f.value for f in found.flags}[flag] == pytest.approx(value)


def test_checks_of_what_was_not_measured_or_stored():
    none = np.zeros((1, 2, 0, 100))
    assert failed(claim(by_hand(transfer=none), HAND, 0.1)) == {"F7"}
    assert failed(claim(by_hand(), HAND._replace(queries=math.nan), 0.1)) == {"F12"}  # type: ignore[arg-type]
    assert failed(claim(by_hand(), HAND._replace(restarts=5), 0.1)) == {"F12"}
    wrong = claim(by_hand(clean=(95,)), HAND, 0.1)
    assert "F11" in failed(wrong)
    with pytest.raises(ValueError, match="one seed or more"):
        claim(jax.tree.map(lambda a: a[:0], by_hand()), HAND, 0.1)
    for wrong in (HAND._replace(steps=0), HAND._replace(bounds=(1.0, 0.0))):
        with pytest.raises(ValueError, match="above 0"):
            suite(
                lambda x, key: x,
                cross_entropy,
                Batch(jnp.zeros((1, 2)), jnp.ones((1, 2))),
                KEY,
                wrong,
            )


def test_noisy_nets_need_the_mean_gradient_and_fresh_noise():
    """A noisy net needs enough draws of its gradient, and is judged on fresh noise.

    A net that withstands the attack under fixed noise hides its gradient. An attack chosen because
    it was lucky on some samples is reported on others.
    """
    noisy = {
        "noise": np.ones(1),
        "fixed": np.broadcast_to(np.arange(100) >= 60, (1, 2, 1, 100)).astype(float),
    }
    enough = HAND._replace(draws=20)
    assert failed(claim(by_hand(**noisy), enough, 0.1)) == set()
    assert failed(claim(by_hand(**noisy), HAND._replace(draws=5), 0.1)) == {"F10"}
    hidden = {**noisy, "fixed": np.ones((1, 2, 1, 100))}
    assert failed(claim(by_hand(**hidden), enough, 0.1)) == {"F10"}
    # each try, each judgement: a coin
    lucky = np.random.default_rng(0).integers(0, 2, (1, 2, 200, 50)).astype(float)
    assert surviving(lucky).mean() == pytest.approx(0.5, abs=0.2)
    # what choosing and reporting by the same samples would say
    assert lucky.min((1, 2)).mean() == 0


def test_examples_are_judged_one_by_one():
    """Two attacks that break different halves leave nothing."""
    half = np.broadcast_to(np.arange(10) < 5, (1, 2, 1, 10)).astype(float)
    assert surviving(half, 1 - half).mean() == 0
    assert surviving(half).mean() == 0.5


def test_a_net_with_noise_end_to_end():
    """A net of 20 random sums: its noise is measured, and its mean gradient breaks it."""
    net = mlp([8, 20, 3], gaussian(tanh(), 0.1))
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(30, 8)), jnp.float32)
    params = jax.tree.map(lambda w: 3 * w, jax.jit(lambda: nets.init(net, KEY, x))())

    def predict(x, key):
        return nets.forward(net, params, x, key).output

    y = jax.nn.one_hot(
        nets.forward(nets.noise_mode(net, "off"), params, x, KEY).output.argmax(-1), 3
    )
    budget = Budget(0.1, steps=10, restarts=1, queries=20, samples=2, draws=20)
    found = jax.jit(
        lambda: jax.tree.map(
            lambda a: a[None], suite(predict, cross_entropy, Batch(x, y), KEY, budget)
        )
    )()
    assert found.noise[0] > 0.05
    assert found.fixed is not None
    # a mean over samples, not one of them
    assert 0 < ((found.clean > 0) & (found.clean < 1)).mean() < 1
    got = claim(found, budget, 1 / 3)
    assert "F7" in failed(got)
    assert "F10" not in failed(got)
    assert got.attacks["pgd"].mean() < got.attacks["random_signs"].mean() - 0.05


def test_radii_end_where_no_net_is_robust():
    assert radii(Budget(0.1)) == (0.025, 0.05, 0.1, 0.5)
    assert radii(Budget(0.3))[-1] == 0.6
    assert radii(Budget(0.1, bounds=(-3.0, 3.0)))[-1] == 0.5  # of the range: every image plain grey
