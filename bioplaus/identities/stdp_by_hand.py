"""Spike-timing-dependent plasticity by hand: loops over pairs and triplets of spikes in numpy."""

from typing import NamedTuple

import numpy as np


class Curve(NamedTuple):
    """Amplitudes and time constants, in the words of the rule, and the length of a moment."""

    potentiation: float
    depression: float
    triplet_potentiation: float
    triplet_depression: float
    tau_plus: float
    tau_minus: float
    tau_x: float
    tau_y: float
    dt: float
    nearest: bool = False


def at_synapse(pre: np.ndarray, post: np.ndarray, curve: Curve) -> np.ndarray:
    """What each moment adds to one weight, [T]. pre, post: [T] of 0 and 1."""
    fired, arrived = np.flatnonzero(post).tolist(), np.flatnonzero(pre).tolist()
    change = np.zeros(len(pre))
    for t in fired:
        after_post = sum(decayed(t - s, curve.tau_y, curve) for s in before(fired, t, curve))
        for s in before(arrived, t, curve):
            amplitude = curve.potentiation + curve.triplet_potentiation * after_post
            change[t] += amplitude * decayed(t - s, curve.tau_plus, curve)
    for t in arrived:
        after_pre = sum(decayed(t - s, curve.tau_x, curve) for s in before(arrived, t, curve))
        for s in before(fired, t, curve):
            amplitude = curve.depression + curve.triplet_depression * after_pre
            change[t] -= amplitude * decayed(t - s, curve.tau_minus, curve)
    return change


def before(spikes: list[int], t: int, curve: Curve) -> list[int]:
    """The spikes before moment t that count: all of them, or the last."""
    earlier = [s for s in spikes if s < t]
    return earlier[-1:] if curve.nearest else earlier


def decayed(moments: int, tau: float, curve: Curve) -> float:
    return float(np.exp(-moments * curve.dt / tau))


def changes(pre: np.ndarray, post: np.ndarray, curve: Curve) -> np.ndarray:
    """[B, T, n_in, n]: `at_synapse` of all synapses. pre: [B, T, n_in], post: [B, T, n]."""
    (examples, moments, n_in), n = pre.shape, post.shape[2]
    found = np.zeros((examples, moments, n_in, n))
    for b, i, j in np.ndindex(examples, n_in, n):
        found[b, :, i, j] = at_synapse(pre[b, :, i], post[b, :, j], curve)
    return found


def rewarded(change: np.ndarray, factor: np.ndarray, lasting: float) -> np.ndarray:
    """(1/B) sum_t M_t e_t of changes [B, T, n_in, n], with e_t = lasting e_{t-1} + change_t.

    factor: M [B, T, n].
    """
    examples, moments, *shape = change.shape
    total, eligibility = np.zeros(shape), np.zeros((examples, *shape))
    for t in range(moments):
        eligibility = lasting * eligibility + change[:, t]
        total += (factor[:, t, None, :] * eligibility).sum(0)
    return total / examples


def thresholds(theta: np.ndarray, sent: np.ndarray, plus: float, lasting: float) -> np.ndarray:
    """theta after spikes [B, T, n]."""
    for t in range(sent.shape[1]):
        theta = lasting * theta + plus * sent[:, t].mean(0)
    return theta


def drift(pre: float, post: float, moments: int, curve: Curve, stationary: bool = False) -> float:
    """The expected change of a weight between independent trains from rest, in so many moments.

    pre, post: chance of a spike in a moment. stationary: as if traces had come to their mean
    before the first moment.
    """

    def mean_trace(tau):
        """Of a train of one spike a moment, at each moment."""
        a = np.exp(-curve.dt / tau)
        missing = np.zeros(moments) if stationary else a ** np.arange(moments)
        return a / (1 - a) * (1 - missing)

    grow = curve.potentiation + curve.triplet_potentiation * mean_trace(curve.tau_y) * post
    shrink = curve.depression + curve.triplet_depression * mean_trace(curve.tau_x) * pre
    up, down = mean_trace(curve.tau_plus) * grow, mean_trace(curve.tau_minus) * shrink
    return float(pre * post * (up - down).sum())
