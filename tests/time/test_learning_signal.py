"""The attack along the learning signal, on layers that hear themselves."""

import jax
import jax.numpy as jnp
import numpy as np

import bioplaus as bp
from bioplaus.measure.robustness import attack_with_learning_signal, pgd

KEY = jax.random.key(0)


def test_at_the_forward_weights_it_is_the_attack_along_the_gradient(x64):
    """Errors cross a recurrent layer's own synapses at the feedback weights."""
    wide = jax.nn.initializers.normal(0.8)
    net = (
        bp.recurrent(bp.dense(6, bp.lif(), weights=wide), bp.dense(6, weights=wide)),
        bp.after(bp.mean_over_time, bp.dense(3)),
    )
    draw = np.random.default_rng(0)
    x, y = jnp.asarray(draw.uniform(0, 1, (6, 5, 4))), jnp.eye(3)[jnp.arange(6) % 3]
    params, other = (bp.init(net, jax.random.key(s), x) for s in (1, 2))
    own = ({"in": params[0]["in"], "back": other[0]["back"]}, params[1])

    @jax.jit
    def moved():
        def predict(x, key):
            return bp.forward(net, params, x, key).output

        loss, options = bp.cross_entropy, {"epsilon": 0.05, "steps": 2}
        signals = [attack_with_learning_signal(net, params, b) for b in (params, own, other)]
        true = pgd(predict, loss, x, y, KEY, **options)
        return true, [a(predict, loss, x, y, KEY, **options) for a in signals]

    true, (at_w, at_own, at_other) = moved()
    np.testing.assert_allclose(at_w, true, atol=1e-12)
    for found in (at_own, at_other):  # controls: other weights in time alone, and everywhere
        assert float(jnp.mean(jnp.abs(found - true) > 1e-3)) > 0.05
