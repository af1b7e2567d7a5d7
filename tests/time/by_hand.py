"""Backprop through time by hand: numpy, Python loops, every derivative written out.

Nothing of bioplaus is used here. The equations are those of `bioplaus/neurons/spiking.py`:

    u = a v + I,   s = (u - theta - beta b) / theta,   z = H(s),   v <- reset(u, z),   b <- r b + z
I: current of the moment;  u, v: potential before and after the reset;  b: adaptation;  z: spike;
dH/ds = gamma max(0, 1 - |s|). In the code `d_q` is the derivative of the loss by q, and the params
of a layer are those of bioplaus: {"w", "b"}, or {"in", "back"} where it hears itself.
"""

from typing import NamedTuple

import numpy as np

GAMMA = 0.3


class Cells(NamedTuple):
    """The neurons of a layer. beta = 0 is a LIF neuron. Times in ms."""

    beta: float = 0.0
    reset: str = "subtract"
    detached: bool = True
    refractory: float = 0.0
    tau: float = 20.0
    tau_adapt: float = 200.0
    theta: float = 1.0
    dt: float = 1.0
    horizon: int | None = None

    @property
    def a(self):
        return np.exp(-self.dt / self.tau)

    @property
    def r(self):
        return np.exp(-self.dt / self.tau_adapt)


class Moment(NamedTuple):
    """What one moment leaves for the way back. listens: 0 in the refractory period."""

    heard: np.ndarray
    u: np.ndarray
    s: np.ndarray
    z: np.ndarray
    listens: np.ndarray


def parts(params):
    """(the synapses of the input, the layer's own synapses or None)."""
    return (params["in"], params["back"]) if "in" in params else (params, None)


def reset_to(cells, u, z):
    if cells.reset == "subtract":
        return u - cells.theta * z
    if cells.reset == "subtract_undecayed":
        return u - cells.theta * z / cells.a
    return u * (1 - z)


def d_reset(cells, u, z):
    """The derivatives of the reset potential by u and by z."""
    if cells.reset == "subtract":
        return 1.0, -cells.theta
    if cells.reset == "subtract_undecayed":
        return 1.0, -cells.theta / cells.a
    return 1 - z, -u


def fired(cells, params, x):
    """Spikes [B, T, n] of a layer on x [B, T, n_in], and its moments."""
    synapses, own = parts(params)
    shape = (x.shape[0], synapses["w"].shape[1])
    v, b, z, wait, seen = *(np.zeros(shape) for _ in range(4)), []
    for t in range(x.shape[1]):
        current = x[:, t] @ synapses["w"] + synapses["b"]
        if own is not None:
            current = current + z @ own["w"] + own["b"]
        heard, listens = z, (wait <= 0) * 1.0
        u = cells.a * v + current
        s = (u - cells.theta - cells.beta * b) / cells.theta
        z = listens * (s > 0)
        v = np.where(listens > 0, reset_to(cells, u, z), v)
        b = cells.r * b + z
        wait = np.maximum(wait - 1, 0) + z * round(cells.refractory / cells.dt)
        seen.append(Moment(heard, u, s, z, listens))
    return np.stack([m.z for m in seen], 1), seen


