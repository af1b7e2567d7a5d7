"""Local losses: a small head teaches every hidden layer, and no error passes between layers.

    pred:     L_l = L(phi_L(h_l A_l + c_l), y)
    sim:      L_l = (1/B) sum_j (S_ij(h_l G_l) - S_ij(y))^2        for example i
    predsim:  L_l = p pred + (1 - p) sim
    s_l = phi'(a_l) * dL_l/dh_l,    dW_l = (1/B) h_{l-1}^T s_l,    in the last layer L_L = L(h_L, y)
h_l, a_l: [B, n_l] output and current of layer l;  s_l: [B, n_l] teaching signal at the current;
phi_L: the output neurons of the net without their noise, since L takes their outputs;
S(u): [B, B] cosines between the rows of u, after subtracting the mean of each row;
A_l: [n_l, C], c_l: [C], G_l: [n_l, n_l] heads, which learn by descent on the same L_l.
The derivative by h_l passes the weights of the head backwards, one step.

Nokland and Eidnes, "Training Neural Networks with Local Error Signals", 2019, arXiv:1901.06656.
Their MNIST net: 784-1024-1024-1024-10 with batch normalisation, leaky ReLU (pred: ReLU) and dropout
0.1, Adam 5e-4 for the heads too, batch 128, p = 0.01.
Departures: behind a convolution A_l reads all positions (theirs pools them to 4096 features at
most), and G_l [channels, channels] is shared by all positions (theirs is a 3x3 convolution); S sees
the standard deviation over positions, after G_l, of more than 3 channels. The noise of the neurons
reaches the head (their dropout comes after it). No batch normalisation. A_l starts at zero, G_l
uniform in +-1 / sqrt(n_l).
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from bioplaus.entry import check_classes, learning_rule
from bioplaus.hyper import Probability
from bioplaus.local import error_of, gates_of, pull, signals_of, spread, through
from bioplaus.net import current_shapes, fire, forward, layer_key, noise_mode, predictor
from bioplaus.salts import HEADS
from bioplaus.types import Array, Info, Key, Loss, Net, OptimiserOf, PerLayer, PyTree, Rule

ADAM = optax.adam(2e-3)


class State(NamedTuple):
    """heads: for each hidden layer a tuple of its heads' weights. opt: the state of `tx`."""

    heads: PerLayer
    opt: Annotated[Any, OptimiserOf(lambda state: state.heads)]


class Head(NamedTuple):
    """init: (key, shape and dtype of h, classes) -> weights.

    read: (weights, h) -> u, linear in both. loss: (u, y) -> [B].
    """

    init: Callable[[Key, jax.ShapeDtypeStruct, int], PyTree]
    read: Callable[[PyTree, Array], Array]
    loss: Loss


@learning_rule
def local_prediction(net: Net, loss: Loss, *, tx: optax.GradientTransformation = ADAM) -> Rule:
    """Prediction heads: backprop on a net of one layer.

    tx: optimiser of the heads; give the one that trains the net.

    Cost, in the letters of docs/rules.md: F forward, F update, and C sum_l n_l over hidden layers
    each forward, as credit and to learn the heads, instead of X.
    """
    return _rule(net, loss, tx, (_prediction(net, loss, 1.0),))


@learning_rule
def local_similarity(net: Net, loss: Loss, *, tx: optax.GradientTransformation = ADAM) -> Rule:
    """Similarity heads: examples of a class should look alike in every layer, and others not.

    tx: optimiser of the heads; give the one that trains the net. A batch needs two examples or
    more.

    Cost, in the letters of docs/rules.md: F forward, F update, and for each hidden layer n_l^2 each
    forward, as credit and to learn the head; cosines take 3 B n_l.
    """
    return _rule(net, loss, tx, (_matching(1.0),))


@learning_rule
def local_losses(
    net: Net, loss: Loss, *, tx: optax.GradientTransformation = ADAM, prediction: Probability = 0.01
) -> Rule:
    """Both heads (predsim), at the costs of both.

    prediction: p, the weight of the prediction loss; the similarity loss has 1 - p.
    """
    return _rule(
        net, loss, tx, (_prediction(net, loss, prediction), _matching(1 - jnp.asarray(prediction)))
    )


