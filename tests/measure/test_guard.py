"""Oracle: finite differences, and a net whose gradient is known to be false."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bioplaus import net as nets
from bioplaus.layers import conv, dense, flattened, mlp, pooled
from bioplaus.losses import binary_cross_entropy, cross_entropy
from bioplaus.measure.robustness import PseudoGradientError, check_gradient
from bioplaus.neurons import rate, relu, tanh

pytestmark = pytest.mark.thorough

KEY = jax.random.key(0)


def _with_feedback(weights):
    """A dense tanh net whose custom_vjp uses feedback weights, so that every gradient is false."""

    def product(x, w, b):
        del b
        return x @ w

    def pull(kept, s):
        x, b = kept
        return s @ b.T, x.T @ s, jnp.zeros_like(b)

    synapse = jax.custom_vjp(product)
    synapse.defvjp(lambda x, w, b: (product(x, w, b), (x, b)), pull)

    def predict(params, state, x, key):
        del key
        x = x.reshape(len(x), -1)
        for l, (p, b) in enumerate(zip(params, weights(params, state), strict=True)):
            x = synapse(x, p["w"], b) + p["b"]
            x = jnp.tanh(x) if l + 1 < len(params) else x
        return x

    return predict


def test_guard_accepts_kinked_nets_on_blank_images():
    """The guard accepts ReLU and max pooling at exact zeros, where they have no derivative."""
    net = (
        conv(4, 3, relu(), padding=1),
        pooled(2, conv(6, 3, relu())),
        flattened(dense(20, relu())),
        dense(5),
    )
    x = (
        jnp.zeros((12, 10, 10, 1))
        .at[:, 3:7, 3:7]
        .set(np.random.default_rng(0).uniform(size=(12, 4, 4, 1)))
    )
    params = jax.jit(lambda: nets.init(net, KEY, x))()
    y = jax.nn.one_hot(jnp.arange(12) % 5, 5)
    assert check_gradient(nets.predictor(net), cross_entropy, params, (), x, y, KEY) < 1e-6


def test_guard_rejects_feedback_in_the_forward_pass(trained):
    params, feedback = trained.params, trained.feedback
    x, y = trained.test.x[:32], trained.test.y[:32]
    check = partial(check_gradient, loss=cross_entropy, params=params, x=x, y=y, key=KEY)
    with pytest.raises(PseudoGradientError, match="differs from finite differences"):
        check(_with_feedback(lambda params, state: [b["w"] for b in state]), state=feedback)
    # B = W is the truth
    assert check(_with_feedback(lambda params, state: [p["w"] for p in params]), state=()) < 1e-6
    assert check(nets.predictor(trained.net), state=()) < 1e-6


def test_guard_sees_through_a_flat_loss(trained):
    """The guard finds a false gradient even where the loss, and so every gradient, is nearly 0."""
    params, feedback = trained.params, trained.feedback
    sure = (*params[:-1], jax.tree.map(lambda w: 30 * w, params[-1]))
    predict = _with_feedback(lambda params, state: [b["w"] for b in state])
    losses = cross_entropy(predict(sure, sure, trained.test.x, KEY), trained.test.y)
    flat = jnp.argsort(losses)[:20]
    assert losses[flat].max() < 1e-6
    with pytest.raises(PseudoGradientError):
        check_gradient(
            predict,
            cross_entropy,
            sure,
            (sure[0], *feedback[1:]),
            trained.test.x[flat],
            trained.test.y[flat],
            KEY,
        )


def test_guard_rejects_what_has_no_derivative_or_is_not_finite():
    # a step, with the straight-through gradient
    spike = rate(lambda a: a + jax.lax.stop_gradient((a > 0) - a))
    x, y = (
        jnp.asarray(np.random.default_rng(0).uniform(size=(6, 8)), jnp.float32),
        jnp.eye(3)[jnp.arange(6) % 3],
    )
    params = jax.jit(lambda: nets.init(mlp([8, 10, 3]), KEY, x))()
    spiking, smooth = (nets.predictor(mlp([8, 10, 3], neuron)) for neuron in (spike, tanh()))
    single = lambda p, s, x, k: smooth(p, s, x.astype(jnp.float32), k)  # noqa: E731
    broken = jax.tree.map(lambda w: w * jnp.nan, params)
    assert check_gradient(smooth, cross_entropy, params, (), x, y, KEY) < 1e-6
    for predict, p in ((spiking, params), (single, params), (smooth, broken)):
        with pytest.raises(PseudoGradientError):
            check_gradient(predict, cross_entropy, p, (), x, y, KEY)


def test_guard_moves_labels_and_one_output_by_a_class():
    """The guard finds a false gradient whose loss is flat, for class labels and for one output."""
    x, labels = (
        jnp.asarray(np.random.default_rng(0).uniform(size=(6, 4)), jnp.float32),
        np.arange(6) % 2,
    )
    sure = jnp.asarray(60 * labels - 30.0, jnp.float32)[:, None]

    @jax.custom_vjp
    def lie(output):
        return output

    lie.defvjp(lambda output: (output, None), lambda _, g: (2 * g,))
    for loss, outputs in (
        (binary_cross_entropy, lambda o: o[:, :1]),
        (cross_entropy, lambda o: jnp.concatenate([-o, o], 1)),
    ):
        honest = lambda p, s, x, k, outputs=outputs: outputs(sure + (x @ p)[:, :1])  # noqa: E731
        check = partial(check_gradient, loss=loss, params=jnp.ones((4, 1)), state=(), x=x, key=KEY)
        rows = labels[:, None] if loss is binary_cross_entropy else np.eye(2)[labels]
        assert check(honest, y=labels) == check(honest, y=rows) < 1e-6  # type: ignore
        for y in (labels, rows):
            with pytest.raises(PseudoGradientError):
                check(lambda *a, honest=honest: lie(honest(*a)), y=y)  # type: ignore
