"""Weight mirror: noise sent through W teaches the feedback weights to be the transposes of W.

In engaged mode the rule is feedback alignment. In mirror mode, once in each step, every layer is
driven by separate noise, and its feedback weights grow by the correlation of that noise with the
response of the layer's neurons:
    s_l = phi'(a_l) * (s_{l+1} B_{l+1}^T),    dW_l = (1/B) h_{l-1}^T s_l
    r_l = phi(xi_l W_l + b_l),    B_l <- (1 - decay) B_l + (rate / B) xi_l^T (r_l - mean r_l)
h_{l-1}: [B, n_{l-1}] input of layer l;  a_l: [B, n_l] its current;  b_l: its biases;  phi: its
neurons;  s_l: [B, n_l] teaching signal at the current, s_L = dL/da_L;  xi_l: [B, n_{l-1}] noise
with zero mean and standard deviation sigma;  r_l: [B, n_l] response, its mean taken over the batch;
B_l: feedback weights of the shape of W_l (the paper's B is the transpose).
For a linear neuron E[xi^T (r - mean r)] / B = (1 - 1/B) sigma^2 W_l, so that at fixed W the
feedback weights tend to (1 - 1/B) (rate sigma^2 / decay) W_l, which is about W_l at the defaults.

Akrout, Wilson, Humphreys, Lillicrap, Tweed, "Deep Learning without Weight Transport", 2019,
arXiv:1904.05391.
Departures: the mean response is subtracted (`centred=False` is the authors' code: a bias, or the
1/2 of a sigmoid, then adds variance, and noise with another mean, as behind max pooling, misleads);
the correlation is a mean over the batch and over the positions of a convolution, not a sum; arrays
with one axis (biases) stay as drawn; there is no mirroring before the first step. Their code on
MNIST: rate 1.28 (0.01 x 128 examples), decay 0, sigma 0.1 / sqrt(12) (uniform noise),
centred=False, and sigmoid outputs: with logits the mirror sees a linear readout, and aligns faster.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.entry import learning_rule
from bioplaus.hyper import NonNegative, Positive
from bioplaus.local import backward, error_of, gates_of, pull, signals_of
from bioplaus.net import drive, feedback_init, fire, forward, layer_key, predictor
from bioplaus.salts import MIRROR
from bioplaus.types import Array, Feedback, Info, Loss, Net, OverTime, Rule

MIRRORS = OverTime(
    recurrent="noise into a mirror does not reach the synapses by which a layer hears itself",
    spikes="noise that is small beside the threshold makes no neuron fire, and B would decay to 0",
)


class State(NamedTuple):
    """feedback: B_l for each layer, with the tree of params; () for the first layer."""

    feedback: Feedback


@learning_rule(time=MIRRORS)
def weight_mirror(
    net: Net,
    loss: Loss,
    *,
    rate: NonNegative = 1.0,
    decay: NonNegative = 0.01,
    sigma: Positive = 0.1,
    centred: bool = True,
    sample: Callable[..., Array] = jax.random.normal,
) -> Rule:
    """Feedback alignment whose B learns from noise; equals backprop at B = W, which it approaches.

    rate, decay: of B, in each step; a gate weights each example's part of both. sigma: standard
    deviation of the noise, in units of the layer's input. sample: (key, shape, dtype) -> xi /
    sigma, with mean 0 and variance 1. centred: subtract the mean response; a batch of one example
    then teaches B nothing.

    Cost, in the letters of docs/rules.md: as backprop, F forward, X credit, F update, and 2X for
    the mirror. No weight is transported.
    """

    def init(key, params, batch):
        return State(feedback_init(net, key, params, batch.x))

    def openness(gate, dtype):
        """The mean of a gate over the batch: [1], or [n_post] for gates on units."""
        gate = jnp.asarray(1 if gate is None else gate, dtype)
        return gate.reshape(-1, gate.shape[-1] if gate.ndim > 1 else 1).mean(0)

    def learn(feedback, growth, opened):
        def update(b, g):
            # Arrays with one axis are biases, which send nothing back.
            return b + (rate * g - decay * opened * b) if b.ndim > 1 else b

        return jax.tree.map(update, feedback, growth)

    def grad(params, state, batch, key, gate=None):
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))
        grads = backward(net, params, state.feedback, trace, error, key, gates)
        subkey, feedback = jax.random.fold_in(key, MIRROR), []
        with jax.named_scope("auxiliary"):
            for l, layer in enumerate(net):
                if l == 0 and not layer.composite:
                    feedback.append(())
                    continue
                k, x = layer_key(subkey, l), trace.inputs[l]
                xi = sample(k, x.shape, x.dtype) * jnp.asarray(sigma)
                r = fire(layer, drive(layer, params[l], xi, k), k)
                if centred:
                    r = r - r.mean(0)
                growth = pull(layer, params[l], xi, k, r / r[0, ..., 0].size, gates[l])
                feedback.append(learn(state.feedback[l], growth, openness(gates[l], x.dtype)))
        return grads, State(tuple(feedback)), Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))
