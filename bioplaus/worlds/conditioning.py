"""Classical conditioning: a cue, and a reward some moments later."""

import jax

from bioplaus.hyper import Count, Size, declared
from bioplaus.worlds.world import World


@declared
def conditioning(delay: Count = 10, *, pause: Size = 10) -> World:
    """A pause of 0 to `pause` moments, drawn for each trial; a cue; and, `delay` moments after its
    first, a reward of 1, which ends the trial. Actions change nothing.

    x: [delay], 1 for the number of moments since the cue began, and 0 in the pause: a line of
    delays, so that the value of each moment is learned by itself. Schultz, Dayan, Montague, "A
    Neural Substrate of Prediction and Reward", 1997, doi:10.1126/science.275.5306.1593.

    At the end of learning the value k moments before the reward is gamma^(k-1).
    """

    def seen(t):
        return jax.nn.one_hot(t, delay, dtype=float)

    def reset(key):
        t = -jax.random.randint(key, (), 0, pause + 1)
        return t, seen(t)

    def step(t, action, key):
        del action, key
        done = t + 1 >= delay
        return t + 1, seen(t + 1), done.astype(float), done

    return World(reset, step, 2)
