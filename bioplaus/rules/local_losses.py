"""Local losses: a small head teaches every hidden layer, and no error passes between layers.

    pred:     L_l = L(phi_L(h_l A_l + c_l), y)
    sim:      L_l = (1/B) sum_j (S_ij(h_l G_l) - S_ij(y))^2        for example i
    predsim:  L_l = p pred + (1 - p) sim
    s_l = phi'(a_l) * dL_l/dh_l,    dW_l = (1/B) h_{l-1}^T s_l,    in the last layer L_L = L(h_L, y)
h_l, a_l: [B, n_l] output and current of layer l;  s_l: [B, n_l] teaching signal at the current;
phi_L: the output neurons of the net without their noise, since L takes their outputs;
S(u): [B, B] cosines between the rows of u, after subtracting the mean of each row;
A_l: [n_l, C], c_l: [C], G_l: [n_l, n_l] heads, which learn by descent on the same L_l.
The derivative by h_l passes the weights of the head backwards, one step. Over time h_l is, for a
head, what the net's answer reads of a sequence (`bioplaus.pools`), or the output at each moment if
the net answers at each.

Nokland and Eidnes, "Training Neural Networks with Local Error Signals", 2019, arXiv:1901.06656.
Their MNIST net: 784-1024-1024-1024-10 with batch normalisation, leaky ReLU (pred: ReLU) and dropout
0.1, Adam 5e-4 for the heads too, batch 128, p = 0.01.
Departures: behind a convolution A_l reads all positions (theirs pools them to 4096 features at
most), and G_l [channels, channels] is shared by all positions (theirs is a 3x3 convolution); S sees
the standard deviation over positions, after G_l, of more than 3 channels. The noise of the neurons
reaches the head (their dropout comes after it). No batch normalisation. A_l starts at zero, G_l
uniform in +-1 / sqrt(n_l).
"""

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from bioplaus.entry import learning_rule
from bioplaus.hyper import Probability
from bioplaus.local import error_of, gates_of, pull, signals_of, spread, through
from bioplaus.net import forward, layer_key, predictor
from bioplaus.pools import moment_shapes, of_sequence, to_moments
from bioplaus.rules.shared.heads import Head, prediction_head, similarity_head
from bioplaus.rules.shared.over_time import ANY, SEQUENCES
from bioplaus.salts import HEADS
from bioplaus.types import Info, Loss, Net, OptimiserOf, PerLayer, Rule

ADAM = optax.adam(2e-3)


class State(NamedTuple):
    """heads: for each hidden layer a tuple of its heads' weights. opt: the state of `tx`."""

    heads: PerLayer
    opt: Annotated[Any, OptimiserOf(lambda state: state.heads)]


@learning_rule(time=ANY)
def local_prediction(net: Net, loss: Loss, *, tx: optax.GradientTransformation = ADAM) -> Rule:
    """Prediction heads: backprop on a net of one layer that does not hear itself.

    tx: optimiser of the heads; give the one that trains the net.

    Cost, in the letters of docs/rules.md: F forward, F update, and C sum_l n_l over hidden layers
    each forward, as credit and to learn the heads, instead of X.
    """
    return _rule(net, loss, tx, (prediction_head(net, loss, 1.0),))


@learning_rule(time=SEQUENCES)
def local_similarity(net: Net, loss: Loss, *, tx: optax.GradientTransformation = ADAM) -> Rule:
    """Similarity heads: examples of a class should look alike in every layer, and others not.

    tx: optimiser of the heads; give the one that trains the net. A batch needs two examples or
    more.

    Cost, in the letters of docs/rules.md: F forward, F update, and for each hidden layer n_l^2 each
    forward, as credit and to learn the head; cosines take 3 B n_l.
    """
    return _rule(net, loss, tx, (similarity_head(1.0),))


@learning_rule(time=SEQUENCES)
def local_losses(
    net: Net, loss: Loss, *, tx: optax.GradientTransformation = ADAM, prediction: Probability = 0.01
) -> Rule:
    """Both heads (predsim), at the costs of both.

    prediction: p, the weight of the prediction loss; the similarity loss has 1 - p.
    """
    return _rule(
        net,
        loss,
        tx,
        (prediction_head(net, loss, prediction), similarity_head(1 - jnp.asarray(prediction))),
    )


def _rule(net: Net, loss: Loss, tx: optax.GradientTransformation, parts: tuple[Head, ...]) -> Rule:
    def init(key, params, batch):
        *hidden, last = moment_shapes(net, params, batch, key)
        subkey = jax.random.fold_in(key, HEADS)
        heads = tuple(
            tuple(
                part.init(jax.random.fold_in(layer_key(subkey, l), i), h, last.shape[-1])
                for i, part in enumerate(parts)
            )
            for l, h in enumerate(hidden)
        )
        return State(heads, tx.init(heads))

    def teach(layer, heads, outputs, y, gate):
        """dL_l/dh_l per example, and the gradients of a layer's heads."""
        h = of_sequence(net, layer, outputs)
        taught, grads = jnp.zeros_like(h), []
        # The units of heads are not those of the layer: they get one gate per example, its mean.
        gate = spread(gate, outputs).reshape(len(h), -1).mean(-1)
        for part, p in zip(parts, heads, strict=True):
            with jax.named_scope("forward"):
                u = part.read(p, h)
            error = error_of(part.loss, u, y)[1]
            with jax.named_scope("credit"), jax.named_scope("feedback"):
                taught += jax.vjp(lambda h, part=part, p=p: part.read(p, h), h)[1](error)[0]
            with jax.named_scope("auxiliary"):
                gated = error * spread(gate, error) / len(h)
                grads.append(jax.vjp(lambda p, part=part: part.read(p, h), p)[1](gated)[0])
        return to_moments(net, layer, outputs, taught), tuple(grads)

    def grad(params, state, batch, key, gate=None):
        if len(state.heads) != len(net) - 1:
            raise ValueError(
                f"heads has {len(state.heads)} entries for {len(net) - 1} hidden layers; make it"
                " with rule.init"
            )
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates, grads, slopes = gates_of(gate, signals, len(net)), [], []
        for l, layer in enumerate(net):
            k, taught = layer_key(key, l), error
            if l < len(net) - 1:
                taught, slope = teach(layer, state.heads[l], trace.outputs[l], batch.y, gates[l])
                slopes.append(slope)
            signal = through(layer, trace.currents[l], k, taught)
            grads.append(
                pull(layer, params[l], trace.inputs[l], k, signal, gates[l], trace.heard[l])
            )
        with jax.named_scope("auxiliary"):
            updates, opt = tx.update(tuple(slopes), state.opt, state.heads)
            heads = optax.apply_updates(state.heads, updates)
        return tuple(grads), State(heads, opt), Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))
