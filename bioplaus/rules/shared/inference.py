"""Inference of predictive coding: one step of the hidden activities down the energy.

    F = sum_{l<L} 1/2 |eps_l|^2 + pi L(f(a_L), y),    eps_l = z_l - f(a_l),    a_l = z_{l-1} W_l
    z_l <- z_l + gamma (-eps_l + (eps_{l+1} * f'(a_{l+1})) W_{l+1}^T),    z_0 = x
z_l: [B, n_l] activities;  a_l: [B, n_l] currents;  f: neurons;  eps_l: [B, n_l] prediction errors,
and eps_L = -pi dL/df(a_L);  pi: precision of the output;  gamma: step size.
`bioplaus.rules.predictive_coding` has the sources.
"""

from collections.abc import Callable

from jax.typing import ArrayLike

from bioplaus.local import error_of, send, through
from bioplaus.net import drive, fire
from bioplaus.types import Array, Batch, Key, Loss, Net, PyTree


def inference(
    net: Net,
    loss: Loss,
    params: PyTree,
    batch: Batch,
    first: Array,
    k: list[Key],
    rate: ArrayLike,
    precision: ArrayLike,
) -> Callable[[tuple[Array, ...]], tuple[tuple[Array, ...], tuple[Array, ...], list[Array]]]:
    """The step: activities z of the hidden layers -> (z after it, inputs, signals).

    inputs: the input of each layer before the step. signals: -eps_l * f'(a_l) before the step.
    first: the current of x, which is the same in all steps. k: the key of each layer.
    rate, precision: gamma, pi.
    """
    last = len(net) - 1

    def infer(z):
        inputs, eps, signal = (batch.x, *z), [], []
        for l, layer in enumerate(net):
            a = first if l == 0 else drive(layer, params[l], inputs[l], k[l])
            output = fire(layer, a, k[l])
            eps.append(
                z[l] - output if l < last else precision * -error_of(loss, output, batch.y)[1]
            )
            signal.append(through(layer, a, k[l], -eps[l]))
        down = [
            send(net[l], params[l], params[l], z[l - 1], k[l], signal[l])
            for l in range(1, last + 1)
        ]
        return tuple(h - rate * (eps[l] + down[l]) for l, h in enumerate(z)), inputs, signal

    return infer
