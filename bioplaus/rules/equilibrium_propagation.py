"""Equilibrium propagation, centred.

The hidden layers are one recurrent network with symmetric weights, which settles to a minimum of
    Phi = sum_{l<L} [G(h_l) - h_l . a_l] + beta C,    a_l = h_{l-1} W_l,    G' = f^{-1},    C = L(f(a_L), y),    h_0 = x
    settle:  h_l <- f(a_l + h_{l+1} W_{l+1}^T),    and for the last hidden layer  h <- f(a_{L-1} - beta (dC/da_L) W_L^T)
first free (beta = 0), then from the free state at +beta and at -beta. Weights learn by the difference of the two phases:
    dW_l = (1 / (2 beta B)) [dPhi/dW_l at +beta - dPhi/dW_l at -beta],    dPhi/dW_l = -h_{l-1}^T h_l,
    dPhi/dW_L = beta h_{L-1}^T dC/da_L
which is two pullbacks: pulling the difference of the states once is wrong. h_l: [B, n_l].

Scellier and Bengio, "Equilibrium Propagation: Bridging the Gap between Energy-Based Models and Backpropagation", 2017,
arXiv:1602.05179. Centred, with a readout outside of the dynamics: Laborieux et al., "Scaling Equilibrium Propagation to
Deep ConvNets", 2021, arXiv:2006.03824.
Departures: sweeps in layer order, each layer set to its fixed-point equation, instead of a gradient flow.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.local import error_of, gates_of, pull, send, signals_of, through
from bioplaus.net import drive, fire, forward, layer_key
from bioplaus.relax import relax
from bioplaus.types import Loss, Net, Rule


def equilibrium_propagation(net: Net, loss: Loss, *, beta: ArrayLike = 0.2, free_steps: int = 15, nudged_steps: int = 8) -> Rule:
    """The gradient of the loss AT EQUILIBRIUM up to O(beta^2), if the net contracts; not that of a forward pass.

    free_steps, nudged_steps: sweeps T1 and T2, (T1 + 2 T2) (F + X) in all. f must be bounded or the weights small:
    info['residual'] (of `bioplaus.relax`, the worst phase) is not small against 1, or not finite, where the net does not settle.
    """
    last = len(net) - 1

    def settle(params, first, key, h, nudge, steps):
        """Sweeps from activities h of the hidden layers. first: the current of x; nudge: (h_{L-1}) -> signal at a_L, or None."""
        k = [layer_key(key, l) for l in range(len(net))]

        def sweep(h):
            h = list(h)
            for l in range(last):
                a = first if l == 0 else drive(net[l], params[l], h[l - 1], k[l])
                above = h[l + 1] if l + 1 < last else nudge and nudge(h[l])
                if above is not None:
                    a = a + send(net[l + 1], params[l + 1], params[l + 1], h[l], k[l + 1], above)
                h[l] = fire(net[l], a, k[l])
            return tuple(h)

        return relax(sweep, h, steps) if last else ((), jnp.zeros((), first.dtype))

    def free_phase(params, x, key):
        trace = forward(net, params, x, key)
        return trace.currents[0], settle(params, trace.currents[0], key, trace.inputs[1:], None, free_steps)

    def read(params, below, key):
        a = drive(net[last], params[last], below, layer_key(key, last))
        return a, fire(net[last], a, layer_key(key, last))

    def readout_signal(params, below, y, key):
        """dC/da_L."""
        a, output = read(params, below, key)
        return through(net[last], a, layer_key(key, last), error_of(loss, output, y)[1])

    def init(key, params, batch):
        del key, params, batch
        return ()

    def grad(params, state, batch, key, gate=None):
        x, y = batch.x, batch.y
        with jax.named_scope("forward"):
            first, (free, residual) = free_phase(params, x, key)
            output = read(params, (x, *free)[-1], key)[1]
        losses = loss(output, y)
        signals = signals_of(losses, output, y)
        gates = gates_of(gate, signals, len(net))

        def phase(b):
            """The part of dW from the phase at nudge b: dPhi/dW / (2 b)."""
            with jax.named_scope("forward"):
                h, residual = settle(params, first, key, free, lambda top: -b * readout_signal(params, top, y, key), nudged_steps)
                pre = (x, *h)
                signal = (*(-post / (2 * b) for post in h), readout_signal(params, pre[-1], y, key) / 2)
            grads = [pull(net[l], params[l], pre[l], layer_key(key, l), signal[l], gates[l]) for l in range(len(net))]
            return tuple(grads), residual

        parts, nudged = jax.vmap(phase)(jnp.asarray(beta, x.dtype) * jnp.array([1, -1], x.dtype))
        info = {"loss": losses.mean(), "signals": signals, "residual": jnp.maximum(residual, nudged.max())}
        return jax.tree.map(lambda g: g.sum(0), parts), state, info

    def predict(params, state, x, key, context=()):
        del state, context
        return read(params, (x, *free_phase(params, x, key)[1][0])[-1], key)[1]

    return Rule(init, grad, predict)
