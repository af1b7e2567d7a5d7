"""Rules learn from dL/da_L, the error of the output layer's current, for any output neurons.

Sigmoids under `bernoulli` are the same function and the same loss as logits under
`binary_cross_entropy`: a rule that learns from the loss alone must give the same gradients.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.identities.common import gradient, problem, relative
from bioplaus.losses import bernoulli, binary_cross_entropy, mse
from bioplaus.rules import RULES
from bioplaus.types import Batch

SIGMOID = bp.sigmoid()
# Rules that send the error elsewhere than through W or B, and one that does not. It is so for all
# but those that are defined by what the output neurons put out: a target there (tp, dtp, drl, ldrl,
# dfc), a clamp (chl, cpl), a finite nudge (dendritic_microcircuit).
ALIKE = ["fa", "dfa", "drtp", "phsic", "burstprop", "pepita", "local_pred", "local_losses", "ff"]


def pair(loss, logistic):
    """One problem twice: with logits, and with sigmoids."""
    return (
        problem((7, 5, 4, 3), examples=6, output=o, loss=l)
        for o, l in ((bp.identity(), logistic), (SIGMOID, loss))
    )


@pytest.mark.parametrize("key", ALIKE)
def test_sigmoids_under_bernoulli_learn_as_logits_do(x64, key):
    logits, sigmoids = (gradient(RULES[key], p)[0] for p in pair(bernoulli, binary_cross_entropy))
    assert relative(sigmoids[-1], logits[-1]) < 1e-6
    for ours, theirs in zip(
        jax.tree.leaves(sigmoids[:-1]), jax.tree.leaves(logits[:-1]), strict=True
    ):
        assert np.abs(ours - theirs).max() <= 1e-6 * np.abs(theirs).max()


def test_direct_feedback_is_feedback_alignment_of_one_hidden_layer(x64):
    """|DFA| / |FA| was 4.06 here, where B carried dL/dh_L."""
    p = problem((12, 20, 5), output=SIGMOID, loss=mse)
    direct, state, _ = gradient(bp.rules.direct_feedback_alignment, p)
    crossed = ((), {"w": state.feedback[0].T, "b": jnp.zeros(5)})
    through = gradient(bp.rules.feedback_alignment, p, lambda s: s._replace(feedback=crossed))[0]
    assert np.linalg.norm(direct[0]["w"]) / np.linalg.norm(through[0]["w"]) == pytest.approx(
        1, abs=1e-12
    )
    assert relative(direct, through) < 1e-12
    before = in_numpy(p, state.feedback[0], slope=False)
    assert np.linalg.norm(before) / np.linalg.norm(through[0]["w"]) > 3
    assert relative(direct[0]["w"], in_numpy(p, state.feedback[0], slope=True)) < 1e-12


def in_numpy(p, feedback, *, slope):
    """dW_1 of direct feedback alignment under half the squared error, computed with numpy.

    slope: whether the error contains phi'(a_L), as it must.
    """
    x, y, (first, last) = (
        np.asarray(p.batch.x),
        np.asarray(p.batch.y),
        jax.tree.map(np.asarray, p.params),
    )
    h = np.tanh(x @ first["w"] + first["b"])
    o = 1 / (1 + np.exp(-(h @ last["w"] + last["b"])))
    e = (o - y) * (o * (1 - o) if slope else 1)
    return x.T @ ((1 - h**2) * (e @ np.asarray(feedback))) / len(x)


@pytest.mark.parametrize("key", ["chl", "cpl"])
def test_sigmoids_under_bernoulli_are_clamped_within_their_range(x64, key):
    """Clamped by dL/dh_L, an output of 0.01 was sent to 100: digits ended at chance."""
    clamped = {"gain": 0.05, "free_steps": 40, "clamped_steps": 40}
    values, probabilities = (
        gradient(
            RULES[key], problem((7, 5, 4, 3), examples=6, output=SIGMOID, loss=loss), **clamped
        )[0]
        for loss in (mse, bernoulli)
    )
    assert relative(probabilities, values) < 1e-9


@pytest.mark.parametrize("key", ["local_pred", "local_losses"])
def test_heads_give_probabilities_to_bernoulli(key):
    """Local heads give probabilities to `bernoulli`, which takes nothing below 0 or above 1."""
    net = bp.mlp([6, 8, 7, 3], output=SIGMOID)
    draw = np.random.default_rng(0)
    batch = Batch(jnp.asarray(draw.standard_normal((5, 6))), jnp.eye(3)[draw.integers(0, 3, 5)])

    def loss(output, y):
        return jnp.where(((output >= 0) & (output <= 1)).all(-1), bernoulli(output, y), jnp.nan)

    params, rule = bp.init(net, jax.random.key(0), batch.x), RULES[key](net, loss)
    state = rule.init(jax.random.key(1), params, batch)
    state = state._replace(heads=jax.tree.map(lambda w: 3 + 0 * w, state.heads))
    grads, after, _ = jax.jit(rule.grad)(params, state, batch, jax.random.key(2))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((grads, after)))
