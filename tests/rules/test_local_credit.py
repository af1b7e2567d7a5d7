"""What rules share: pull, send, gates, signals, relaxation; each by numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.local import gates_of, pull, send, signals_of, through
from bioplaus.rules.shared.relax import relax

KEY = jax.random.key(0)
LAYER = bp.dense(2, bp.tanh())
PARAMS = {"w": jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), "b": jnp.zeros(2)}
X = jnp.array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]])
SIGNAL = jnp.array([[1.0, -1.0], [2.0, 0.5]])


def test_pull_is_the_mean_outer_product():
    grads = pull(LAYER, PARAMS, X, KEY, SIGNAL)
    np.testing.assert_allclose(grads["w"], np.array([[0.5, -0.5], [1.0, 0.25], [2.0, -0.75]]))
    np.testing.assert_allclose(grads["b"], [1.5, -0.25])


@pytest.mark.parametrize(
    "gate",
    [2.0, jnp.array([3.0, 0.0]), jnp.array([[1.0, 0.0], [0.0, 2.0]])],
    ids=["scalar", "example", "unit"],
)
def test_pull_with_a_gate(gate):
    g = np.asarray(gate)
    want = np.asarray(X).T @ (np.asarray(SIGNAL) * (g[:, None] if g.ndim == 1 else g)) / 2
    np.testing.assert_allclose(pull(LAYER, PARAMS, X, KEY, SIGNAL, gate)["w"], want)


def test_pull_refuses_a_gate_of_another_shape():
    for gate in (jnp.ones(3), jnp.ones((3, 1)), jnp.ones((1, 1, 1))):
        with pytest.raises(ValueError, match="gate: got shape"):
            pull(LAYER, PARAMS, X, KEY, SIGNAL, gate)


def test_send_uses_the_feedback_weights():
    feedback = jax.tree.map(lambda w: -2.0 * w + 1.0, PARAMS)
    np.testing.assert_allclose(
        send(LAYER, PARAMS, feedback, X, KEY, SIGNAL), SIGNAL @ feedback["w"].T
    )
    assert np.abs(SIGNAL @ (feedback["w"] - PARAMS["w"]).T).min() > 0.1


def test_through_is_the_derivative():
    a = jnp.array([[0.3, -2.0], [0.0, 1.0]])
    np.testing.assert_allclose(through(LAYER, a, KEY, SIGNAL), SIGNAL / np.cosh(a) ** 2, rtol=1e-5)


def test_gates_of():
    signals = signals_of(bp.cross_entropy, jnp.ones(2), jnp.zeros((2, 3)), jnp.eye(3)[:2])
    assert gates_of(None, signals, 3) == (None,) * 3
    assert gates_of(lambda s: (s.loss, None), signals, 2)[0] is signals.loss
    with pytest.raises(ValueError, match="tuple of 2 for a net of 3"):
        gates_of((1.0, 1.0), signals, 3)


def test_signals_by_hand():
    output, y = (
        jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.2, 0.7, 0.1]])) + 3.0,
        jnp.eye(3)[jnp.array([0, 2])],
    )
    s = signals_of(bp.cross_entropy, jnp.array([1.0, 2.0]), output, y)
    np.testing.assert_array_equal(s.loss, [1.0, 2.0])
    np.testing.assert_array_equal(s.correct, [1.0, 0.0])
    np.testing.assert_allclose(s.surprise, -np.log([0.5, 0.1]), rtol=1e-5)
    p = np.array([0.2, 0.7, 0.1])
    np.testing.assert_allclose(s.entropy, [1.5 * np.log(2), -(p * np.log(p)).sum()], rtol=1e-5)


def test_relax_by_hand():
    """z <- z / 2 + 1 from 0: after 3 steps 1.75, whose last change is 0.25."""
    z, residual = relax(lambda z, _: z / 2 + 1, jnp.zeros(4), 3)
    np.testing.assert_allclose(z, 1.75)
    assert float(residual) == pytest.approx(0.25 / 1.75)
    assert float(relax(lambda z, _: z / 2 + 1, jnp.zeros(4), 60)[1]) < 1e-6
    assert float(relax(lambda z, _: -2 * z + 1, jnp.ones(4), 60)[1]) > 0.5
    # overflows: not a number
    assert not float(relax(lambda z, _: z**2, 3 * jnp.ones(4), 60)[1]) < 0.5


def test_relax_has_a_reverse_mode():
    derivative = jax.grad(lambda a: relax(lambda z, _: a * z + 1, jnp.zeros(()), 50)[0])(0.5)
    assert float(derivative) == pytest.approx(4.0, rel=1e-5)  # of 1 / (1 - a)
