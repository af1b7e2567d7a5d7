"""A linear track, with a reward at one of its ends."""

import jax
import jax.numpy as jnp

from bioplaus.hyper import Count, Size, declared
from bioplaus.worlds.world import World


@declared
def linear_track(arm: Count = 5, *, delay: Size = 0, limit: Count = 100) -> World:
    """The agent starts in the middle of 2 arm + 1 places; action 0 takes it one place to the left,
    and 1 to the right, until it has come to an end. A reward of 1 is at one end, which is drawn for
    each trial, and which the agent can tell; it is there when the agent comes, or, after `delay`
    moments in the dark, in which actions change nothing. That ends the trial; so do `limit`
    moments.

    x: [2 (2 arm + 1)], 1 for the cell of this place when the reward is at this end; 0 in the dark.
    With a delay nothing that the agent sees tells what it has done when the reward comes, so that
    only what it has kept can learn from it: the distal reward problem.
    """
    places = 2 * arm + 1

    def seen(place, right, waited):
        return jax.nn.one_hot(place + places * right, 2 * places, dtype=float) * (waited == 0)

    def reset(key):
        right, zero = jax.random.bernoulli(key).astype(int), jnp.asarray(0)
        return (zero + arm, right, zero, zero), seen(arm, right, zero)

    def step(state, action, key):
        del key
        place, right, waited, moments = state
        place, moments = jnp.where(waited > 0, place, place + 2 * action - 1), moments + 1
        waited += (place == 0) | (place == places - 1)
        paid = waited > delay
        reward = paid & (place == (places - 1) * right)
        state = (place, right, waited, moments)
        return state, seen(place, right, waited), reward.astype(float), paid | (moments >= limit)

    return World(reset, step, 2)
