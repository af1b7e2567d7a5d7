"""Several neuromodulators at once.

Gates are multiplied, and so are the scales of currents and of outputs; offsets are added. The
composition is associative and commutative up to rounding, and `unmodulated` is its identity. All
parts read the same signals and the same context.
"""

from functools import reduce

import jax.numpy as jnp

from bioplaus.types import Gain, Gates, Modulator


def compose(*modulators: Modulator) -> Modulator:
    """The modulators acting together. State: the tuple of their states. Raises ValueError if none
    is given.

    All parts are initialised with the same key, so that these laws are exact. Two parts that draw
    from it in the same way are equal.
    """
    if not modulators:
        raise ValueError("compose: got no modulators; give one or more, unmodulated() for none")

    def init(key, currents):
        return tuple(m.init(key, currents) for m in modulators)

    def gain(state, context):
        parts = [m.gain(s, context) for m, s in zip(modulators, state, strict=True)]
        return tuple(reduce(_together, gains) for gains in zip(*parts, strict=True))

    def gate(state, signals):
        states, gates = zip(
            *(m.gate(s, signals) for m, s in zip(modulators, state, strict=True)), strict=True
        )
        return tuple(states), reduce(product, gates)

    return Modulator(init, gain, gate)


def product(a: Gates, b: Gates) -> Gates:
    """The product of two gates. None is an open gate; a single gate is that of every layer.

    Raises ValueError for tuples of different lengths.
    """
    depths = {len(g) for g in (a, b) if isinstance(g, tuple)}
    if len(depths) > 1:
        raise ValueError(
            f"gate: got tuples of {sorted(depths)} entries to multiply; give one entry per layer"
            " (None is open)"
        )
    if depths:
        (depth,) = depths
        each_a, each_b = (g if isinstance(g, tuple) else (g,) * depth for g in (a, b))
        return tuple(_layer_product(x, y) for x, y in zip(each_a, each_b, strict=True))
    return _layer_product(a, b)


def _layer_product(a, b):
    """The product of gates [], [B] or [B, n], whose axes agree from the left."""
    if a is None or b is None:
        return b if a is None else a
    a, b = jnp.asarray(a), jnp.asarray(b)
    ndim = max(a.ndim, b.ndim)
    a, b = (g.reshape(g.shape + (1,) * (ndim - g.ndim)) if g.ndim else g for g in (a, b))
    return a * b


def _together(a: Gain, b: Gain) -> Gain:
    return Gain(
        jnp.multiply(a.scale, b.scale), jnp.add(a.offset, b.offset), jnp.multiply(a.out, b.out)
    )
