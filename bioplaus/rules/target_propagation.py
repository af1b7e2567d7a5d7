"""Target propagation: each layer moves towards a target that learned inverses of the layers above send down.

    t_L = h_L - eta e,    t_l = h_l + g_l(t_{l+1}) - g_l(h_{l+1}),    g_l(u) = phi_l(u B_{l+1}^T + c_l)
    s_l = phi'(a_l) * (h_l - t_l) / eta,    dW_l = (1/B) h_{l-1}^T s_l
e = dL/dh_L: [B, C];  h_l, t_l, a_l, s_l: [B, n_l];  B_l: the shape of W_l, drawn as W_l is;  c_l: [n_l], zero at first.
Vanilla target propagation lacks the difference: t_l = g_l(t_{l+1}). Then g_l learns, at fixed W, by descent in (B_{l+1}, c_l):
    tp, dtp:  R_l = 1/2 |g_l(f(h~)) - h~|^2,    h~ = h_l + sigma xi,    f = f_{l+1}
    drl:      R_l = 1/(2 sigma^2) |h_l + g_l(t~) - g_l(h_{l+1}) - h~|^2,    t~: target of h_{l+1} where t_L = f_L(... f(h~))
    ldrl:     R_l = 1/sigma^2 (-sigma xi . (g_l(f(h~)) - g_l(h_{l+1})) + 1/2 |g_l(h_{l+1} + sigma zeta) - g_l(h_{l+1})|^2)
xi, zeta ~ N(0, 1). At small sigma, dtp inverts f, drl the Jacobian of all layers above, and ldrl transposes that of f.

Lee, Zhang, Fischer, Bengio, "Difference Target Propagation", 2015, arXiv:1412.7525 (tp, dtp).
Meulemans et al., "A Theoretical Framework for Target Propagation", 2020, arXiv:2006.14331 (drl).
Ernoult et al., "Towards Scaling Difference Target Propagation by Learning Backprop Targets", 2022, arXiv:2201.13415 (ldrl).
Departures: s_l is divided by eta, so that the learning rate does not depend on it. The first target is the output's (Lee et
al.: that of the last hidden layer, by its gradient). B_l has the shape of W_l and is crossed as in feedback alignment, then
come the neurons of layer l: so convolutions have inverses too, and pooling is undone at the forward pass's maxima. The inverses
learn on the batch whose targets they have just sent. The damping of drl is left to the weight decay of `tx`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from bioplaus.local import by_vjp, error_of, gates_of, pull, send, signals_of, through
from bioplaus.net import current_shapes, drive, feedback_init, fire, forward, layer_key, predictor
from bioplaus.types import Array, Key, Layer, Loss, Net, PyTree, Rule

ADAM, NORMAL = optax.adam(1e-3), jax.random.normal


class State(NamedTuple):
    """feedback: B_l, one entry a layer, () for the first; bias: c_l, one a hidden layer; opt: the state of `tx`."""

    feedback: PyTree
    bias: tuple[Array, ...]
    opt: Any


class Read(NamedTuple):
    """What an inverse g_l makes of its input u: [B, n_{l+1}], a current and an output [B, n_l]."""

    u: Array
    current: Array
    output: Array


class Path(NamedTuple):
    """Both ways at one state of the weights. h: outputs of all layers; f: (l, h_l) -> h_{l+1}; g: (l, u) -> Read; base: g_l(h_{l+1})."""

    h: tuple[Array, ...]
    f: Callable[[int, Array], Array]
    g: Callable[[int, Array], Read]
    base: tuple[Read, ...]


def difference(path: Path, l: int, above: Array) -> Array:
    """t_l from t_{l+1}. An imperfect inverse still returns h_l where the target above is h_{l+1}."""
    return path.h[l] + path.g(l, above).output - path.base[l].output


def vanilla(path: Path, l: int, above: Array) -> Array:
    """t_l from t_{l+1} by the inverse alone."""
    return path.g(l, above).output


def reconstruction(path: Path, l: int, sigma: ArrayLike, xi: Array, zeta: Array) -> list[tuple[Read, Array]]:
    """g_l inverts f at noisy inputs. A lesson: what g_l has read, and dR_l by its output, for each."""
    del zeta
    noisy = path.h[l] + sigma * xi
    read = path.g(l, path.f(l, noisy))
    return [(read, read.output - noisy)]


def difference_reconstruction(path: Path, l: int, sigma: ArrayLike, xi: Array, zeta: Array) -> list[tuple[Read, Array]]:
    """The targets sent from the output through all inverses reconstruct the noise of layer l; g_l alone learns by it."""
    del zeta
    above = path.h[l] + sigma * xi
    for j in range(l, len(path.base)):
        above = path.f(j, above)
    for j in reversed(range(l + 1, len(path.base))):
        above = difference(path, j, above)
    read, base = path.g(l, above), path.base[l]
    error = (read.output - base.output - sigma * xi) / sigma**2
    return [(read, error), (base, -error)]


def jacobian_matching(path: Path, l: int, sigma: ArrayLike, xi: Array, zeta: Array) -> list[tuple[Read, Array]]:
    """Noise of the input correlates with what comes back, noise of the output is damped: g_l's Jacobian becomes f's transpose."""
    base, read, damped = path.base[l], path.g(l, path.f(l, path.h[l] + sigma * xi)), path.g(l, path.h[l + 1] + sigma * zeta)
    excess = (damped.output - base.output) / sigma**2
    return [(read, -xi / sigma), (damped, excess), (base, xi / sigma - excess)]


def target_propagation(
    net: Net, loss: Loss, *, tx=ADAM, eta: ArrayLike = 0.1, sigma: ArrayLike = 0.1, feedback_steps: int = 1, sample=NORMAL
) -> Rule:
    """Vanilla, a baseline: what the inverses lose is taken for an error. X credit, 3X a feedback step.

    tx: optax transformation that trains the inverses. eta: step to the first target, in units of the outputs. sigma: noise
    that the inverses learn at, in the same units. feedback_steps: steps of `tx` a batch, each at fresh noise.
    sample: (key, shape, dtype) -> noise with mean 0 and variance 1.
    """
    return _rule(net, loss, (tx, eta, sigma, feedback_steps, sample), vanilla, reconstruction)


def difference_target_propagation(
    net: Net, loss: Loss, *, tx=ADAM, eta: ArrayLike = 0.1, sigma: ArrayLike = 0.1, feedback_steps: int = 1, sample=NORMAL
) -> Rule:
    """Gauss-Newton targets at exact inverses, as eta -> 0; not backprop. 2X credit, 3X a feedback step. See `target_propagation`."""
    return _rule(net, loss, (tx, eta, sigma, feedback_steps, sample), difference, reconstruction)


def difference_reconstruction_loss(
    net: Net, loss: Loss, *, tx=ADAM, eta: ArrayLike = 0.1, sigma: ArrayLike = 0.1, feedback_steps: int = 1, sample=NORMAL
) -> Rule:
    """Gauss-Newton targets without exact inverses: g_l learns from a pass to the output and back. See `target_propagation`.

    2X credit; a feedback step costs 3X + 2 sum_l (l - 1) |W_l|.
    """
    return _rule(net, loss, (tx, eta, sigma, feedback_steps, sample), difference, difference_reconstruction)


def local_difference_reconstruction_loss(
    net: Net, loss: Loss, *, tx=ADAM, eta: ArrayLike = 0.1, sigma: ArrayLike = 0.1, feedback_steps: int = 1, sample=NORMAL
) -> Rule:
    """Backprop on a linear net at B = W, where g_l's learning leads. 2X credit, 7X a feedback step. See `target_propagation`."""
    return _rule(net, loss, (tx, eta, sigma, feedback_steps, sample), difference, jacobian_matching)


