"""A guard before attacks: it checks that reverse mode gives the derivative of the forward pass.

Athalye, Carlini, Wagner, "Obfuscated Gradients Give a False Sense of Security", 2018,
arXiv:1802.00420.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.losses import of_answers
from bioplaus.outputs import targets
from bioplaus.types import Array, Key, Loss, PyTree

TOLERANCE = 1e-4
# so short that almost no unit crosses a kink (ReLU, max pooling) on the way; differences of float64
# numbers still have 8 digits
STEP = 1e-8
JITTER = 1e-2


class PseudoGradientError(ValueError):
    """The gradient of a forward pass is not its derivative."""


def check_gradient(
    predict: Callable[..., Array],
    loss: Loss,
    params: PyTree,
    state: PyTree,
    x: Array,
    y: Array,
    key: Key,
    *,
    directions: int = 8,
) -> float:
    """Raise PseudoGradientError unless reverse mode gives the true derivative.

    The derivative is that of the loss by the input.

    The check is |g . v - (L(x + h v) - L(x - h v)) / 2h| <= 1e-4 (1 + |g . v|), with L the mean
    loss, g its gradient, h = 1e-8, and v standard normal, in `directions` directions, in float64.
    Returns the largest left side over 1 + |g . v|. Call it before an attack, outside of jit.

    predict: (params, state, x, key) -> outputs. params and state are cast to float64 here. A few
    dozen examples are enough. x is moved by at most 0.01, because images have exact zeros, at which
    nets with kinks have no derivative. Targets are moved by one class (y of one output to 1 - y),
    because the loss of a trained net is flat, and a flat loss hides any error. Noise must be
    differentiable at a fixed key: Poisson counts and spikes are not, and are rejected.
    """

    rng = np.random.default_rng(0)
    params, state, x, y = jax.tree.map(_double, (params, state, x, y))
    x = x + JITTER * rng.uniform(-1.0, 1.0, x.shape)
    v = rng.normal(size=(directions, *x.shape))

    def error(params, state, x, v):
        def mean_loss(x):
            output = predict(params, state, x, key)
            rows = targets("check_gradient", output, y)
            wrong = jnp.roll(rows, 1, -1) if rows.shape[1] > 1 else 1 - rows
            return of_answers(loss)(output, wrong).mean()

        slope = jnp.tensordot(v, jax.grad(mean_loss)(x), x.ndim)
        up, down = jax.lax.map(lambda u: mean_loss(x + STEP * u), jnp.concatenate([v, -v])).reshape(
            2, directions
        )
        return jnp.max(jnp.abs(slope - (up - down) / (2 * STEP)) / (1 + jnp.abs(slope)))

    with jax.enable_x64():
        worst = float(jax.jit(error)(params, state, x, v))
    if not worst <= TOLERANCE:  # NaN is refused as well
        raise PseudoGradientError(
            "check_gradient: the input gradient of `predict` differs from finite differences by"
            f" {worst:.2g} (1 + |g.v|); {TOLERANCE:g} is allowed. Its derivative is replaced by"
            " another (by a custom_vjp that carries a learning rule, a surrogate gradient or"
            " stop_gradient), or it casts to float32. Attack the deployed forward pass with its"
            " true derivative; to follow a learning signal there is"
            " `attack_with_learning_signal`, a diagnostic."
        )
    return worst


def _double(leaf):
    return (
        np.asarray(leaf, np.float64)
        if jnp.issubdtype(getattr(leaf, "dtype", np.int32), jnp.floating)
        else leaf
    )
