"""Target propagation by hand: targets, inverses g_l, and the losses R_l of the inverses.

Written with `jax.grad`, the outputs of single layers, and their `credit` for the way down.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from bioplaus.identities.any_net import credit_of, output_of
from bioplaus.identities.common import LINEAR, Problem, pose, problem
from bioplaus.losses import mse
from bioplaus.net import fire, forward, layer_key
from bioplaus.types import Key, PyTree

Outputs = list[jax.Array]
Inverse = Callable[[int, jax.Array], jax.Array]
"""(l, u) -> g_l(u)."""
InverseLoss = Callable[[Problem, Outputs, int, Inverse, float, jax.Array, jax.Array], jax.Array]
"""(problem, h, l, g, sigma, xi, zeta) -> R_l summed over the batch."""


def trained(state: PyTree) -> PyTree:
    """What the rule itself trains: the weights and biases of the inverses."""
    return state.feedback[1:], state.bias


def learning_leaves(tree: PyTree) -> list[jax.Array]:
    """All leaves but the biases inside B, which carry no error."""
    weights, bias = tree
    return [*(b["w"] for b in weights), *bias]


def fixed_noise(key: Key | None, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
    """A sampler: standard normal numbers that depend on the shape alone."""
    del key
    return jnp.asarray(np.random.default_rng(sum(shape)).standard_normal(shape), dtype)


def biased(state: PyTree) -> PyTree:
    """The state with biases c_l that are not zero."""
    return state._replace(bias=tuple(0.3 * fixed_noise(None, c.shape, c.dtype) for c in state.bias))


def error(p: Problem) -> jax.Array:
    """dL/dh_L of every example."""
    output = forward(p.net, p.params, p.batch.x, p.key).output
    return jax.grad(lambda o: p.loss(o, p.batch.y).sum())(output)


def inverse(p: Problem, l: int, parts: PyTree, h: jax.Array, u: jax.Array) -> jax.Array:
    """g_l(u) = phi_l(u B_{l+1}^T + c_l), by the credit of layer l + 1 at its input h."""
    back = credit_of(p, l + 1, p.params[l + 1], parts[0][l], h, u)[1]
    return fire(p.net[l], back + parts[1][l], layer_key(p.key, l))


def outputs(p: Problem, params: PyTree) -> list[jax.Array]:
    """h_l of all layers."""
    trace = forward(p.net, params, p.batch.x, p.key)
    return [*trace.inputs[1:], trace.output]


def by_targets(
    p: Problem, state: PyTree, eta: float, corrected: bool, top_gradient: bool = False
) -> PyTree:
    """dW by `jax.grad` of (1 / (B eta)) sum_l 1/2 |h_l - t_l|^2, with t_L = h_L - eta e.

    No gradient passes between layers. corrected: whether targets have the difference correction.
    top_gradient: whether t_{L-1} = h_{L-1} - eta dL/dh_{L-1}.
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
                * jax.grad(lambda x: p.loss(output_of(p, top, params[top], x), p.batch.y).sum())(
                    h[-2]
                ),
            )
        for l in reversed(range(len(h) - len(targets))):
            back = inverse(p, l, trained(state), h[l], targets[0])
            targets.insert(
                0,
                h[l] + back - inverse(p, l, trained(state), h[l], h[l + 1]) if corrected else back,
            )

        def distance(w):
            inputs = [p.batch.x, *h]
            return sum(
                0.5 * jnp.sum((output_of(p, l, w[l], inputs[l]) - t) ** 2)
                for l, t in enumerate(targets)
            ) / (eta * len(h[0]))

        return jax.grad(distance)(params)

    return jax.jit(update)(p.params)


def descent(p: Problem, state: PyTree, sigma: float, inverse_loss: InverseLoss) -> PyTree:
    """The gradient of the mean of R_l over the batch by (B_{l+1}, c_l), for all l."""
    h, stop = outputs(p, p.params), jax.lax.stop_gradient

    def total(mine):
        losses = []
        for l in range(len(h) - 1):
            xi, zeta = (fixed_noise(None, a.shape, a.dtype) for a in h[l : l + 2])

            def g(j, u, l=l):
                return inverse(p, j, mine if j == l else stop(mine), h[j], u)

            losses.append(inverse_loss(p, h, l, g, sigma, xi, zeta))
        return sum(losses) / len(h[0])

    return jax.grad(total)(trained(state))


def reconstruction(
    p: Problem, h: Outputs, l: int, g: Inverse, sigma: float, xi: jax.Array, zeta: jax.Array
) -> jax.Array:
    """R_l of tp and dtp."""
    del zeta
    noisy = h[l] + sigma * xi
    return 0.5 * jnp.sum((g(l, output_of(p, l + 1, p.params[l + 1], noisy)) - noisy) ** 2)


def difference_reconstruction(
    p: Problem, h: Outputs, l: int, g: Inverse, sigma: float, xi: jax.Array, zeta: jax.Array
) -> jax.Array:
    """R_l of drl."""
    del zeta
    noisy = above = h[l] + sigma * xi
    for j in range(l + 1, len(h)):
        above = output_of(p, j, p.params[j], above)
    for j in reversed(range(l, len(h) - 1)):
        above = h[j] + g(j, above) - g(j, h[j + 1])
    return jnp.sum((above - noisy) ** 2) / (2 * sigma**2)


def jacobian_matching(
    p: Problem, h: Outputs, l: int, g: Inverse, sigma: float, xi: jax.Array, zeta: jax.Array
) -> jax.Array:
    """R_l of ldrl."""
    base, back = g(l, h[l + 1]), g(l, output_of(p, l + 1, p.params[l + 1], h[l] + sigma * xi))
    damped = g(l, h[l + 1] + sigma * zeta)
    return (0.5 * jnp.sum((damped - base) ** 2) - sigma * jnp.sum(xi * (back - base))) / sigma**2


def invertible() -> tuple[Problem, Callable[[PyTree], PyTree]]:
    """A linear net of square layers with one example, and a function that makes inverses exact.

    The function is (state) -> state.
    """
    p = pose(problem((5, 5, 5, 5), neuron=LINEAR).net, (1, 5), 5, mse, gain=1.0)

    def exact(state):
        inverses = [jnp.linalg.inv(w["w"]) for w in p.params[1:]]
        feedback = [b | {"w": v.T} for b, v in zip(state.feedback[1:], inverses, strict=True)]
        bias = [-w["b"] @ v for w, v in zip(p.params[1:], inverses, strict=True)]
        return state._replace(feedback=((), *feedback), bias=tuple(bias))

    return p, exact


def unbiased(exact: Callable[[PyTree], PyTree]) -> Callable[[PyTree], PyTree]:
    """The same inverses without their biases: they are off by a constant."""
    return lambda state: exact(state)._replace(bias=state.bias)


def images(p: Problem, grads: PyTree, eta: float) -> tuple[list[jax.Array], list[jax.Array]]:
    """The image of t_l in layer l + 1, and t_{l+1}, of each hidden layer of `invertible`."""
    trace = forward(p.net, p.params, p.batch.x, p.key)
    targets = [
        h - eta * g["b"] for h, g in zip((*trace.inputs[1:], trace.output), grads, strict=True)
    ]
    mapped = [t @ w["w"] + w["b"] for t, w in zip(targets[:-1], p.params[1:], strict=True)]
    return mapped, targets[1:]