def back_through_fired(cells, params, feedback, x, seen, d_z, closed=True):
    """(grads of a layer, the signal at its input), for d_z [B, T, n] from above.

    feedback: the weights that errors cross. closed: whether they cross the layer's own synapses.
    """
    (synapses, own), (down, around) = parts(params), parts(feedback)
    d_in = {name: np.zeros_like(leaf) for name, leaf in synapses.items()}
    d_own = own and {name: np.zeros_like(leaf) for name, leaf in own.items()}
    d_x, d_v, d_b, d_heard = np.zeros_like(x), 0.0, 0.0, 0.0
    for t in reversed(range(len(seen))):
        heard, u, s, z, listens = seen[t]
        d_spike = d_z[:, t] + d_heard + d_b
        by_u, by_z = d_reset(cells, u, z)
        d_u = listens * d_v * by_u
        if not cells.detached:
            d_spike = d_spike + listens * d_v * by_z
        d_s = listens * GAMMA * np.maximum(0, 1 - np.abs(s)) * d_spike
        d_u = d_u + d_s / cells.theta
        d_v = cells.a * d_u + (1 - listens) * d_v
        d_b = cells.r * d_b - cells.beta / cells.theta * d_s
        d_in["w"] += x[:, t].T @ d_u
        d_in["b"] += d_u.sum(0)
        d_x[:, t] = d_u @ down["w"].T
        if own is not None and d_own is not None and around is not None:
            d_own["w"] += heard.T @ d_u
            d_own["b"] += d_u.sum(0)
            d_heard = d_u @ around["w"].T * closed
        if cells.horizon and t % cells.horizon == 0:
            d_v, d_b, d_heard = 0.0, 0.0, 0.0
    return (d_in if own is None else {"in": d_in, "back": d_own}), d_x


# --- Readouts: (cells, params, feedback, spikes, y) -> (loss [B], grads, d_spikes)


def softmax(o):
    e = np.exp(o - o.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def pooled(cells, params, feedback, z, y):
    """Cross-entropy of o = mean_t(z_t) w + b, y [B, C]."""
    del cells
    moments, mean = z.shape[1], z.mean(1)
    p = softmax(mean @ params["w"] + params["b"])
    d_o = (p - y) / len(y)
    grads = {"w": mean.T @ d_o, "b": d_o.sum(0)}
    d_z = np.repeat((d_o @ feedback["w"].T)[:, None] / moments, moments, 1)
    return -(y * np.log(p)).sum(-1), grads, d_z


def at_moments(cells, params, feedback, z, y, asked=None):
    """The sum over asked moments of 1/2 |o_t - y_t|^2, o_t = k o_{t-1} + (1 - k)(z_t w + b).

    y [B, T, C]; asked [B, T].
    """
    k, o, outputs = cells.a, 0.0, []
    asked = np.ones(z.shape[:2]) if asked is None else asked
    for t in range(z.shape[1]):
        o = k * o + (1 - k) * (z[:, t] @ params["w"] + params["b"])
        outputs.append(o)
    errors = (np.stack(outputs, 1) - y) * asked[..., None]
    grads = {name: np.zeros_like(leaf) for name, leaf in params.items()}
    d_z, d_o = np.zeros_like(z), 0.0
    for t in reversed(range(z.shape[1])):
        d_o = d_o + errors[:, t] / len(y)
        d_current = (1 - k) * d_o
        grads["w"] += z[:, t].T @ d_current
        grads["b"] += d_current.sum(0)
        d_z[:, t] = d_current @ feedback["w"].T
        d_o = k * d_o * (not (cells.horizon and t % cells.horizon == 0))
    return 0.5 * (errors**2).sum((1, 2)), grads, d_z


def bptt(cells, params, x, y, readout, feedback=None, closed=True):
    """(loss, grads, spikes of each hidden layer): cells has one entry per layer, the readout last.

    feedback: B in place of the weights on the way back; an entry () is never used. closed: whether
    errors cross the layers' own synapses.
    """
    feedback = params if feedback is None else feedback
    inputs, tapes = [x], []
    for c, p in zip(cells[:-1], params[:-1], strict=True):
        z, seen = fired(c, p, inputs[-1])
        inputs.append(z)
        tapes.append(seen)
    losses, last, d_z = readout(cells[-1], params[-1], feedback[-1], inputs[-1], y)
    grads = [last]
    for l in reversed(range(len(tapes))):
        g, d_z = back_through_fired(
            cells[l], params[l], feedback[l] or params[l], inputs[l], tapes[l], d_z, closed
        )
        grads.insert(0, g)
    return losses.mean(), tuple(grads), inputs[1:]
