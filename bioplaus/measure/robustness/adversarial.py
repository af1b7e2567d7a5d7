"""Adversarial examples, on the DEPLOYED forward pass and by its true gradient.

    fgsm   x' = clip(x + epsilon sign(dL/dx))
    pgd    x' <- clip(x' + alpha sign(dL/dx'), x - epsilon, x + epsilon), `steps` times from a random point of the ball
Every x' stays within epsilon of x in each component, and within `bounds`. L: the loss of the deployed answer.

A net that learns by feedback weights still answers by its forward weights. An attack that follows the LEARNING signal back to
the input is blind, and its failure reads as robustness: `check_gradient` refuses such a net, and `flags` tells the symptoms.

Goodfellow, Shlens, Szegedy, "Explaining and Harnessing Adversarial Examples", 2015, arXiv:1412.6572.
Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", 2018, arXiv:1706.06083.
Departures: none. `predict` is (x, key) -> outputs [B, C]; a net with noise is attacked with a fresh sample a step.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.local import error_of, send, through
from bioplaus.measure.accuracy import Answer, correct
from bioplaus.net import forward, layer_key
from bioplaus.types import Array, Batch, Key, Loss, Net, PyTree

EPSILONS = (0.0, 0.05, 0.1, 0.2, 0.4)
"""Radii in units of the input, for images in [0, 1]. The last should break any net: a curve must reach the floor."""

Attack = Callable[..., Array]
"""(predict, loss, x, y, key, *, epsilon) -> adversarial x."""

BOUNDS = (0.0, 1.0)


def fgsm(predict: Answer, loss: Loss, x: Array, y: Array, key: Key, *, epsilon: ArrayLike, bounds=BOUNDS) -> Array:
    """The fast gradient sign method: one step of size epsilon from x. Exact for a linear two-class net."""
    return _ascend(_slope(predict, loss, y), x, x, key, epsilon, 1, epsilon, bounds)


def pgd(
    predict: Answer,
    loss: Loss,
    x: Array,
    y: Array,
    key: Key,
    *,
    epsilon: ArrayLike,
    steps: int = 20,
    step_size: ArrayLike | None = None,
    bounds: tuple[float, float] = BOUNDS,
) -> Array:
    """Projected gradient ascent in the L-infinity ball, from a random start. step_size: alpha, 2.5 epsilon / steps where None."""
    start = _start(x, key, epsilon)
    size = 2.5 * epsilon / steps if step_size is None else step_size
    return _ascend(_slope(predict, loss, y), x, start, key, epsilon, steps, size, bounds)


def random_signs(predict: Answer, loss: Loss, x: Array, y: Array, key: Key, *, epsilon: ArrayLike, bounds=BOUNDS) -> Array:
    """x +- epsilon, a fair coin a component: no attack, the control that any attack must beat by far."""
    del predict, loss, y
    return jnp.clip(x + epsilon * jax.random.rademacher(key, x.shape, x.dtype), *bounds)


def attack_with_learning_signal(
    net: Net, params: PyTree, feedback: PyTree, loss: Loss, x: Array, y: Array, key: Key, *, epsilon: ArrayLike, steps: int = 20
) -> Array:
    """DIAGNOSTIC ONLY, no measure of robustness: PGD along the teaching signal that feedback alignment would send to the input.

    s_l = phi'(a_l) * (s_{l+1} B_{l+1}^T), down to x. feedback: B_l for EVERY layer, the first included, which no rule has: draw
    it with `net.init`. At B = W this is `pgd`. Shows how large the error of a reported robustness would have been.
    """

    def slope(x, key):
        trace = forward(net, params, x, key)
        signal = error_of(loss, trace.output, y)[1]
        for l in reversed(range(len(net))):
            k = layer_key(key, l)
            signal = through(net[l], trace.currents[l], k, signal)
            signal = send(net[l], params[l], feedback[l], trace.inputs[l], k, signal)
        return signal

    return _ascend(slope, x, _start(x, key, epsilon), key, epsilon, steps, 2.5 * epsilon / steps, BOUNDS)


def under_attack(
    attack: Attack, predict: Answer, loss: Loss, batch: Batch, key: Key, *, severities: Sequence[float] = EPSILONS
) -> Array:
    """Accuracy [K] on examples that `attack` makes on this same net, over epsilon. Epsilon 0 is the clean accuracy."""
    return transfer(attack, predict, predict, loss, batch, key, severities=severities)


def transfer(
    attack: Attack,
    source: Answer,
    target: Answer,
    loss: Loss,
    batch: Batch,
    key: Key,
    *,
    severities: Sequence[float] = EPSILONS,
) -> Array:
    """Accuracy [K] of `target` on examples made on `source` (the twin trained by backprop, a black-box attack), over epsilon."""

    def at(epsilon):
        x = attack(source, loss, batch.x, batch.y, jax.random.fold_in(key, 0), epsilon=epsilon)
        return correct(target(x, jax.random.fold_in(key, 1)), batch.y)

    return jax.lax.map(at, jnp.asarray(severities, batch.x.dtype)).mean(1)


def _slope(predict: Answer, loss: Loss, y: Array):
    return jax.grad(lambda x, key: loss(predict(x, key), y).sum())


def _start(x: Array, key: Key, epsilon: ArrayLike) -> Array:
    return x + epsilon * jax.random.uniform(jax.random.fold_in(key, 0), x.shape, x.dtype, -1.0, 1.0)


def _ascend(slope, x, start, key, epsilon, steps: int, size, bounds) -> Array:
    """`steps` steps of `size` along the sign of slope(x', key), from `start`, projected on the ball about x and on bounds."""
    low, high = jnp.maximum(x - epsilon, bounds[0]), jnp.minimum(x + epsilon, bounds[1])

    def step(moved, t):
        return jnp.clip(moved + size * jnp.sign(slope(moved, jax.random.fold_in(key, t))), low, high), None

    return jax.lax.scan(step, jnp.clip(start, low, high), jnp.arange(1, steps + 1))[0]
