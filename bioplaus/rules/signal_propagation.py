"""Signal propagation: a signal for each class passes through the net, as inputs do.

Every layer learns to respond alike to an input and to the signal of its class.
    h_l = phi(h_{l-1} W_l),    t_l = phi(t_{l-1} W_l),    h_0 = x,    t_0 = F
    z_l = h_l t_l^T,    p_l = softmax(z_l),    L_l = -(1/B) sum y log p_l
    s_l = phi'(a_l) * (p_l - y) t_l,    r_l = phi'(a'_l) * (p_l - y)^T h_l
    dW_l = (1/B) (h_{l-1}^T s_l + t_{l-1}^T r_l)
x: [B, ...] input;  F: [C, ...] the signal of each class, N(0, scale^2), with the shape of an input,
never learned;  h_l, a_l, s_l: [B, n_l] outputs, currents and teaching signals for the inputs;
t_l, a'_l, r_l: [C, n_l] the same for the classes;  phi: neurons;  z_l, p_l, y: [B, C] similarities,
their softmax, and labels. Behind a convolution z_l is the mean over positions. Over time the signal
of a class stands at all moments, and h_l, t_l are what the net's answer reads of each sequence
(`bioplaus.pools`).
An error stays in the layer where it arises: nothing is sent down. The last layer of the net is a
readout, which learns by descent on the usual loss, and answers alone.

Kohan, Rietman, Siegelmann, "Signal Propagation: The Framework for Learning and Inference in a
Forward Pass", 2023, arXiv:2204.01723. Of the authors' code
(https://github.com/amassivek/signalpropagation), the loss is `v1_input_label_direct`, the signal a
fixed `ProjectionContext`, and the readout the third of the ways to answer that their guide names.
Departures: no normalisation of layers, and no projection of the input before the first one; F is
fixed, where their code learns it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.entry import check_classes, learning_rule
from bioplaus.hyper import Real
from bioplaus.local import error_of, gates_of, pull, signals_of, spread, through
from bioplaus.net import current_shapes, forward, layer_key, predictor
from bioplaus.pools import of_sequence, to_moments
from bioplaus.rules.shared.over_time import OTHER_EXAMPLES, SEQUENCES
from bioplaus.salts import CLASSES
from bioplaus.types import Array, Info, Loss, Net, Rule


class State(NamedTuple):
    """contexts: F [C, *shape of an input, at one moment]."""

    contexts: Array


@learning_rule(time=SEQUENCES, context=OTHER_EXAMPLES)
def signal_propagation(net: Net, loss: Loss, *, scale: Real = 0.1) -> Rule:
    """Layers learn from signals of the classes that travel forward: nothing travels back.

    scale: size of the classes' signals, in units of the input.

    Cost, in the letters of docs/rules.md: F + C H / B forward, 3 C sum_l n_l credit over hidden
    layers, F + C H / B update.
    """

    def init(key, params, batch):
        check_classes("signal_propagation", batch.y)
        classes = current_shapes(net, params, batch, key)[-1].shape[-1]
        shape = batch.x.shape[1 if net[0].time is None else 2 :]
        return State(
            jax.random.normal(key, (classes, *shape), batch.x.dtype)
            * jnp.asarray(scale, batch.x.dtype)
        )

    def grad(params, state, batch, key, gate=None):
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates, examples, last = gates_of(gate, signals, len(net)), len(batch.y), len(net) - 1
        # A separate key: with as many classes as examples, both would draw the same noise.
        subkey = jax.random.fold_in(key, CLASSES)
        contexts = state.contexts
        if net[0].time is not None:  # the signal of a class stands at all moments
            moments = batch.x.shape[1]
            contexts = jnp.repeat(contexts[:, None], moments, 1)
        classes = forward(net[:last], params[:last], contexts, subkey)
        grads = []
        for l, (outputs, sent) in enumerate(
            zip(trace.outputs[:last], classes.outputs, strict=True)
        ):
            with jax.named_scope("credit"):
                h, t = (of_sequence(net, net[l], a) for a in (outputs, sent))
                share = h.shape[-1] / h[0].size  # 1 / the number of positions
                z = share * h.reshape(examples, -1) @ t.reshape(len(t), -1).T
                e = share * (jax.nn.softmax(z) - batch.y)
                gated = of_sequence(net, net[l], spread(gates[l], outputs) * outputs)
                to_inputs, to_classes = (
                    to_moments(net, net[l], outputs, jnp.tensordot(e, t, 1)),
                    to_moments(net, net[l], sent, jnp.tensordot(e, gated, (0, 0)) / examples),
                )
            k, c = layer_key(key, l), layer_key(subkey, l)
            s, r = (
                through(net[l], trace.currents[l], k, to_inputs),
                through(net[l], classes.currents[l], c, to_classes),
            )
            parts = (
                pull(net[l], params[l], trace.inputs[l], k, s, gates[l], trace.heard[l]),
                # `pull` takes the mean over classes, and their sum is wanted.
                pull(net[l], params[l], classes.inputs[l], c, len(r) * r, heard=classes.heard[l]),
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
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))
