"""PEPITA: the output error changes the input of a second forward pass, which teaches each layer.

    h_l = phi(h_{l-1} W_l),    h'_l = phi(h'_{l-1} W_l),    h_0 = x,    h'_0 = x + e F
    s_l = h_l - h'_l,    s_L = e',    dW_l = (1/B) h'_{l-1}^T s_l
x: [B, ...] input;  h_l, h'_l: [B, n_l] outputs in the first and the second pass;  phi: neurons;
e, e': [B, C] = dL/da_L = phi'(a_L) * dL/dh_L in the first and the second pass, with a_L the current
of the last layer;  s_l: [B, n_l] teaching signal;  F: [C, ...] fixed random projection, uniform in
+-scale sqrt(6 / n_in), never learned, for inputs of n_in features.
Both passes have the same neural noise.

Dellaferrera and Kreiman, "Error-driven Input Modulation: Solving the Credit Assignment Problem
without a Backward Pass", 2022, arXiv:2201.11665. Their MNIST net: 784-1024-10 without biases, ReLU,
He's uniform W, softmax and cross-entropy, momentum 0.9 at rate 0.1, batch 64, scale 0.05, and a
dropout mask that both passes share; here dropout is noise of the neurons.
Departures: biases learn as weights from a constant input; the weights of a convolution sum over
positions, where their code takes the mean; behind convolutions too the readout learns from e'
(their code takes e there if the net has a single dense layer).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.entry import learning_rule
from bioplaus.hyper import Real
from bioplaus.local import error_of, gates_of, pull, signals_of, through
from bioplaus.net import current_shapes, forward, layer_key, predictor
from bioplaus.pools import to_moments
from bioplaus.types import Array, Info, Loss, Net, OverTime, Rule

LATE = "a layer that remembers shows a change of its input later than where it must learn"
MODULATES = OverTime(
    recurrent=LATE,
    memory=LATE,
    spikes="a small change of the input moves no spike, and the two passes would not differ",
)


class State(NamedTuple):
    """projection: F [C, *shape of an input, at one moment]."""

    projection: Array


@learning_rule(time=MODULATES)
def pepita(net: Net, loss: Loss, *, scale: Real = 0.05) -> Rule:
    """At small F, feedback alignment of the first layer with B = -F W_1.

    scale: multiplies F; the signals of hidden layers are proportional to it.

    Cost, in the letters of docs/rules.md: 2F forward, C n_0 credit, F update.
    """

    def init(key, params, batch):
        first = batch.x[0] if net[0].time is None else batch.x[0, 0]
        classes = current_shapes(net, params, batch, key)[-1].shape[-1]
        bound = (6 / first.size) ** 0.5
        draw = jax.random.uniform(key, (classes, *first.shape), batch.x.dtype, -bound, bound)
        return State(draw * jnp.asarray(scale))

    def grad(params, state, batch, key, gate=None):
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))
        last, k = net[-1], layer_key(key, len(net) - 1)
        error = through(last, trace.currents[-1], k, error)
        with jax.named_scope("credit"), jax.named_scope("feedback"):
            modulation = jnp.tensordot(error, state.projection, 1)
            modulation = to_moments(net, net[0], batch.x, modulation)
        second = forward(net, params, batch.x + modulation, key)
        taught = [h - m for h, m in zip(trace.outputs[:-1], second.outputs[:-1], strict=True)]
        taught.append(
            through(last, second.currents[-1], k, error_of(loss, second.output, batch.y)[1])
        )
        grads = [
            pull(layer, params[l], pre, layer_key(key, l), taught[l], gates[l], second.heard[l])
            for l, (layer, pre) in enumerate(zip(net, second.inputs, strict=True))
        ]
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))
