"""Learned inverses: targets that travel down through them, layer by layer; shared by the rules of
target propagation.

    t_L = h_L - eta e,    t_l = h_l + g_l(t_{l+1}) - g_l(h_{l+1}),
        g_l(u) = phi_l(u B_{l+1}^T + c_l)
    s_l = phi'(a_l) * (h_l - t_l) / eta,    dW_l = (1/B) h_{l-1}^T s_l
e = dL/dh_L: [B, C];  h_l, t_l, a_l, s_l: [B, n_l];  B_l: the shape of W_l, drawn as W_l is;
c_l: [n_l], zero at first.
The rules differ in the way down, and in what g_l learns: see `targets`.

Lee, Zhang, Fischer, Bengio, "Difference Target Propagation", 2015, arXiv:1412.7525.
Departures: s_l is divided by eta, so that the learning rate does not depend on it. B_l has the
shape of W_l and is crossed as in feedback alignment, then come the neurons of layer l: so
convolutions have inverses too, and pooling is undone at the forward pass's maxima. The inverses
learn on the batch whose targets they have just sent.
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from bioplaus.local import by_vjp, error_of, gates_of, pull, send, signals_of, through
from bioplaus.net import current_shapes, drive, feedback_init, fire, forward, layer_key, predictor
from bioplaus.salts import INVERSES
from bioplaus.types import Array, Info, Key, Layer, Loss, Net, OptimiserOf, PerLayer, PyTree, Rule

ADAM, NORMAL = optax.adam(1e-3), jax.random.normal


class State(NamedTuple):
    """feedback: B_l, one entry a layer, () for the first; bias: c_l, one a hidden layer; opt: the
    state of `tx`.
    """

    feedback: PerLayer
    bias: PerLayer
    opt: Annotated[
        Any, OptimiserOf(lambda state: tuple(zip(state.feedback[1:], state.bias, strict=True)))
    ]


class Read(NamedTuple):
    """What an inverse g_l makes of its input u: [B, n_{l+1}], a current and an output [B, n_l]."""

    u: Array
    current: Array
    output: Array


class Path(NamedTuple):
    """Both ways at one state of the weights. h: outputs of all layers; f: (l, h_l) -> h_{l+1}; g:
    (l, u) -> Read; base: g_l(h_{l+1}).
    """

    h: tuple[Array, ...]
    f: Callable[[int, Array], Array]
    g: Callable[[int, Array], Read]
    base: tuple[Read, ...]


def difference(path: Path, l: int, above: Array) -> Array:
    """t_l from t_{l+1}. An imperfect inverse still returns h_l where the target above is
    h_{l+1}.
    """
    return path.h[l] + path.g(l, above).output - path.base[l].output


Lesson = Callable[[Path, int, ArrayLike, Array, Array], list[tuple[Read, Array]]]
"""(path, l, sigma, xi, zeta) -> what g_l has read, and dR_l by its output, for each. xi, zeta ~
N(0, 1), as h_l and h_{l+1}.
"""


def targets(
    net: Net,
    loss: Loss,
    down: Callable[[Path, int, Array], Array],
    lesson: Lesson,
    tx: optax.GradientTransformation,
    eta: ArrayLike,
    sigma: ArrayLike,
    feedback_steps: int,
    sample: Callable[..., Array],
) -> Rule:
    """A rule that learns by targets. down: (path, l, t_{l+1}) -> t_l; lesson: how the inverses
    learn.

    tx: optax transformation that trains the inverses. eta: step to the first target, in units of
    the outputs. sigma: noise that the inverses learn at, in the same units. feedback_steps: steps
    of `tx` a batch, each at fresh noise. sample: (key, shape, dtype) -> noise with mean 0 and
    variance 1.
    """
    hidden = range(len(net) - 1)

    def init(key, params, batch):
        feedback = ((), *feedback_init(net, key, params, batch.x)[1:])
        bias = tuple(
            jnp.zeros(a.shape[1:], a.dtype) for a in current_shapes(net, params, batch, key)[:-1]
        )
        return State(feedback, bias, tx.init(tuple(zip(feedback[1:], bias, strict=True))))

    def grad(params, state, batch, key, gate=None):
        k = [layer_key(key, l) for l in range(len(net))]
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))
        h = (*trace.inputs[1:], trace.output)
        inverses = [_inverse(net[l], net[l + 1], params[l + 1], h[l], k[l + 1]) for l in hidden]

        def f(l, x):
            return fire(net[l + 1], drive(net[l + 1], params[l + 1], x, k[l + 1]), k[l + 1])

        def path_at(own):
            def g(l, u):
                current = drive(inverses[l], own[l], u, k[l])
                return Read(u, current, fire(inverses[l], current, k[l]))

            return Path(h, f, g, tuple(g(l, h[l + 1]) for l in hidden))

        own, opt = tuple(zip(state.feedback[1:], state.bias, strict=True)), state.opt
        with jax.named_scope("credit"):
            path, target, taught = path_at(own), h[-1] - eta * error, [error]
            for l in reversed(hidden):
                target = down(path, l, target)
                taught.insert(0, (h[l] - target) / eta)
        grads = []
        for l, layer in enumerate(net):
            signal = through(layer, trace.currents[l], k[l], taught[l])
            grads.append(pull(layer, params[l], trace.inputs[l], k[l], signal, gates[l]))

        with jax.named_scope("auxiliary"):
            for step in range(feedback_steps):  # not a scan, which would be taken for settling
                path, noise, slopes = (
                    path_at(own),
                    jax.random.fold_in(jax.random.fold_in(key, INVERSES), step),
                    [],
                )
                for l in hidden:
                    xi, zeta = (
                        sample(
                            jax.random.fold_in(noise, l + i * len(net)), h[l + i].shape, h[l].dtype
                        )
                        for i in (0, 1)
                    )
                    parts = []
                    for read, e in lesson(path, l, sigma, xi, zeta):
                        signal = through(inverses[l], read.current, k[l], e)
                        parts.append(pull(inverses[l], own[l], read.u, k[l], signal, gates[l]))
                    slopes.append(jax.tree.map(lambda *g: sum(g), *parts))
                updates, opt = tx.update(tuple(slopes), opt, own)
                own = jax.tree.map(jnp.add, own, updates)
        state = State(((), *(weights for weights, _ in own)), tuple(bias for _, bias in own), opt)
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))


def _inverse(below: Layer, above: Layer, params: PyTree, x: Array, key: Key) -> Layer:
    """g_l as a layer with parameters (B_{l+1}, c_l): the neurons of layer l behind the transposed
    synapses of layer l + 1.
    """

    def synapse(own, state, u, _):
        return state, send(above, params, own[0], x, key, u) + own[1]

    return below._replace(synapse=synapse, credit=by_vjp(synapse))
