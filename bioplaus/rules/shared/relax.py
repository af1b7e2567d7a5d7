"""Relaxation to a fixed point, shared by the rules that settle."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.local import pull, send
from bioplaus.net import drive, fire, layer_key
from bioplaus.types import Array, Key, Layer, Net, PyTree


def relax(
    step: Callable[[PyTree, Array], PyTree], state: PyTree, steps: int
) -> tuple[PyTree, Array]:
    """state <- step(state, t) for t < steps. Returns the state and the residual.

    The residual is the root-mean-square change of the last step, divided by that of the state. If
    it is not small against 1, the state had not settled. Look at it with layers whose output does
    not depend on the size of their input, such as LayerNorm: under unbounded neurons activities can
    grow at every step while outputs and loss look ordinary, until the effect of a nudge falls below
    their rounding, and the gradients of those layers are exactly 0. The loop is a scan of fixed
    length: a while loop has no reverse mode, which attacks need.
    """

    def rms(tree):
        leaves = jax.tree.leaves(tree)
        return jnp.sqrt(sum(jnp.sum(jnp.abs(z) ** 2) for z in leaves) / sum(z.size for z in leaves))

    def body(states, t):
        return (step(states[0], t), states[0]), None

    # Unrolled by two: with one step per iteration XLA would copy the state into the place of the
    # previous one. The last change is measured once, at the end.
    (state, before), _ = jax.lax.scan(body, (state, state), jnp.arange(steps), unroll=2)
    size = rms(state)
    return state, rms(jax.tree.map(jnp.subtract, state, before)) / jnp.maximum(
        size, jnp.finfo(size.dtype).tiny
    )


def settle(
    net: Net,
    params: PyTree,
    first: Array,
    key: Key,
    h: tuple[Array, ...],
    above: Callable[[Array], Array] | None,
    steps: int,
    *,
    gain: ArrayLike | None = None,
    rate: ArrayLike | None = None,
    fresh: bool = False,
) -> tuple[tuple[Array, ...], Array]:
    """Sweeps, in layer order, of h_l <- f(a_l + gain W_{l+1}^T h_{l+1}), starting from h.

    h: [B, n_l] activities of the first layers: of all layers, or of all but one or more at the top.
    They are returned as they settled, with the residual of `relax`.
    first: a_1, the current of the input, which stays constant. above: (the last of h) -> the input
    that it gets from above, or None. gain: of the feedback; None stands for 1.
    rate: a sweep does h <- h + rate (f(..) - h) instead; None stands for 1.
    fresh: neurons and synapses draw their noise again in each sweep, rather than once.
    """
    fixed = [layer_key(key, l) for l in range(len(net))]

    def sweep(h, t):
        k = [jax.random.fold_in(one, t) for one in fixed] if fresh else fixed
        h = list(h)
        for l in range(len(h)):
            a = first if l == 0 else current(net[l], params[l], h[l - 1], k[l])
            upper = h[l + 1] if l + 1 < len(h) else above and above(h[l])
            if upper is not None:
                back = below(net[l + 1], params[l + 1], h[l], k[l + 1], upper)
                a = a + (back if gain is None else jnp.asarray(gain, a.dtype) * back)
            new = fire(net[l], a, k[l])
            h[l] = new if rate is None else h[l] + rate * (new - h[l])
        return tuple(h)

    return relax(sweep, h, steps) if h else ((), jnp.zeros((), first.dtype))


def current(layer: Layer, params: PyTree, h: Array, key: Key) -> Array:
    """`drive` at activities that may be complex, by products of real numbers.

    The weights are real. Synapses are linear, except for a bias and for the winners of a max pool,
    which the real part chooses.
    """
    if not jnp.iscomplexobj(h):
        return drive(layer, params, h, key)
    return jax.lax.complex(*jax.jvp(lambda z: drive(layer, params, z, key), (h.real,), (h.imag,)))


def below(layer: Layer, params: PyTree, h: Array, key: Key, signal: Array) -> Array:
    """`send` through the forward weights, of a signal that may be complex."""
    if not jnp.iscomplexobj(signal):
        return send(layer, params, params, h.real, key, signal)
    return jax.lax.complex(
        *(send(layer, params, params, h.real, key, part) for part in (signal.real, signal.imag))
    )


def pulled(
    layer: Layer, params: PyTree, pre: Array, key: Key, signal: Array, gate: ArrayLike | None
) -> PyTree:
    """The real part of `pull`, with activities p and a signal s that may be complex.

    It is pull(Re p, Re s) - pull(Im p, Im s).
    """
    if not jnp.iscomplexobj(pre):
        return pull(layer, params, pre, key, signal.real, gate)
    real = pull(layer, params, pre.real, key, signal.real, gate)
    turned = jax.jvp(
        lambda z: pull(layer, params, z, key, signal.imag, gate), (pre.real,), (pre.imag,)
    )[1]
    return jax.tree.map(jnp.subtract, real, turned)


def holomorphic(function: Callable[[Array], Array], width: int) -> bool:
    """Whether a function of [33, width] continues into the complex plane.

    On circles of radius 1/4 about the real line its Laurent coefficients of negative order must
    vanish (Cauchy), and on the real line it must equal itself. True if it cannot be tested alone,
    because it needs another shape, or has a traced gain or noise level. False if it refuses complex
    numbers; other errors are raised.
    """
    with jax.ensure_compile_time_eval():
        centre = jnp.broadcast_to(jnp.linspace(-4, 4, 33)[:, None], (33, width))
        try:
            real = function(centre + 0.25)
        except (TypeError, ValueError):
            return True
        try:
            circle = jax.vmap(function)(
                centre + 0.25 * jnp.exp(2j * jnp.pi * jnp.arange(64) / 64)[:, None, None]
            )
            negative = jnp.abs(jnp.fft.fft(circle, axis=0))[32:].max(0) / 64
            return bool(
                jnp.all(
                    jnp.maximum(negative, jnp.abs(circle[0] - real))
                    <= 1e-2 * jnp.abs(circle).max(0)
                )
            )
        except jax.errors.ConcretizationTypeError:
            return True
        except (TypeError, ValueError) as error:
            if "complex" not in str(error):
                raise
            return False
