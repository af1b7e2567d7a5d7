"""Differentiable plasticity: synapses with a Hebbian part that changes while a sequence runs.

    current = x (w + alpha * H) + b,    h = phi(current)
    H <- (1 - eta) H + eta x^T h                               plastic(n)
    H <- clip(H + M * (x^T h), -1, 1),    M = m tanh(h u)      plastic(n, modulated=True)
x: [B, n_in] input of a moment;  phi: neurons;  h: [B, n] what they send at this current;  H: [B,
n_in, n] Hebbian trace of each example, 0 at rest;  w, alpha: [n_in, n], b: [n] weights, plasticity
and biases;  eta: [] rate of the trace;  M: [B, n] how much is written, which the layer itself
decides by its outputs, through u, m: [n]. All but H are params and learn from many sequences, by
the rule that trains the layer. H is what it remembers of one sequence.

Miconi, Clune, Stanley, "Differentiable plasticity: training plastic neural networks with
backpropagation", 2018, arXiv:1804.02464. Modulated: Miconi, Rawal, Clune, Stanley, "Backpropamine:
training self-modifying neural networks with differentiable neuromodulated plasticity", 2019,
arXiv:2002.10585 (simple neuromodulation). Departures: h answers to the current of these synapses
alone, and not to what other synapses of a recurrent layer add; M is read from the outputs of the
layer itself, where there a unit of the net has it. Errors pass these synapses by the vjp of all
moments of H, backprop through time inside of the layer; with feedback weights B their way to the
input is that through the same synapses made of B.
"""

import jax
import jax.numpy as jnp

from bioplaus.checks import of_neurons
from bioplaus.hyper import Probability, declared
from bioplaus.layers.basic import Initializer, real, settling
from bioplaus.local import by_vjp
from bioplaus.neurons import tanh
from bioplaus.types import Array, Layer, Neuron


@declared
def plastic(
    n: int,
    neuron: Neuron | None = None,
    *,
    eta: Probability = 0.1,
    modulated: bool = False,
    weights: Initializer = settling,
) -> Layer:
    """n units behind plastic synapses, for `over_time` and `recurrent`. State: H [B, n_in, n].

    neuron: without a state; tanh unless given. eta: rate of the trace per moment at first; params
    hold it. modulated: whether the layer decides by its outputs what is written into H; it then has
    no eta. weights: initialiser of w; alpha, u and m are drawn from N(0, 0.01^2), and b is 0.

        over_time(plastic(20, tanh()))
        recurrent(plastic(20, tanh(), modulated=True), dense(20))

    Raises ValueError for neurons with a state, for inputs other than [B, n_in] at each moment, and
    where the layer runs without time.
    """
    neuron = tanh() if neuron is None else neuron
    of_neurons("plastic", neuron)
    _without_state(neuron)
    still = neuron.off or neuron  # noise of outputs is not written into the trace

    def init(key, x):
        _check_input(x)
        k_w, k_alpha, k_u, k_m = jax.random.split(key, 4)
        params = {
            "w": weights(k_w, (x.shape[-1], n), x.dtype),
            "alpha": 0.01 * jax.random.normal(k_alpha, (x.shape[-1], n), x.dtype),
            "b": jnp.zeros(n, x.dtype),
        }
        if not modulated:
            return params | {"eta": jnp.asarray(eta, x.dtype)}
        read, write = (0.01 * jax.random.normal(k, (n,), x.dtype) for k in (k_u, k_m))
        return params | {"u": read, "m": write}

    def rest(params, x):
        return jnp.zeros((len(x), *params["w"].shape), params["w"].dtype)

    def synapse(params, trace, x, key):
        current = x @ params["w"] + params["b"]
        current += jnp.einsum("bi,bij->bj", x, params["alpha"] * trace)
        h = still.step((), current, key)[1]
        pairs = x[:, :, None] * h[:, None]
        if modulated:
            written = jnp.tanh(h @ params["u"])[:, None] * params["m"]
            return jnp.clip(trace + written[:, None] * pairs, -1, 1), current
        return (1 - params["eta"]) * trace + params["eta"] * pairs, current

    return Layer(init, synapse, by_vjp(synapse), neuron, rest=rest)


def _without_state(neuron: Neuron) -> None:
    if jax.tree.leaves(jax.eval_shape(neuron.init, jnp.zeros((1, 1)))):
        raise ValueError(
            "plastic: the neurons have a state, and the trace is of outputs that follow from the"
            " current alone; give a rate neuron, as bp.tanh()"
        )


def _check_input(x: Array) -> None:
    real("plastic", x)
    if x.ndim != 2:
        raise ValueError(
            f"plastic: the input of a moment is {x.shape}, expected [B, n_in]; flatten images"
            " first, flattened(plastic(...))"
        )
