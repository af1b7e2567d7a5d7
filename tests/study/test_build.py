"""Settings for unsupervised rules: competing neurons, positive weights, normalised updates.

Normalised updates are divided by their largest entry.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bioplaus.net import fire, init
from bioplaus.study.build import build
from bioplaus.study.settings import Arm

X = jnp.zeros((1, 200))


def test_weights_above_zero_and_competing_neurons():
    """Settings give positive hidden weights of a given size, and softmax neurons of a given slope.

    Hidden weights have root mean square 35 / sqrt(200), the last layer its usual weights, and the
    softmax a mean of 1.
    """
    arm = Arm.model_validate(
        dict(
            net={"hidden": [50], "variance": 1225, "positive": True},
            neuron={"kind": "softmax", "slope": 3},
        )
    )
    net = build(arm, X, 4).net
    params = init(net, jax.random.key(0), X)
    hidden, last = (np.asarray(p["w"]) for p in params)
    assert hidden.min() > 0
    assert hidden.std() / hidden.mean() == pytest.approx(3**-0.5, rel=0.03)  # uniform from 0
    assert np.sqrt((hidden**2).mean()) == pytest.approx(35 / 200**0.5, rel=0.03)
    assert np.sqrt((last**2).mean()) == pytest.approx(0.5 / 50**0.5, rel=0.3)
    assert last.min() < 0
    a = np.linspace(-1, 1, 50)[None]
    np.testing.assert_allclose(
        fire(net[0], jnp.asarray(a), jax.random.key(0)),
        50 * np.exp(3 * a) / np.exp(3 * a).sum(),
        rtol=1e-5,
    )


@pytest.mark.parametrize("rule", ["softhebb", "frozen"])
def test_updates_over_their_largest_entry(rule):
    """Hidden arrays change by 0.1 at most, relative to their largest entry; a zero stays zero.

    The last layer is trained by plain gradient descent.
    """
    spec = {"kind": "sgd", "learning_rate": 0.5, "weight_decay": 0.2, "largest": 0.1}
    tx = build(Arm.model_validate(dict(net={"hidden": [3]}, rule=rule, optimiser=spec)), X, 2).tx
    params = tuple({"w": np.ones((3, 3)), "b": np.ones(3)} for _ in range(2))
    grads = ({"w": np.diag([4.0, -8.0, 2.0]), "b": np.zeros(3)}, {"w": np.eye(3), "b": np.zeros(3)})
    moved = jax.tree.map(np.asarray, tx.update(grads, tx.init(params), params)[0])
    want = np.diag([-0.05, 0.1, -0.025]) if rule == "softhebb" else np.zeros((3, 3))
    np.testing.assert_allclose(moved[0]["w"], want, rtol=1e-6)
    assert not moved[0]["b"].any()
    np.testing.assert_allclose(moved[1]["w"], -0.5 * (np.eye(3) + 0.2), rtol=1e-6)
    assert optax.tree.norm(moved) > 0
