"""Forward gradients: a random direction, times the slope of the loss along it.

Weight perturbation is their finite difference.
    fg, wp:  dtheta = (1/B) sum_b c_b v_b
    afg:     s_l = c u_l,    dW_l = (1/B) h_{l-1}^T s_l
    fg:      c_b = d/dt L_b(theta + t v_b) at t = 0
    wp:      c_b = (L_b(theta + sigma v_b) - L_b(theta)) / sigma
    afg:     c = d/dt L(a + t u) at t = 0
theta: all parameters;  L: [B] loss of each example;  v_b: a random direction in the space of theta,
for each example or one for the batch;  u_l: [B, n_l] a random direction in the space of the
currents a_l, drawn for all layers at once;  h_{l-1}: [B, n_{l-1}] input of layer l;  sigma: step
along v. All components of v and u are independent, with mean 0 and variance 1.
E[c v] = grad L. The variance is d + 1 times |grad L|^2 for a Gaussian direction of d components,
and d - 1 times for random signs. fg and wp do not have the form teaching signal x local
eligibility: a synapse sees its component of v and the broadcast c.

Baydin, Pearlmutter, Syme, Wood, Torr, "Gradients without Backpropagation", 2022, arXiv:2202.08587
(fg). Ren, Kornblith, Liao, Hinton, "Scaling Forward Gradient With Local Losses", 2023,
arXiv:2210.03310 (afg). Jabri and Flower, "Weight Perturbation: An Optimal Architecture and Learning
Technique for Analog VLSI Feedforward and Recurrent Multilayer Networks", 1991,
doi:10.1162/neco.1991.3.4.546; all weights at once: Cauwenberghs, "A Fast Stochastic Error-Descent
Algorithm for Supervised Learning and Optimization", 1992; Werfel, Xie, Seung, 2005,
doi:10.1162/089976605774320539 (wp).
Departures: afg has one loss, at the output, instead of one at each block (which changes the
network). wp takes the one-sided difference; the unperturbed loss comes from a second pass with the
same neural noise.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bioplaus.entry import learning_rule
from bioplaus.hyper import Positive
from bioplaus.local import gates_of, pull, signals_of, weighted
from bioplaus.net import (
    check_depth,
    current_shapes,
    drive,
    fire,
    forward,
    layer_key,
    play,
    predictor,
    with_gain,
)
from bioplaus.rules.shared.over_time import ANY, OTHER_EXAMPLES
from bioplaus.salts import ACTIVITIES, DIRECTIONS
from bioplaus.types import Array, Gain, Info, Loss, Net, Rule

# (key, shape, dtype) -> array of mean 0 and variance 1: jax.random.normal, jax.random.rademacher
Sample = Callable[..., Array]


@learning_rule(time=ANY, context=OTHER_EXAMPLES)
def forward_gradient(
    net: Net, loss: Loss, *, shared: bool = True, sample: Sample = jax.random.normal
) -> Rule:
    """Backprop in expectation, exactly.

    shared: one direction for the batch, as in the paper. Otherwise, not on recurrent layers, one
    for each example: the variance falls as 1 / B, and takes B |theta| memory. sample: (key, shape,
    dtype) -> v with mean 0 and variance 1.

    Cost, in the letters of docs/rules.md: F + F + X forward, no credit, |theta| random numbers for
    each batch.
    """

    def slope(path, params, batch, key):
        del params, key
        output, tangent = jax.jvp(path, (0.0,), (1.0,))
        losses, change = jax.jvp(lambda o: loss(o, batch.y), (output,), (tangent,))
        return output, losses, change

    return _along_weights(net, loss, slope, shared, sample)


@learning_rule(time=ANY, context=OTHER_EXAMPLES)
def weight_perturbation(
    net: Net,
    loss: Loss,
    *,
    sigma: Positive = 1e-3,
    shared: bool = True,
    sample: Sample = jax.random.normal,
) -> Rule:
    """Backprop in expectation as sigma -> 0.

    On neurons that fire it estimates the slope of the step function itself, and at any `horizon`
    the whole gradient, as `node_perturbation` does.

    sigma: size of the perturbation, in units of the weights. shared, sample: as in
    `forward_gradient`. With a direction for each example, as in online learning, no products can be
    shared: every example has other weights, which takes B |theta| numbers, and |theta| update MACs.

    Cost, in the letters of docs/rules.md: 2F forward, no credit, |theta| random numbers for each
    batch.
    """

    def slope(path, params, batch, key):
        output = forward(net, params, batch.x, key).output
        losses = loss(output, batch.y)
        return output, losses, (loss(path(sigma), batch.y) - losses) / sigma

    return _along_weights(net, loss, slope, shared, sample)


@learning_rule(time=ANY)
def activity_forward_gradient(net: Net, loss: Loss, *, sample: Sample = jax.random.normal) -> Rule:
    """Backprop in expectation, exactly: the limit of node perturbation at sigma = 0.

    sample: (key, shape, dtype) -> u with mean 0 and variance 1.

    Cost, in the letters of docs/rules.md: F + X forward, no credit, F update, and sum_l n_l random
    numbers for each example.
    """

    def grad(params, state, batch, key, gate=None):
        subkey = jax.random.fold_in(key, ACTIVITIES)
        u = [
            sample(layer_key(subkey, l), a.shape, a.dtype)
            for l, a in enumerate(current_shapes(net, params, batch, key))
        ]

        def path(t):
            trace = forward(with_gain(net, [Gain(offset=t * x) for x in u]), params, batch.x, key)
            return loss(trace.output, batch.y), trace

        (losses, trace), (change, _) = jax.jvp(path, (0.0,), (1.0,))
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates, grads = gates_of(gate, signals, len(net)), []
        for l, layer in enumerate(net):
            signal = change.reshape(-1, *(1,) * (u[l].ndim - 1)) * u[l]
            k, heard = layer_key(key, l), trace.heard[l]
            grads.append(pull(layer, params[l], trace.inputs[l], k, signal, gates[l], heard))
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    return Rule(_no_state, grad, predictor(net))


def _along_weights(net: Net, loss: Loss, slope: Callable, shared: bool, sample: Sample) -> Rule:
    """The rule that learns along random directions of the weights.

    slope: (path, params, batch, key) -> output, losses and c. path: t -> the output at theta + t v.
    Raises ValueError for recurrent layers where every example has a direction of its own.
    """
    if not shared and any(layer.time and layer.time.closed for layer in net):
        raise ValueError(
            "shared = False: recurrent layers would have other weights for each example; give True"
        )

    def grad(params, state, batch, key, gate=None):
        check_depth(net, params)
        subkey, examples = jax.random.fold_in(key, DIRECTIONS), () if shared else batch.x.shape[:1]

        def direction(l):
            leaves, tree = jax.tree.flatten(params[l])
            keys = [jax.random.fold_in(layer_key(subkey, l), i) for i in range(len(leaves))]
            pairs = zip(keys, leaves, strict=True)
            return tree.unflatten([sample(k, (*examples, *w.shape), w.dtype) for k, w in pairs])

        v = [direction(l) for l in range(len(net))]

        def path(t):
            """The output at theta + t v. Synapses see one example at a time, as it may have other
            weights; neurons see all. The noise is that of `forward`."""
            h = batch.x
            with jax.named_scope("forward"):
                for l, layer in enumerate(net):
                    k = layer_key(key, l)
                    weights = jax.tree.map(lambda w, d: w + t * d, params[l], v[l])
                    if layer.time is not None and shared:
                        h = play(layer, weights, None, h, k).output
                        continue

                    def current(w, x, layer=layer, k=k):
                        return drive(layer, w, x[None], k)[0]

                    h = fire(layer, jax.vmap(current, (None if shared else 0, 0))(weights, h), k)
            return h

        output, losses, change = slope(path, params, batch, key)
        signals = signals_of(loss, losses, output, batch.y)
        weights = [weighted(gate, change) for gate in gates_of(gate, signals, len(net))]

        def along(c, d):
            return c.mean() * d if shared else jnp.tensordot(c / len(c), d, 1)

        with jax.named_scope("update"):
            pairs = zip(weights, v, strict=True)
            grads = [jax.tree.map(lambda d, c=c: along(c, d), d) for c, d in pairs]
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    return Rule(_no_state, grad, predictor(net))


def _no_state(key, params, batch):
    del key, params, batch
    return ()