def _rule(net: Net, loss: Loss, hyper: tuple, down: Callable, lesson: Callable) -> Rule:
    tx, eta, sigma, feedback_steps, sample = hyper
    hidden = range(len(net) - 1)

    def init(key, params, batch):
        feedback = feedback_init(net, key, params, batch.x)
        bias = tuple(jnp.zeros(a.shape[1:], a.dtype) for a in current_shapes(net, params, batch, key)[:-1])
        return State(feedback, bias, tx.init(tuple(zip(feedback[1:], bias, strict=True))))

    def grad(params, state, batch, key, gate=None):
        k = [layer_key(key, l) for l in range(len(net))]
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(losses, trace.output, batch.y)
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
                path, noise, slopes = path_at(own), jax.random.fold_in(jax.random.fold_in(key, 0x7A6), step), []
                for l in hidden:
                    xi, zeta = (sample(layer_key(noise, l + i * len(net)), h[l + i].shape, h[l].dtype) for i in (0, 1))
                    parts = []
                    for read, e in lesson(path, l, sigma, xi, zeta):
                        signal = through(inverses[l], read.current, k[l], e)
                        parts.append(pull(inverses[l], own[l], read.u, k[l], signal, gates[l]))
                    slopes.append(jax.tree.map(lambda *g: sum(g), *parts))
                updates, opt = tx.update(tuple(slopes), opt, own)
                own = jax.tree.map(jnp.add, own, updates)
        state = State(((), *(weights for weights, _ in own)), tuple(bias for _, bias in own), opt)
        return tuple(grads), state, {"loss": losses.mean(), "signals": signals}

    return Rule(init, grad, predictor(net))


def _inverse(below: Layer, above: Layer, params: PyTree, x: Array, key: Key) -> Layer:
    """g_l as a layer with parameters (B_{l+1}, c_l): the neurons of layer l behind the transposed synapses of layer l + 1."""

    def synapse(own, state, u, _):
        return state, send(above, params, own[0], x, key, u) + own[1]

    return below._replace(synapse=synapse, credit=by_vjp(synapse))
