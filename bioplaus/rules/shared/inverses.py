"""Target propagation: targets that travel down through learned inverses, layer by layer.

    t_L = h_L - eta e,    t_l = h_l + g_l(t_{l+1}) - g_l(h_{l+1})
    g_l(u) = phi_l(u B_{l+1}^T + c_l)
    s_l = phi'(a_l) * (h_l - t_l) / eta,    dW_l = (1/B) h_{l-1}^T s_l
h_l, a_l: [B, n_l] output and current of layer l;  t_l: [B, n_l] its target;  e: [B, C] = dL/dh_L;
eta: step size of the first target;  s_l: [B, n_l] teaching signal at the current;  g_l: the inverse
of layer l + 1, with weights B_{l+1} of the shape of W_{l+1}, drawn as W_{l+1} is, and biases c_l:
[n_l], zero at first;  phi_l: the neurons of layer l.
The rules differ in how a target is passed down, and in the loss by which g_l learns: `targets`
takes both.

Lee, Zhang, Fischer, Bengio, "Difference Target Propagation", 2015, arXiv:1412.7525.
Departures: s_l is divided by eta, so that the learning rate does not depend on it. B_l has the
shape of W_l, and errors cross it as in feedback alignment, followed by the neurons of layer l: so
convolutions have inverses too, and pooling is undone at the maxima of the forward pass. The
inverses learn on the same batch whose targets they have just sent, afterwards.
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from bioplaus.local import by_vjp, error_of, gates_of, pull, send, signals_of, through
from bioplaus.net import drive, feedback_init, fire, forward, layer_key, predictor
from bioplaus.pools import moment_shapes
from bioplaus.salts import INVERSES
from bioplaus.types import (
    Array,
    Feedback,
    Info,
    Key,
    Layer,
    Loss,
    Net,
    OptimiserOf,
    PerLayer,
    PyTree,
    Rule,
)

ADAM, NORMAL = optax.adam(1e-3), jax.random.normal


class State(NamedTuple):
    """The weights of the inverses.

    feedback: B_l for each layer, () for the first. bias: c_l for each hidden layer. opt: the state
    of `tx`.
    """

    feedback: Feedback
    bias: PerLayer
    opt: Annotated[
        Any, OptimiserOf(lambda state: tuple(zip(state.feedback[1:], state.bias, strict=True)))
    ]


class InverseOutput(NamedTuple):
    """g_l at its input u: [B, n_{l+1}], with the current and the output that follow, [B, n_l]."""

    u: Array
    current: Array
    output: Array


class LayerMaps(NamedTuple):
    """The layers and their inverses at one state of the weights.

    h: the outputs h_l of all layers. f: (l, h_l) -> h_{l+1}. g: (l, u) -> InverseOutput. base:
    g_l(h_{l+1}) for each hidden layer.
    """

    h: tuple[Array, ...]
    f: Callable[[int, Array], Array]
    g: Callable[[int, Array], InverseOutput]
    base: tuple[InverseOutput, ...]


def difference(maps: LayerMaps, l: int, above: Array) -> Array:
    """t_l from t_{l+1} = above. If that is h_{l+1}, then t_l is h_l, however bad the inverse."""
    return maps.h[l] + maps.g(l, above).output - maps.base[l].output


InverseLoss = Callable[[LayerMaps, int, ArrayLike, Array, Array], list[tuple[InverseOutput, Array]]]
"""The loss R_l of an inverse, by its derivatives: (maps, l, sigma, xi, zeta) -> a list of pairs
(value of g_l, dR_l by its output). xi, zeta ~ N(0, 1) have the shapes of h_l and h_{l+1}.
"""


def targets(
    net: Net,
    loss: Loss,
    down: Callable[[LayerMaps, int, Array], Array],
    inverse_loss: InverseLoss,
    tx: optax.GradientTransformation,
    eta: ArrayLike,
    sigma: ArrayLike,
    feedback_steps: int,
    sample: Callable[..., Array],
) -> Rule:
    """A rule that learns from targets.

    down: (maps, l, t_{l+1}) -> t_l. inverse_loss: what the inverses learn.
    tx: optimiser of the inverses. eta: step size of the first target, in units of the outputs.
    sigma: noise at which the inverses learn, in the same units. feedback_steps: steps of `tx` for
    each batch, each at new noise. sample: (key, shape, dtype) -> noise with mean 0 and variance 1.
    """
    hidden = range(len(net) - 1)

    def init(key, params, batch):
        feedback = ((), *feedback_init(net, key, params, batch.x)[1:])
        bias = tuple(
            jnp.zeros(a.shape[1:], a.dtype) for a in moment_shapes(net, params, batch, key)[:-1]
        )
        return State(feedback, bias, tx.init(tuple(zip(feedback[1:], bias, strict=True))))

    def gradients_of_inverses(maps, inverses, weights, k, key, gates):
        grads = []
        for l in hidden:
            xi, zeta = (
                sample(
                    jax.random.fold_in(key, l + i * len(net)), maps.h[l + i].shape, maps.h[l].dtype
                )
                for i in (0, 1)
            )
            parts = []
            for rebuilt, e in inverse_loss(maps, l, sigma, xi, zeta):
                signal = through(inverses[l], rebuilt.current, k[l], e)
                parts.append(pull(inverses[l], weights[l], rebuilt.u, k[l], signal, gates[l]))
            grads.append(jax.tree.map(lambda *g: sum(g), *parts))
        return tuple(grads)

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

        def maps_at(weights):
            def g(l, u):
                current = inverses[l].synapse(weights[l], (), u, k[l])[1]
                return InverseOutput(u, current, fire(inverses[l], current, k[l]))

            return LayerMaps(h, f, g, tuple(g(l, h[l + 1]) for l in hidden))

        weights, opt = tuple(zip(state.feedback[1:], state.bias, strict=True)), state.opt
        with jax.named_scope("credit"):
            maps, target, taught = maps_at(weights), h[-1] - eta * error, [error]
            for l in reversed(hidden):
                target = down(maps, l, target)
                taught.insert(0, (h[l] - target) / eta)
        grads = []
        for l, layer in enumerate(net):
            signal = through(layer, trace.currents[l], k[l], taught[l])
            grads.append(pull(layer, params[l], trace.inputs[l], k[l], signal, gates[l]))

        with jax.named_scope("auxiliary"):
            for step in range(feedback_steps):  # a scan would be measured as settling
                noise = jax.random.fold_in(jax.random.fold_in(key, INVERSES), step)
                inverse_grads = gradients_of_inverses(
                    maps_at(weights), inverses, weights, k, noise, gates
                )
                updates, opt = tx.update(inverse_grads, opt, weights)
                weights = jax.tree.map(jnp.add, weights, updates)
        state = State(((), *(b for b, _ in weights)), tuple(c for _, c in weights), opt)
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))


def _inverse(below: Layer, above: Layer, params: PyTree, x: Array, key: Key) -> Layer:
    """g_l as a layer with parameters (B_{l+1}, c_l).

    It has the transposed synapses of layer l + 1 (`above`) and the neurons of layer l (`below`).
    params, x, key: of layer l + 1, with its input in the forward pass.
    """

    def synapse(weights, state, u, _):
        return state, send(above, params, weights[0], x, key, u) + weights[1]

    return below._replace(synapse=synapse, credit=by_vjp(synapse))
