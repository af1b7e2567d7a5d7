"""Worlds: what answers an agent's actions with rewards, and rules that learn in them.

    world = bp.worlds.linear_track(10)
    net = (bp.over_time(bp.dense(world.actions + 1)),)
    lived = bp.worlds.run(world, net, bp.rules.td, optax.sgd(0.1), key=jax.random.key(0))
    print(bp.worlds.trials(lived))

    world          the agent sees                actions           reward
    linear_track   its place                     left, right       1 at the far end
    conditioning   the moments since a cue       2, without use    1, some moments after the cue
    cart_pole      the range of cart and pole    push left, right  1 for each moment of balance

WORLDS: name -> factory, (numbers) -> World.
"""

from collections.abc import Callable

from bioplaus.worlds.cart_pole import cart_pole
from bioplaus.worlds.conditioning import conditioning
from bioplaus.worlds.run import Lived, Trials, run, trials
from bioplaus.worlds.track import linear_track
from bioplaus.worlds.world import World

WORLDS: dict[str, Callable[..., World]] = {
    "linear_track": linear_track,
    "conditioning": conditioning,
    "cart_pole": cart_pole,
}

__all__ = [
    "WORLDS",
    "Lived",
    "Trials",
    "World",
    "cart_pole",
    "conditioning",
    "linear_track",
    "run",
    "trials",
]
