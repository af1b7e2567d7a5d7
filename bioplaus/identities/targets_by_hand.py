"""Target propagation by hand: targets, inverses and the losses R_l that they learn by, for the
identities.

Written with `jax.grad` and single layers: their outputs, and their credit for the way down.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from bioplaus.identities.any_net import credit_of
from bioplaus.identities.any_net import output_of as layer
from bioplaus.identities.common import Problem
from bioplaus.net import fire, forward, layer_key
from bioplaus.types import Key, PyTree

Outputs = list[jax.Array]
Inverse = Callable[[int, jax.Array], jax.Array]
"""(l, u) -> g_l(u)."""
Reconstruction = Callable[[Problem, Outputs, int, Inverse, float, jax.Array, jax.Array], jax.Array]
"""(problem, h, l, g, sigma, xi, zeta) -> R_l summed over the batch."""


def own(state: PyTree) -> PyTree:
    """What the rule trains for itself."""
    return state.feedback[1:], state.bias


def live(tree: PyTree) -> list[jax.Array]:
    """The leaves but the biases inside of B, which send nothing back."""
    weights, bias = tree
    return [*(b["w"] for b in weights), *bias]


def frozen(key: Key | None, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
    """A standard normal sample that depends on the shape alone."""
    del key
    return jnp.asarray(np.random.default_rng(sum(shape)).standard_normal(shape), dtype)


def biased(state: PyTree) -> PyTree:
    """The state with biases c_l that are not zero."""
    return state._replace(bias=tuple(0.3 * frozen(None, c.shape, c.dtype) for c in state.bias))


def error(p: Problem) -> jax.Array:
    """dL/dh_L of every example."""
    output = forward(p.net, p.params, p.batch.x, p.key).output
    return jax.grad(lambda o: p.loss(o, p.batch.y).sum())(output)


def inverse(p: Problem, l: int, own: PyTree, h: jax.Array, u: jax.Array) -> jax.Array:
    """g_l(u) = phi_l(u B_{l+1}^T + c_l), by the credit of layer l + 1 at its input h."""
    back = credit_of(p, l + 1, p.params[l + 1], own[0][l], h, u)[1]
    return fire(p.net[l], back + own[1][l], layer_key(p.key, l))


def outputs(p: Problem, params: PyTree) -> list[jax.Array]:
    """h_l of all layers."""
    trace = forward(p.net, params, p.batch.x, p.key)
    return [*trace.inputs[1:], trace.output]


def by_targets(
    p: Problem, state: PyTree, eta: float, corrected: bool, top_gradient: bool = False
) -> PyTree:
    """dW by `jax.grad` of (1 / (B eta)) sum_l 1/2 |h_l - t_l|^2, each layer alone, t_L = h_L - eta
    e.

    top_gradient: t_{L-1} = h_{L-1} - eta dL/dh_{L-1}.
    """

    def update(params):
        h = outputs(p, params)
        targets = [h[-1] - eta * error(p)]
        if top_gradient:
            top = len(h) - 1
            targets.insert(
                0,
                h[-2]
                - eta
                * jax.grad(lambda x: p.loss(layer(p, top, params[top], x), p.batch.y).sum())(h[-2]),
            )
        for l in reversed(range(len(h) - len(targets))):
            back = inverse(p, l, own(state), h[l], targets[0])
            targets.insert(
                0, h[l] + back - inverse(p, l, own(state), h[l], h[l + 1]) if corrected else back
            )

        def distance(w):
            inputs = [p.batch.x, *h]
            return sum(
                0.5 * jnp.sum((layer(p, l, w[l], inputs[l]) - t) ** 2)
                for l, t in enumerate(targets)
            ) / (eta * len(h[0]))

        return jax.grad(distance)(params)

    return jax.jit(update)(p.params)


def descent(p: Problem, state: PyTree, sigma: float, lesson: Reconstruction) -> PyTree:
    """Gradient of the mean of R_l over the batch, by (B_{l+1}, c_l), for all l."""
    h, stop = outputs(p, p.params), jax.lax.stop_gradient

    def total(mine):
        losses = []
        for l in range(len(h) - 1):
            xi, zeta = (frozen(None, a.shape, a.dtype) for a in h[l : l + 2])

            def g(j, u, l=l):
                return inverse(p, j, mine if j == l else stop(mine), h[j], u)

            losses.append(lesson(p, h, l, g, sigma, xi, zeta))
        return sum(losses) / len(h[0])

    return jax.grad(total)(own(state))


def reconstruction(
    p: Problem, h: Outputs, l: int, g: Inverse, sigma: float, xi: jax.Array, zeta: jax.Array
) -> jax.Array:
    """R_l of tp and dtp."""
    del zeta
    noisy = h[l] + sigma * xi
    return 0.5 * jnp.sum((g(l, layer(p, l + 1, p.params[l + 1], noisy)) - noisy) ** 2)


def difference_reconstruction(
    p: Problem, h: Outputs, l: int, g: Inverse, sigma: float, xi: jax.Array, zeta: jax.Array
) -> jax.Array:
    """R_l of drl."""
    del zeta
    noisy = above = h[l] + sigma * xi
    for j in range(l + 1, len(h)):
        above = layer(p, j, p.params[j], above)
    for j in reversed(range(l, len(h) - 1)):
        above = h[j] + g(j, above) - g(j, h[j + 1])
    return jnp.sum((above - noisy) ** 2) / (2 * sigma**2)


def jacobian_matching(
    p: Problem, h: Outputs, l: int, g: Inverse, sigma: float, xi: jax.Array, zeta: jax.Array
) -> jax.Array:
    """R_l of ldrl."""
    base, back = g(l, h[l + 1]), g(l, layer(p, l + 1, p.params[l + 1], h[l] + sigma * xi))
    damped = g(l, h[l + 1] + sigma * zeta)
    return (0.5 * jnp.sum((damped - base) ** 2) - sigma * jnp.sum(xi * (back - base))) / sigma**2
