"""Contrastive, local and predictive plasticity (CLAPP).

Every layer learns to tell two glimpses of one input from glimpses of two inputs.
    c_l = h_l(x'),    z_l = h_l(x''),    z~_l = z_l of the next example
    u+ = z_l P_l c_l,    u- = z~_l P_l c_l,    L_l = max(0, 1 - u+) + max(0, 1 + u-)
    dL_l/dc_l = P_l^T (g- z~_l - g+ z_l),    dL_l/dz_l = -g+ P_l c_l,    dL_l/dz~_l = g- P_l c_l
    g+ = [u+ < 1],    g- = [u- > -1]
    dP_l = (1/B) (g- z~_l - g+ z_l) c_l^T
x', x'': two glimpses of the input x: [B, ...];  h_l, c_l, z_l, z~_l: [B, n_l] outputs, averaged
over positions behind a convolution, and over moments;  P_l: [n_l, n_l] predicts z_l from c_l, and
c_l from z_l;  g+, g-: [B], 1 or 0, broadcast to all of a layer.
z~_l is what the layer sees after a saccade. The derivative at an output passes phi' to the current,
and is pulled back at the input of that glimpse: pre x phi' x prediction x g. No label reaches a
hidden layer, and nothing is sent down. The last layer is a readout, which answers, and learns by
descent on the usual loss from the whole input.

Illing, Ventura, Bellec, Gerstner, "Local plasticity rules can learn deep representations using
self-supervised contrastive predictions", 2021, arXiv:2010.08262; their code:
https://github.com/EPFL-LCN/pub-illing2021-neurips (hinge, one negative example).
Departures: their glimpses are patches below one another in images of natural scenes, and they
predict five steps ahead; here `view` draws two glimpses of the input of any net, by default by
masking random features, and there is one step. Both terms count at each step, as in their code; in
the paper's time course, a step is followed either by a fixation or by a saccade. P_l starts at
N(0, 1 / n_l^2).
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from bioplaus.entry import learning_rule
from bioplaus.local import error_of, gates_of, pull, signals_of, spread, through
from bioplaus.net import forward, layer_key, predictor
from bioplaus.pools import moment_shapes
from bioplaus.rules.shared.over_time import ANY
from bioplaus.salts import FIRST_GLIMPSE, SECOND_GLIMPSE
from bioplaus.types import Array, Info, Key, Loss, Net, OptimiserOf, PerLayer, Rule

ADAM = optax.adam(1e-3)
MASK_FRACTION = 0.2  # fraction of features that `glimpse` sets to 0


class State(NamedTuple):
    """prediction: P_l [n_l, n_l] for each hidden layer. opt: the state of `tx` over them."""

    prediction: PerLayer
    opt: Annotated[Any, OptimiserOf(lambda state: state.prediction)]


def glimpse(key: Key, x: Array) -> Array:
    """x with a random fifth of its features set to 0, and the others scaled up to keep the mean."""
    return x * jax.random.bernoulli(key, 1 - MASK_FRACTION, x.shape) / (1 - MASK_FRACTION)


@learning_rule(time=ANY)
def clapp(
    net: Net,
    loss: Loss,
    *,
    tx: optax.GradientTransformation = ADAM,
    view: Callable[[Key, Array], Array] = glimpse,
) -> Rule:
    """Hidden layers predict one glimpse of an input from another, without labels.

    tx: optimiser of P; give the one that trains the net. view: (key, x) -> a glimpse of x, with the
    shape of x. A batch needs two examples or more.

    Cost, in the letters of docs/rules.md: F + 2H forward, 2 sum_l n_l^2 credit, F + H update, and
    sum_l n_l^2 for P, over hidden layers l.
    """
    last = len(net) - 1

    def init(key, params, batch):
        hidden = moment_shapes(net, params, batch, key)[:-1]
        prediction = tuple(
            jax.random.normal(layer_key(key, l), (a.shape[-1],) * 2, a.dtype) / a.shape[-1]
            for l, a in enumerate(hidden)
        )
        return State(prediction, tx.init(prediction))

    def grad(params, state, batch, key, gate=None):
        if len(batch.x) < 2:
            raise ValueError(
                "clapp compares the glimpses of two examples, and got a batch of one; give two or"
                " more"
            )
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates, grads, slopes = gates_of(gate, signals, len(net)), [], []
        keys = [jax.random.fold_in(key, salt) for salt in (FIRST_GLIMPSE, SECOND_GLIMPSE)]
        glimpses = [forward(net[:last], params[:last], view(k, batch.x), k) for k in keys]
        for l in range(last):
            c, z = (
                (*trace_of_glimpse.inputs, trace_of_glimpse.output)[l + 1]
                for trace_of_glimpse in glimpses
            )
            to_c, to_z, slope = teach(state.prediction[l], c, z, spread(gates[l], c))
            slopes.append(slope)
            parts = []
            for trace_of_glimpse, k, taught in zip(glimpses, keys, (to_c, to_z), strict=True):
                k, seen = layer_key(k, l), trace_of_glimpse
                signal = through(net[l], seen.currents[l], k, taught)
                parts.append(
                    pull(net[l], params[l], seen.inputs[l], k, signal, heard=seen.heard[l])
                )
            grads.append(jax.tree.map(jnp.add, *parts))
        signal = through(net[last], trace.currents[last], layer_key(key, last), error)
        grads.append(
            pull(
                net[last],
                params[last],
                trace.inputs[last],
                layer_key(key, last),
                signal,
                gates[last],
                trace.heard[last],
            )
        )
        with jax.named_scope("auxiliary"):
            updates, opt = tx.update(tuple(slopes), state.opt, state.prediction)
            prediction = optax.apply_updates(state.prediction, updates)
        return tuple(grads), State(prediction, opt), Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))


def teach(p: Array, first: Array, second: Array, gate: Array) -> tuple[Array, Array, Array]:
    """dL/dh at both glimpses of every example, weighted by its gate, and dL/dP.

    p: P, [n, n]. first, second: outputs at the two glimpses, [B, ..., n]. gate: [B, ..., n].
    """

    def wide(d):
        return (
            jnp.broadcast_to(d.reshape(len(d), *(1,) * (first.ndim - 2), -1), first.shape)
            * first.shape[-1]
            / first[0].size
        )

    with jax.named_scope("credit"):
        c, z = (h.reshape(len(h), -1, h.shape[-1]).mean(1) for h in (first, second))
        other, predicted = jnp.roll(z, -1, 0), c @ p.T
        fixation, saccade = (
            a[:, None] for a in ((predicted * z).sum(-1) < 1, (predicted * other).sum(-1) > -1)
        )
        error = saccade * other - fixation * z
        to_c = gate * wide(error @ p)
        to_z = jnp.roll(gate * wide(saccade * predicted), 1, 0) - gate * wide(fixation * predicted)
    with jax.named_scope("auxiliary"):
        # The units of P are not those of the layer: P gets one gate per example, their mean.
        weight = gate.reshape(len(c), -1).mean(-1, keepdims=True)
        return to_c, to_z, (weight * error).T @ c / len(c)
