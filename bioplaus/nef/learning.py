"""Learning on a connection, from what its two sides did in this step; it acts from the next on.

    PES     dW = -(kappa dt / n) a' err
    Oja     dW = kappa dt (a' b' - beta b'^2 W)
    BCM     dW = kappa dt a' b' (b' - theta)
    Voja    dE = kappa dt g b' (scale x - E)

W: [n, k] weights of the connection;  a', b': [n], [k] activities of the source and of the target,
each behind a synapse, with the spikes of this step;  err: [k] error, what came minus what should
have come;  theta: [k] mean of b over `theta_tau`;  E: [k, d] encoders of the target, scaled by
scale = gain / radius;  x: [d] what arrives by the connection;  g: 1 + a learning signal, 1 if there
is none;  kappa: learning rate;  n: neurons of the source. As in nengo 4.1.0.

For steady rates PES descends the squared error of a linear readout: it is the last layer's backprop
with `bp.mse`, and no rule of its own there. MacNeil and Eliasmith, 2011,
doi:10.1371/journal.pone.0022885 (PES); Oja, 1982, doi:10.1007/BF00275687; Bienenstock, Cooper,
Munro, 1982, doi:10.1523/JNEUROSCI.02-01-00032.1982; Voelker, Crawford, Eliasmith, 2014,
https://compneuro.uwaterloo.ca/publications/voelker2014a.html (Voja).
"""

from collections.abc import Callable
from typing import NamedTuple

from bioplaus.hyper import NonNegative, Positive, declared
from bioplaus.nef.synapses import Synapse, lowpass
from bioplaus.types import Array, PyTree


class Seen(NamedTuple):
    """What a connection sees in a step. pre: activities of the source [n]. post: of the target
    [k]; () where that is no ensemble. arrived: [k] or [d], behind the connection's synapse. error:
    what the node `Learning.error` sends; () without one."""

    pre: Array
    post: PyTree
    arrived: Array
    error: PyTree


class Learning(NamedTuple):
    """start: (seen of zeros) -> state. step: (state, weights, seen, scale, dt) -> (state, change of
    the weights).

    error: the name of a node whose output is the error, or the learning signal; None for none.
    encoders: whether it learns the target's scaled encoders in place of the weights. neurons:
    whether the connection must run from neurons to neurons. scale: gain / radius of the target.
    """

    start: Callable[[Seen], PyTree]
    step: Callable[[PyTree, Array, Seen, PyTree, float], tuple[PyTree, Array]]
    error: str | None = None
    encoders: bool = False
    neurons: bool = False


@declared
def pes(error: str, rate: Positive = 1e-4, *, pre: Synapse | None = None) -> Learning:
    """PES, the prescribed error sensitivity. error: name of a node that sends err [k].

    rate: kappa. pre: the synapse before a'; None is `lowpass(0.005)`.

        nef.Connection("a", "out", function=lambda x: 0 * x, learning=nef.pes("error", 1e-3))
    """
    pre = lowpass() if pre is None else pre

    def step(state, w, seen, scale, dt):
        del scale
        state = pre.step(state, seen.pre, dt)
        change = (rate * dt / w.shape[0]) * pre.arrives(state)[:, None] * seen.error
        return state, -change

    return Learning(lambda seen: pre.start(seen.pre), step, error)


@declared
def oja(
    rate: Positive = 1e-6,
    *,
    beta: NonNegative = 1.0,
    pre: Synapse | None = None,
    post: Synapse | None = None,
) -> Learning:
    """Oja's rule, for a connection from neurons to neurons. rate: kappa. beta: forgetting.

    pre: the synapse before a'; None is `lowpass(0.005)`. post: before b'; None is `pre`.

        nef.Connection("a", "b", weights=w, to_neurons=True, learning=nef.oja(1e-6))
    """
    pre = lowpass() if pre is None else pre
    post = pre if post is None else post

    def step(state, w, seen, scale, dt):
        del scale
        state = pre.step(state[0], seen.pre, dt), post.step(state[1], seen.post, dt)
        a, b = pre.arrives(state[0]), post.arrives(state[1])
        forgotten = beta * w * (rate * dt * b * b)
        return state, a[:, None] * (rate * dt * b) - forgotten

    return Learning(lambda seen: (pre.start(seen.pre), post.start(seen.post)), step, neurons=True)


@declared
def bcm(
    rate: Positive = 1e-9,
    *,
    theta_tau: Positive = 1.0,
    pre: Synapse | None = None,
    post: Synapse | None = None,
) -> Learning:
    """The rule of Bienenstock, Cooper and Munro, for a connection from neurons to neurons.

    rate: kappa. theta_tau: s. pre, post: as those of `oja`.

        nef.Connection("a", "b", weights=w, to_neurons=True, learning=nef.bcm(1e-9))
    """
    pre = lowpass() if pre is None else pre
    post = pre if post is None else post
    mean = lowpass(theta_tau)

    def step(state, w, seen, scale, dt):
        del w, scale
        before, after, slow = state
        state = (
            pre.step(before, seen.pre, dt),
            post.step(after, seen.post, dt),
            mean.step(slow, seen.post, dt),
        )
        a, b, theta = pre.arrives(state[0]), post.arrives(state[1]), mean.arrives(state[2])
        return state, a[:, None] * (rate * dt * b * (b - theta))

    def start(seen):
        return pre.start(seen.pre), post.start(seen.post), mean.start(seen.post)

    return Learning(start, step, neurons=True)


@declared
def voja(
    rate: Positive = 1e-2, *, post: Synapse | None = None, signal: str | None = None
) -> Learning:
    """Encoders of the target move towards what arrives while its neurons fire.

    rate: kappa. post: the synapse before b'; None is `lowpass(0.005)`. signal: name of a node that
    sends the learning signal [1]: 0 learns, -1 does not; None learns always.

        nef.Connection("key", "memory", learning=nef.voja(1e-2))
    """
    post = lowpass() if post is None else post

    def step(state, e, seen, scale, dt):
        state = post.step(state, seen.post, dt)
        b, g = post.arrives(state)[:, None], 1 if signal is None else 1 + seen.error
        return state, rate * dt * g * (scale[:, None] * b * seen.arrived - b * e)

    return Learning(lambda seen: post.start(seen.post), step, signal, encoders=True)
