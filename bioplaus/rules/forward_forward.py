"""Forward-forward: hidden layers are active for inputs with right labels, and quiet for wrong ones.

    h_l = phi(n(h_{l-1}) W_l),    n(h) = h / rms(h)
    h_0 = x with the label in its first C features
    g_l = sum_j h_lj^2,    z = g_l - theta n_l,    L_l = 1/2 (softplus(-z+) + softplus(z-))
    s_l = phi'(a_l) * dL_l/dh_l,    dW_l = (1/B) (n(h_{l-1}+)^T s_l+ + n(h_{l-1}-)^T s_l-)
As an option (peer normalisation):  s_l+ += lambda (r_l - mean r_l),    r_lj = (1/B) sum_b h_bj+
+ and -: the same image with the right label and with a wrong one;  h_l: [B, n_l] outputs;  a_l:
[B, n_l] currents;  phi: neurons;  s_l: [B, n_l] teaching signal at the current;  g_l, z: [B]
goodness, and goodness relative to its threshold;  theta: goodness per unit at which a layer is
undecided;  rms: root mean square over units;  lambda: strength of the peer normalisation.
Layers receive normalised inputs, because a layer could otherwise read the goodness of the layer
below from their length. The answer to x is, for each label, the goodness of all hidden layers but
the first (of the first if it is alone). The last layer of the net is a readout: it learns by
descent on the usual loss from a third pass, with all labels at 1/C, and no error leaves it. Its
answer needs no pass for each label; info['loss'] and gates use it.
Over time the label stands at all moments, n(h) is taken at each moment, and goodness is that of the
mean over moments, such as the rates of spikes. So a unit learns at moments too at which it does not
fire.

Hinton, "The Forward-Forward Algorithm: Some Preliminary Investigations", 2022, arXiv:2212.13345.
His Matlab code (https://www.cs.toronto.edu/~hinton/; 1.47 % test error on MNIST):
784-1000-1000-1000 ReLU, theta 1, label strength 1, hardness 1, lambda 0.03, W ~ N(0, 1 / n_{l-1}),
smoothed gradients, which are momentum 0.9 at rate 1e-3 (readout: 1e-2). A public version with
1.45 % (https://github.com/loeweX/Forward-Forward) has hardness 0.
Departures: the readout sees the last hidden layer only (there: all but the first); r_l is the mean
of this batch (there: a running mean).
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import logit

from bioplaus.entry import check_classes, learning_rule
from bioplaus.hyper import NonNegative, Positive, Real
from bioplaus.local import error_of, gates_of, pull, signals_of, spread, through
from bioplaus.net import Trace, check_depth, layer_key, play
from bioplaus.outputs import declared_by
from bioplaus.rules.shared.over_time import OTHER_EXAMPLES, SEQUENCES
from bioplaus.salts import NEGATIVES
from bioplaus.types import Array, Info, Key, Layer, Loss, Net, PyTree, Rule


def drawn(key: Key, y: Array, logits: Array) -> Array:
    """A wrong label for each example, one-hot, drawn with probabilities softmax(logits)."""
    right = y == y.max(-1, keepdims=True)
    return jax.nn.one_hot(
        jax.random.categorical(key, jnp.where(right, -jnp.inf, logits)), y.shape[-1], dtype=y.dtype
    )


@learning_rule(time=SEQUENCES, context=OTHER_EXAMPLES)
def forward_forward(
    net: Net,
    loss: Loss,
    *,
    theta: Real = 0.2,
    strength: Positive = 1.0,
    hardness: NonNegative | None = None,
    peers: NonNegative | None = None,
    negatives=drawn,
) -> Rule:
    """Each hidden layer learns from its own goodness: nothing travels back.

    theta: goodness per unit at which a layer is undecided, in units of its squared output.
    strength: value of the label, in units of the input.
    hardness: of the wrong labels. At 1 each wrong label is drawn with the probability that the
    readout gives it; None draws all alike.
    peers: lambda, which pulls each unit's mean activity to its layer's mean, and so wakes silent
    units; None: no pull.
    negatives: (key, y, hardness times the readout's logits, or 0) -> wrong labels [B, C].

    Cost, in the letters of docs/rules.md: 2H + F forward, no credit, F + H update. An answer takes
    C H.
    """
    if len(net) < 2:
        raise ValueError(
            "forward_forward: the net has no hidden layer, and answers are the goodness of hidden"
            " layers; give it one or more"
        )

    def overlaid(x: Array, label: Array) -> Array:
        check_classes("forward_forward", label)
        lead = x.shape[: 1 if net[0].time is None else 2]
        flat, classes = x.reshape(*lead, -1), label.shape[-1]
        if not jnp.issubdtype(x.dtype, jnp.inexact):
            raise ValueError(
                "forward_forward writes labels into inputs, which must be real numbers, not"
                f" {x.dtype}: embed ids first"
            )
        if flat.shape[-1] < classes:
            raise ValueError(
                f"forward_forward: an input of {flat.shape[-1]} features has no room for the label"
                f" of {classes} classes"
            )
        if len(lead) > 1:  # the label stands at all moments
            label = label[:, None]
        return flat.at[..., :classes].set(strength * label).reshape(x.shape)

    def respond(params: PyTree, x: Array, key: Key, layers: int) -> Trace:
        """The first `layers` layers, with normalised inputs."""
        check_depth(net, params)
        inputs, played = [], []
        with jax.named_scope("forward"):
            for l, layer in enumerate(net[:layers]):
                first = 1 if net[max(l - 1, 0)].time is None else 2  # over time, at each moment
                inputs.append(_unit(x, first))
                played.append(play(layer, params[l], None, inputs[-1], layer_key(key, l)))
                x = played[-1].output
        heard, currents, outputs, _ = zip(*played, strict=True)
        return Trace(tuple(inputs), currents, outputs, heard)

    def init(key, params, batch):
        del key, params
        overlaid(batch.x, batch.y)  # raises ValueError if the input has no room for the label
        return ()

    def grad(params, state, batch, key, gate=None):
        x, y = batch.x, batch.y
        neutral = overlaid(x, jnp.full_like(y, 1 / y.shape[-1]))
        trace = respond(params, neutral, key, len(net))
        losses, error = error_of(loss, trace.output, y)
        signals = signals_of(loss, losses, trace.output, y)
        gates, last = gates_of(gate, signals, len(net)), len(net) - 1
        logits = (
            jnp.zeros_like(trace.output)
            if hardness is None
            else hardness * _logits(loss, trace.output)
        )
        wrong = negatives(jax.random.fold_in(key, NEGATIVES), y, logits)
        size, label = len(x), jnp.concatenate([y, wrong])
        sign = jnp.repeat(jnp.array([1.0, -1.0], x.dtype), size)
        # Both labels in one batch, with separate noise: one product of twice the size is faster
        # than two.
        pairs = respond(params, overlaid(jnp.concatenate([x, x]), label), key, last)
        grads = []
        for l, (layer, output) in enumerate(zip(net, pairs.outputs, strict=False)):
            k = layer_key(key, l)
            h = _rates(layer, output)
            with jax.named_scope("credit"):
                z = _goodness(h) - theta * h[0].size
                slope = -(sign * jax.nn.sigmoid(-sign * z)).reshape(-1, *(1,) * (h.ndim - 1)) * h
            signal = through(layer, pairs.currents[l], k, _to_moments(layer, output, slope))
            if peers is not None:
                with jax.named_scope("credit"):
                    active = h[:size].mean(0)
                    drawn_in = jnp.broadcast_to(peers * (active - active.mean()), h[:size].shape)
                    signal = signal.at[:size].add(_to_moments(layer, output[:size], drawn_in))
            both = (
                None if gates[l] is None else jnp.concatenate([spread(gates[l], signal[:size])] * 2)
            )
            # `pull` takes the mean over 2B rows, and the sum over both labels is wanted.
            heard = pairs.heard[l]
            grads.append(pull(layer, params[l], pairs.inputs[l], k, 2 * signal, both, heard))
        signal = through(net[last], trace.currents[last], layer_key(key, last), error)
        readout = pull(
            net[last], params[last], trace.inputs[last], layer_key(key, last), signal, gates[last]
        )
        return (*grads, readout), state, Info(loss=losses.mean(), signals=signals)

    def predict(params, state, x, key, context=()):
        del state, context
        classes = jax.eval_shape(lambda: respond(params, x, key, len(net)).output).shape[-1]

        def score(label):
            labelled = overlaid(x, jnp.broadcast_to(label, (len(x), classes)))
            outputs = respond(params, labelled, key, len(net) - 1).outputs
            good = [_goodness(_rates(layer, h)) for layer, h in zip(net, outputs, strict=False)]
            return jnp.stack(good[1:] or good).sum(0)

        return jax.vmap(score, out_axes=1)(jnp.eye(classes, dtype=x.dtype))

    return Rule(init, grad, predict)


def _logits(loss: Loss, output: Array) -> Array:
    """The readout's logits up to a constant: log odds of probabilities, other outputs unchanged."""
    tiny = float(jnp.finfo(output.dtype).eps)
    return (
        logit(jnp.clip(output, tiny, 1 - tiny)) if declared_by(loss) == "probabilities" else output
    )


def _unit(h: Array, first: int) -> Array:
    """n(h): h divided by its root mean square over the axes from the first one of units on."""
    return h * jax.lax.rsqrt((h**2).mean(tuple(range(first, h.ndim)), keepdims=True) + 1e-12)


def _rates(layer: Layer, h: Array) -> Array:
    """The outputs of a layer, over time their mean over moments."""
    return h if layer.time is None else h.mean(1)


def _to_moments(layer: Layer, h: Array, signal: Array) -> Array:
    """A signal at the rates, at all moments of h."""
    return jax.vjp(lambda h: _rates(layer, h), h)[1](signal)[0]


def _goodness(h: Array) -> Array:
    return (h**2).sum(tuple(range(1, h.ndim)))
