"""Adversarial examples by the gradient of the DEPLOYED forward pass.

    fgsm   x' = clip(x + epsilon u(g))
    pgd    x' <- clip(x + project(x' + alpha u(g) - x)),   `steps` times from a random point of the
           ball
    g = (1/n) sum_k dL/dx',    over n noise samples k (expectation over transformation)
u: direction of steepest ascent, see `Norm`; L: loss; alpha: step size; n: 1 for a net without
noise.

A net that learns with feedback weights still answers with its forward weights. An attack that
follows the LEARNING signal back to the input is blind, and its failure would be mistaken for
robustness: `check_gradient` refuses such a net, and `claim` reports the symptoms.

Goodfellow, Shlens, Szegedy, "Explaining and Harnessing Adversarial Examples", 2015,
arXiv:1412.6572. Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks",
2018, arXiv:1706.06083. Athalye, Engstrom, Ilyas, Kwok, "Synthesizing Robust Adversarial Examples",
2018, arXiv:1707.07397: the mean over noise. Departures: none. `predict` is (x, key) -> outputs [B,
C]; every step draws fresh noise.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bioplaus.hyper import Count, NonNegative, Positive, Steps, declared
from bioplaus.local import error_of, send, through
from bioplaus.losses import of_answers
from bioplaus.measure.accuracy import Answer
from bioplaus.measure.robustness.attacks.common import BOUNDS, LINF, Attack, Norm, box
from bioplaus.net import forward, layer_key
from bioplaus.outputs import targets
from bioplaus.salts import START
from bioplaus.types import Array, Key, Loss, Net, PyTree

Slope = Callable[[Array, Key], Array]


@declared
def fgsm(
    predict: Answer,
    loss: Loss,
    x: Array,
    y: Array,
    key: Key,
    *,
    epsilon: NonNegative,
    draws: Count = 1,
    norm: Norm = LINF,
    bounds: tuple[float, float] = BOUNDS,
) -> Array:
    """The fast gradient (sign) method: one step of size epsilon from x. It is exact for a linear
    net with two classes.
    """
    return _ascend(_slope(predict, loss, y, draws), x, None, key, epsilon, 1, epsilon, norm, bounds)


@declared
def pgd(
    predict: Answer,
    loss: Loss,
    x: Array,
    y: Array,
    key: Key,
    *,
    epsilon: NonNegative,
    steps: Steps = 40,
    step_size: Positive | None = None,
    draws: Count = 1,
    norm: Norm = LINF,
    bounds: tuple[float, float] = BOUNDS,
) -> Array:
    """Projected gradient ascent from a random start. draws: noise samples per step.

    step_size: alpha; None for 2.5 epsilon / steps. steps may be a tracer, so that a longer attack
    does not need a second program.
    """
    size = 2.5 * epsilon / steps if step_size is None else step_size
    start = jax.random.fold_in(key, START)
    return _ascend(
        _slope(predict, loss, y, draws), x, start, key, epsilon, steps, size, norm, bounds
    )


def attack_with_learning_signal(net: Net, params: PyTree, feedback: PyTree) -> Attack:
    """DIAGNOSTIC ONLY, not a measure of robustness.

    PGD along the teaching signal that feedback alignment would send to the input.

    The signal is s_l = phi'(a_l) * (s_{l+1} B_{l+1}^T), down to x; in a recurrent layer it crosses
    that layer's own synapses at B_l too. feedback: B_l for EVERY layer; that of the first layer
    belongs to no rule, so draw it with `net.init`. At B = W this is `pgd`.
    It shows how wrong a reported robustness would have been.
    """

    @declared
    def attack(
        predict,
        loss,
        x,
        y,
        key,
        *,
        epsilon: NonNegative,
        steps: Steps = 40,
        draws: Count = 1,
        bounds=BOUNDS,
    ):
        del predict

        def slope(x, key):
            trace = forward(net, params, x, key)
            signal = error_of(of_answers(loss), trace.output, targets("attack", trace.output, y))[1]
            for l in reversed(range(len(net))):
                layer, p, b, k = net[l], params[l], feedback[l], layer_key(key, l)
                if layer.time is None or layer.time.closed is None:
                    signal = through(layer, trace.currents[l], k, signal)
                else:
                    signal = layer.time.closed(p, b, trace.currents[l], k, signal)
                signal = send(layer, p, b, trace.inputs[l], k, signal, trace.heard[l])
            return signal

        start = jax.random.fold_in(key, START)
        return _ascend(
            _mean(slope, draws), x, start, key, epsilon, steps, 2.5 * epsilon / steps, LINF, bounds
        )

    return attack


def _slope(predict: Answer, loss: Loss, y: Array, draws: int) -> Slope:
    def total(x, key):
        output = predict(x, key)
        return of_answers(loss)(output, targets("attack", output, y)).sum()

    return _mean(jax.grad(total), draws)


def _mean(slope: Slope, draws: int) -> Slope:
    """The mean of the slope over noise samples."""
    if draws == 1:
        return slope
    return lambda x, key: jax.vmap(lambda d: slope(x, jax.random.fold_in(key, d)))(
        jnp.arange(draws)
    ).mean(0)


def _ascend(slope: Slope, x, start, key, epsilon, steps, size, norm: Norm, bounds) -> Array:
    """`steps` steps of `size` along the steepest ascent of slope(x', key).

    They stay in the ball around x and in its `box`.

    start: the key from which a random starting point in the ball is drawn; None to start from x.
    """
    low, high = box(x, bounds)
    first = x if start is None else x + norm.sample(start, x, epsilon)

    def inside(moved):
        return jnp.clip(x + norm.project(moved - x, epsilon), low, high)

    def step(t, moved):
        g = slope(moved, jax.random.fold_in(key, t))
        # an x' of NaN would count as a successful attack
        g = jnp.where(jnp.isfinite(g), g, 0.0)
        return inside(moved + size * norm.ascent(g))

    return jax.lax.fori_loop(1, steps + 1, step, inside(first))