def _prediction(net: Net, loss: Loss, weight: ArrayLike) -> Head:
    def init(key, h, classes):
        del key
        w = jnp.zeros((h.size // h.shape[0], classes), h.dtype)
        return {"w": w, "b": jnp.zeros(classes, h.dtype)}

    def read(p, h):
        return h.reshape(h.shape[0], -1) @ p["w"] + p["b"]

    last = noise_mode(net[-1:], "off")[0]
    return Head(
        init, read, lambda u, y: jnp.asarray(weight) * loss(fire(last, u, jax.random.key(0)), y)
    )


def _matching(weight: ArrayLike) -> Head:
    def pairs(h):
        if h.shape[0] < 2:
            raise ValueError("local similarity: got a batch of one example; give two or more")

    def init(key, h, classes):
        del classes
        pairs(h)
        n = h.shape[-1]
        return {"w": jax.random.uniform(key, (n, n), h.dtype, -1, 1) / n**0.5}

    def read(p, h):
        return h @ p["w"]

    def loss(u, y):
        pairs(u)
        check_classes("local similarity", y)
        return jnp.asarray(weight) * jnp.mean((_cosines(u) - _cosines(y)) ** 2, -1)

    return Head(init, read, loss)


def _cosines(u: Array) -> Array:
    """S [B, B]; 0 for an example that does not vary."""

    def root(a):  # the square root, with the derivative 0 at 0
        return jnp.where(a > 0, jnp.sqrt(jnp.where(a > 0, a, 1)), 0)

    channels = u.shape[-1]
    u = u.reshape(len(u), -1, channels)
    u = root(u.var(1)) if u.shape[1] > 1 and channels > 3 else u.reshape(len(u), -1)
    u = u - u.mean(-1, keepdims=True)
    norm = root((u**2).sum(-1, keepdims=True))
    u = u / jnp.where(norm > 0, norm, 1)
    return u @ u.T


def _rule(net: Net, loss: Loss, tx: optax.GradientTransformation, parts: tuple[Head, ...]) -> Rule:
    def init(key, params, batch):
        *hidden, last = current_shapes(net, params, batch, key)
        subkey = jax.random.fold_in(key, HEADS)
        heads = tuple(
            tuple(
                part.init(jax.random.fold_in(layer_key(subkey, l), i), h, last.shape[-1])
                for i, part in enumerate(parts)
            )
            for l, h in enumerate(hidden)
        )
        return State(heads, tx.init(heads))

    def teach(heads, h, y, gate):
        """dL_l/dh_l per example, and the gradients of a layer's heads."""
        taught, grads = jnp.zeros_like(h), []
        # The units of heads are not those of the layer: they get one gate per example, its mean.
        gate = spread(gate, h).reshape(len(h), -1).mean(-1)
        for part, p in zip(parts, heads, strict=True):
            with jax.named_scope("forward"):
                u = part.read(p, h)
            error = error_of(part.loss, u, y)[1]
            with jax.named_scope("credit"), jax.named_scope("feedback"):
                taught += jax.vjp(lambda h, part=part, p=p: part.read(p, h), h)[1](error)[0]
            with jax.named_scope("auxiliary"):
                gated = error * spread(gate, error) / len(h)
                grads.append(jax.vjp(lambda p, part=part: part.read(p, h), p)[1](gated)[0])
        return taught, tuple(grads)

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
                taught, slope = teach(state.heads[l], trace.inputs[l + 1], batch.y, gates[l])
                slopes.append(slope)
            signal = through(layer, trace.currents[l], k, taught)
            grads.append(pull(layer, params[l], trace.inputs[l], k, signal, gates[l]))
        with jax.named_scope("auxiliary"):
            updates, opt = tx.update(tuple(slopes), state.opt, state.heads)
            heads = optax.apply_updates(state.heads, updates)
        return tuple(grads), State(heads, opt), Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))
