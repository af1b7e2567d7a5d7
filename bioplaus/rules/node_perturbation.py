"""Node perturbation: each unit correlates its perturbation with the change of the loss.

All currents are perturbed at once:
    s_l = (L(a + sigma xi) - L(a)) / sigma * xi_l,    dW_l = (1/B) h_{l-1}^T s_l
a: currents of all layers;  L: [B] loss of each example;  xi_l: [B, n_l] ~ N(0, 1);  sigma: size of
the perturbation;  h_{l-1}: [B, n_{l-1}] unperturbed input of layer l;  s_l: [B, n_l] teaching
signal at the current.
Unbiased up to O(sigma^2); the variance grows with the number of units.

Werfel, Xie, Seung, "Learning Curves for Stochastic Gradient Descent in Linear Feedforward
Networks", 2005, doi:10.1162/089976605774320539. Perturbing nodes rather than weights, before them:
Widrow and Lehr, "30 Years of Adaptive Neural Networks: Perceptron, Madaline, and Backpropagation",
1990, doi:10.1109/5.58323.
Departures: the unperturbed loss is the baseline; it comes from a second forward pass with the same
neural noise.
"""

import jax

from bioplaus.entry import learning_rule
from bioplaus.hyper import Positive
from bioplaus.local import gates_of, pull, signals_of
from bioplaus.net import forward, layer_key, predictor, with_gain
from bioplaus.rules.shared.over_time import ANY
from bioplaus.salts import NODES
from bioplaus.types import Gain, Info, Loss, Net, Rule


@learning_rule(time=ANY)
def node_perturbation(
    net: Net, loss: Loss, *, sigma: Positive = 1e-2, sample=jax.random.normal
) -> Rule:
    """Backprop in expectation as sigma -> 0.

    On neurons that fire it estimates, at its sigma, the slope of the step function itself, averaged
    over the noise, and not that of the surrogate, which backprop follows. As sigma -> 0 no spike
    moves, and only the readout learns. Perturbations know of no `horizon`: it truncates backprop,
    and not this estimate of it.

    sigma: size of the perturbation, in units of the currents. sample: (key, shape, dtype) -> xi
    with mean 0 and variance 1.

    Cost, in the letters of docs/rules.md: 2F forward, no credit, F update, and sum_l n_l random
    numbers for each example.
    """

    def init(key, params, batch):
        del key, params, batch
        return ()

    def grad(params, state, batch, key, gate=None):
        trace = forward(net, params, batch.x, key)
        losses = loss(trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))
        subkey = jax.random.fold_in(key, NODES)
        xi = [sample(layer_key(subkey, l), a.shape, a.dtype) for l, a in enumerate(trace.currents)]
        perturbed = forward(
            with_gain(net, [Gain(offset=sigma * x) for x in xi]), params, batch.x, key
        ).output
        change = (loss(perturbed, batch.y) - losses) / sigma
        grads = []
        for l, layer in enumerate(net):
            signal = change.reshape(-1, *(1,) * (xi[l].ndim - 1)) * xi[l]
            signal = signal.astype(xi[l].dtype)  # sigma may be a tracer of more bits
            k, heard = layer_key(key, l), trace.heard[l]
            grads.append(pull(layer, params[l], trace.inputs[l], k, signal, gates[l], heard))
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))
