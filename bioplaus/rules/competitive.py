"""Competitive learning: units of a hidden layer compete for inputs, without labels.

    dW_l = (1/B) sum_b s_b (x_b - m - u_b w / R^2)  for each unit,    u = (x - m) W_l
    softhebb:  s = softmax(u / T);  as an option, inhibition by the other units j subtracts
               (inhibition / R^2) sum_j s_b u_bj w_j
    krotov:    s = 1 for the winner, -delta for the unit of rank k, else 0
x: [B, n_{l-1}] input of layer l, m: [n_{l-1}] its running mean;  u: [B, n_l] current minus the
current of the mean input;  w, s: the weights of the unit and its competition factor;  T:
temperature;  R: the length to which weights tend, if s u is positive on average.
`bioplaus.rules.shared.unsupervised` describes the readout, which alone learns from the labels, m
and the biases. Units compete by their currents; what a layer sends on are the outputs of the net's
neurons. The papers' softmax neurons (`neurons.softmax`) are a property of the net, not of the rule.

Moraitis et al., "SoftHebb: Bayesian inference in unsupervised Hebbian soft winner-take-all
networks", 2022, arXiv:2107.05747; Journe et al., "Hebbian Deep Learning Without Feedback", 2023,
arXiv:2209.11883 (losers; learning rates that depend on the norm). Krotov and Hopfield,
"Unsupervised learning by competing hidden units", 2019, arXiv:1806.10181, at p = 2.
Departures: all layers learn at once. Inhibition is not in these papers: it is that of Oja's
subspace rule with s for its linear output (Oja, "The Nonlinear PCA Learning Rule and Signal
Separation - Mathematical Analysis", 1995). R is a hyperparameter in softhebb, where the papers have
1. m replaces the papers' normalisation of a layer's input (averaging = 0 leaves it out);
homeostasis replaces biases, which the papers do not have or learn differently. An update is not
divided by its largest entry, which would mix the examples: that belongs to the optimiser (`largest`
in a study).
The papers use no centring, no biases, R = 1, softmax neurons and large positive initial weights,
and with these settings features beat an equal number of random rectifiers on MNIST in one epoch.
Such weights start near the mean image, a winner's weights shrink, and other units then win. With
zero-mean initial weights of norm 1 a single unit wins every input.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.entry import learning_rule
from bioplaus.hyper import NonNegative, Positive, Probability, Several
from bioplaus.local import spread
from bioplaus.rules.shared.growth import LayerBatch, inhibited, product
from bioplaus.rules.shared.over_time import FEEDFORWARD, ONE_ARRAY
from bioplaus.rules.shared.unsupervised import unsupervised
from bioplaus.types import Array, Loss, Net, PyTree, Rule


def repelling(v: Array) -> Array:
    """Softmax, negative for all but the winner: the losers move away (Journe et al.)."""
    return jax.nn.softmax(v) * jnp.where(v == v.max(-1, keepdims=True), 1, -1)


@learning_rule(time=FEEDFORWARD, context=ONE_ARRAY)
def softhebb(
    net: Net,
    loss: Loss,
    *,
    temperature: Positive = 0.02,
    inhibition: NonNegative | None = None,
    power: NonNegative = 0.5,
    length: Positive = 2.0,
    averaging: Probability = 0.05,
    homeostasis: bool = True,
    competition: Callable[[Array], Array] = jax.nn.softmax,
) -> Rule:
    """Soft competition: units share each input between them; weights tend to length R.

    No layer waits for another, and nothing is sent back.

    temperature: T, in units of the current. length: R. averaging: step size of m. homeostasis:
    whether biases learn.
    inhibition: None is the papers' rule; deep or nearly linear layers then lose directions of small
    variance, because prototypes lie along the first principal components. At 1 (with T = 0.1) a
    unit does not learn again what other units already reconstruct, as in `oja`.
    power: the learning rate of a unit is multiplied by | |w| / R - 1 |^power (0.5 in Journe et al.;
    0 leaves the factor out).
    competition: (u / T) -> s; `repelling` is that of deep nets.

    Cost, in the letters of docs/rules.md: F forward, F update. Inhibition adds n_l^2 for each
    example and n_{l-1} n_l^2 for each batch in each hidden layer l, and reads the weights of other
    units.
    """

    def growth(data, gate):
        def paced(w, g):
            norm = jnp.sqrt((w**2).sum(tuple(range(w.ndim - 1))))
            return g * jnp.abs(norm / length - 1) ** power if w.ndim > 1 else g

        def part(m):
            identity = jnp.eye(len(m), dtype=m.dtype)
            return m * (identity + jnp.asarray(inhibition, m.dtype) * (1 - identity))

        s = competition(data.u / temperature)
        grown = (
            _bounded(data, s, length, gate)
            if inhibition is None
            else inhibited(data, s, part, length, gate)
        )
        return jax.tree.map(paced, data.params, grown)

    return unsupervised(net, loss, growth, averaging, homeostasis)


@learning_rule(time=FEEDFORWARD, context=ONE_ARRAY)
def krotov(
    net: Net,
    loss: Loss,
    *,
    rank: Several = 2,
    delta: NonNegative = 0.05,
    length: Positive = 1.0,
    averaging: Probability = 0.05,
    homeostasis: bool = True,
) -> Rule:
    """Hard competition: the winner moves towards the input, the unit of rank k away from it.

    rank: k. delta: step of the unit of rank k, relative to the winner's. length: R. averaging: step
    size of m. homeostasis: whether biases learn. Raises ValueError for hidden layers of fewer than
    k units.
    """

    def growth(data, gate):
        if not 2 <= rank <= data.u.shape[-1]:
            raise ValueError(
                f"krotov: rank is {rank}; expected 2 to the number of units of a hidden layer,"
                f" {data.u.shape[-1]}"
            )
        units, lower = data.u.shape[-1], data.u
        # Each turn removes the largest. XLA's top_k would sort all units, which takes as long as
        # the matrix products.
        for _ in range(rank - 1):
            lower = jnp.where(jax.nn.one_hot(lower.argmax(-1), units, dtype=bool), -jnp.inf, lower)
        s = jnp.where(data.u == lower.max(-1, keepdims=True), -jnp.asarray(delta, data.u.dtype), 0)
        return _bounded(
            data, jnp.where(data.u == data.u.max(-1, keepdims=True), 1, s), length, gate
        )

    return unsupervised(net, loss, growth, averaging, homeostasis)


def _bounded(data: LayerBatch, s: Array, length: ArrayLike, gate) -> PyTree:
    """(1/B) sum_b g_b s_b (x_b - m - u_b w / R^2). g: gate."""
    decay = (spread(gate, s) * s * data.u).sum(tuple(range(s.ndim - 1))) / (
        len(s) * jnp.asarray(length, s.dtype) ** 2
    )
    return jax.tree.map(
        lambda w, g: g - decay * w if w.ndim > 1 else g, data.params, product(data, s, gate)
    )
