"""A cart with a pole to balance."""

import jax
import jax.numpy as jnp

from bioplaus.hyper import Count, declared
from bioplaus.worlds.world import World

GRAVITY, CART, POLE, HALF_LENGTH, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
TRACK, FALLEN = 2.4, jnp.pi / 15  # m, and 12 degrees
BOXES = ((-0.8, 0.8), (-0.5, 0.5), (-jnp.pi / 30, -jnp.pi / 180, 0.0, jnp.pi / 180, jnp.pi / 30))
SPIN = (-50 * jnp.pi / 180, 50 * jnp.pi / 180)


@declared
def cart_pole(limit: Count = 200) -> World:
    """Action 0 pushes the cart to the left, 1 to the right, with 10 N for 20 ms. A trial ends when
    the pole leans by more than 12 degrees, when the cart is 2.4 m away, or after `limit` moments.
    Each moment before that has a reward of 1.

    x: [162], 1 for the cell of the agent's state: 3 ranges of position, 3 of velocity, 6 of the
    angle and 3 of its speed. Barto, Sutton, Anderson, "Neuronlike Adaptive Elements That Can Solve
    Difficult Learning Control Problems", 1983, doi:10.1109/TSMC.1983.6313077, whose equations of
    motion have friction, too.
    """

    def seen(state):
        cell = 0
        for value, edges in zip(state, (*BOXES, SPIN), strict=True):
            cell = cell * (len(edges) + 1) + jnp.searchsorted(jnp.array(edges), value)
        return jax.nn.one_hot(cell, 162, dtype=float)

    def reset(key):
        state = jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05)
        return (state, jnp.zeros((), jnp.int32)), seen(state)

    def step(state, action, key):
        del key
        state, moments = moved(state[0], FORCE * (2 * action - 1)), state[1] + 1
        fell = (jnp.abs(state[0]) > TRACK) | (jnp.abs(state[2]) > FALLEN)
        return (state, moments), seen(state), 1.0 - fell, fell | (moments >= limit)

    return World(reset, step, 2)


def moved(state, force):
    """The state (position, velocity, angle, its speed) after a moment, by Euler's method."""
    x, v, angle, spin = state
    cos, sin, mass = jnp.cos(angle), jnp.sin(angle), CART + POLE
    push = (force + POLE * HALF_LENGTH * spin**2 * sin) / mass
    turn = (GRAVITY * sin - cos * push) / (HALF_LENGTH * (4 / 3 - POLE * cos**2 / mass))
    pull = push - POLE * HALF_LENGTH * turn * cos / mass
    return jnp.stack(
        [x + SECONDS * v, v + SECONDS * pull, angle + SECONDS * spin, spin + SECONDS * turn]
    )
