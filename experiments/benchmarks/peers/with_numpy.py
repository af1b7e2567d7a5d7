"""numpy and its BLAS, written by hand: backprop and Adam, in place, in buffers that are kept."""

from itertools import pairwise

import numpy as np
from serve import batches, images, serve, task

t = task()
x, labels = images(t["sizes"][0], t["sizes"][-1])
onehot = np.eye(t["sizes"][-1], dtype=np.float32)[labels]
rows = batches(t["batch"])
rng = np.random.default_rng(2)
pairs = list(pairwise(t["sizes"]))
weights = [(0.5 / m**0.5 * rng.standard_normal((m, n))).astype(np.float32) for m, n in pairs]
biases = [np.zeros(n, np.float32) for _, n in pairs]
params = weights + biases
grads, first, second, scratch = ([np.zeros_like(p) for p in params] for _ in range(4))
# h_0 = x; the last is the output
hidden = [np.empty((t["batch"], n), np.float32) for n in t["sizes"]]
signals = [np.empty((t["batch"], n), np.float32) for n in t["sizes"][1:]]
count = 0


def backprop(batch) -> None:
    np.take(x, batch, axis=0, out=hidden[0])
    for l, (w, b) in enumerate(zip(weights, biases, strict=True)):
        np.matmul(hidden[l], w, out=hidden[l + 1])
        hidden[l + 1] += b
        if l < len(weights) - 1:
            np.tanh(hidden[l + 1], out=hidden[l + 1])
    p = np.exp(hidden[-1] - hidden[-1].max(1, keepdims=True))
    np.divide(p / p.sum(1, keepdims=True) - onehot[batch], len(batch), out=signals[-1])
    for l in reversed(range(len(weights))):
        np.matmul(hidden[l].T, signals[l], out=grads[l])
        np.sum(signals[l], axis=0, out=grads[len(weights) + l])
        if l:
            np.matmul(signals[l], weights[l].T, out=signals[l - 1])
            np.square(hidden[l], out=hidden[l])
            np.subtract(1, hidden[l], out=hidden[l])
            signals[l - 1] *= hidden[l]


def adam(rate=1e-3, b1=0.9, b2=0.999, eps=1e-8) -> None:
    """p -= rate m_hat / (sqrt(v_hat) + eps), Adam on arrays in place.

    The corrections of both moments are folded into the rate and into eps.
    """
    global count
    count += 1
    correction = (1 - b2**count) ** 0.5
    step = np.float32(rate * correction / (1 - b1**count))
    for p, g, m, v, s in zip(params, grads, first, second, scratch, strict=True):
        m *= np.float32(b1)
        np.multiply(g, np.float32(1 - b1), out=s)
        m += s
        g *= g
        g *= np.float32(1 - b2)
        v *= np.float32(b2)
        v += g
        np.sqrt(v, out=s)
        s += np.float32(eps * correction)
        np.divide(m, s, out=s)
        s *= step
        p -= s


def train(steps: int) -> None:
    for _ in range(steps):
        backprop(next(rows))
        adam()


serve(train, "cpu", "numpy")
