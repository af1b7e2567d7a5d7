"""Hebbian learning: hidden layers learn from their inputs, the readout alone from the labels.

    dW_l = (1/B) [(x - m)^T s - W_l M / R^2],    u = (x - m) W_l
    hebb:    s = h,    M = inhibition u^T s
    oja:     s = u,    M = u^T s
    sanger:  s = u,    M = the upper triangle of u^T s
    bcm:     s = u (u - theta),    M = 0,    theta <- theta + rate (mean u^2 / u_0 - theta)
x: [B, n_{l-1}] input of layer l, m: [n_{l-1}] its running mean;  u: [B, n_l] current minus the
current of the mean input;  h: [B, n_l] output;  R: the length to which weights tend;  theta: [n_l]
threshold;  u_0: its target.
`bioplaus.rules.shared.unsupervised` describes the readout, m and the biases. M is inhibition
through the layer's weights: the reconstruction of x from u by W^T is subtracted, so that units do
not learn again what other units reconstruct; otherwise all would come to the same direction. This
term is not a product of pre- and postsynaptic activity alone.

Hebb, "The Organization of Behavior", 1949; its product with a nonlinear output, bounded: Oja, "The
Nonlinear PCA Learning Rule and Signal Separation - Mathematical Analysis", 1995,
http://citeseer.ist.psu.edu/viewdoc/summary?doi=10.1.1.31.5705. Oja, "Simplified neuron model as a
principal component analyzer", 1982, doi:10.1007/BF00275687; several units: Oja, "Neural networks,
principal components, and subspaces", 1989, International Journal of Neural Systems 1, 61-68.
Sanger, "Optimal unsupervised learning in a single-layer linear feedforward neural network", 1989,
doi:10.1016/0893-6080(89)90044-0. Bienenstock, Cooper, Munro, "Theory for the development of neuron
selectivity", 1982, doi:10.1523/JNEUROSCI.02-01-00032.1982.
Departures: R is a hyperparameter, where the papers have 1: it sets how much of the neurons'
nonlinearity is used. Subtracting m replaces data of zero mean; homeostasis replaces biases, which
the papers do not have. theta follows the mean of u^2.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.entry import learning_rule
from bioplaus.hyper import NonNegative, Positive, Probability
from bioplaus.local import spread
from bioplaus.rules.shared.growth import Growth, LayerBatch, inhibited, product
from bioplaus.rules.shared.over_time import FEEDFORWARD, ONE_ARRAY
from bioplaus.rules.shared.unsupervised import unsupervised
from bioplaus.types import Array, Loss, Net, Rule


@learning_rule(time=FEEDFORWARD, context=ONE_ARRAY)
def hebb(
    net: Net,
    loss: Loss,
    *,
    inhibition: NonNegative = 1.0,
    length: Positive = 2.0,
    averaging: Probability = 0.05,
    homeostasis: bool = True,
) -> Rule:
    """Units that fire together wire together, except for what the layer already reconstructs.

    inhibition: at 0 this is the covariance rule: weights grow without bound, all of them in the
    direction of largest variance. length: R. averaging: step size of m. homeostasis: whether biases
    learn.

    Cost, in the letters of docs/rules.md: as `oja`.
    """
    return unsupervised(
        net,
        loss,
        _rebuilt(lambda data: data.h, lambda m: jnp.asarray(inhibition) * m, length),
        averaging,
        homeostasis,
    )


@learning_rule(time=FEEDFORWARD, context=ONE_ARRAY)
def oja(
    net: Net,
    loss: Loss,
    *,
    length: Positive = 2.0,
    averaging: Probability = 0.05,
    homeostasis: bool = True,
) -> Rule:
    """The principal subspace of a layer's input; a single unit finds the first component.

    length: R. averaging: step size of m. homeostasis: whether biases learn.

    Cost, in the letters of docs/rules.md: F forward, F update, and n_l^2 for each example and
    n_{l-1} n_l^2 for each batch in each hidden layer l.
    """
    return unsupervised(
        net, loss, _rebuilt(lambda data: data.u, lambda m: m, length), averaging, homeostasis
    )


@learning_rule(time=FEEDFORWARD, context=ONE_ARRAY)
def sanger(
    net: Net,
    loss: Loss,
    *,
    length: Positive = 2.0,
    averaging: Probability = 0.05,
    homeostasis: bool = True,
) -> Rule:
    """The principal components in order: unit k learns what units 1 ... k - 1 leave over.

    length: R. averaging: step size of m. homeostasis: whether biases learn.

    Cost, in the letters of docs/rules.md: as `oja`.
    """
    return unsupervised(
        net, loss, _rebuilt(lambda data: data.u, jnp.triu, length), averaging, homeostasis
    )


@learning_rule(time=FEEDFORWARD, context=ONE_ARRAY)
def bcm(
    net: Net,
    loss: Loss,
    *,
    target: Positive = 0.1,
    rate: Probability = 0.1,
    averaging: Probability = 0.05,
    homeostasis: bool = True,
) -> Rule:
    """Selectivity: units come to respond to one pattern, and not to the others.

    With averaging = 0 the response of a unit tends to u_0 / p for a pattern of probability p, and
    to 0 for the others.

    target: u_0, in units of the current. rate: step size of theta; if theta is slower than W, both
    oscillate. averaging: step size of m. homeostasis: whether biases learn.
    """

    def slide(data, gate):
        change = spread(gate, data.u) * (data.u**2 / target - data.theta)
        return data.theta + rate * change.reshape(-1, change.shape[-1]).mean(0)

    def growth(data, gate):
        return product(data, data.u * (data.u - data.theta), gate)

    return unsupervised(net, loss, growth, averaging, homeostasis, slide)


def _rebuilt(
    post: Callable[[LayerBatch], Array], part: Callable[[Array], Array], length: ArrayLike
) -> Growth:
    return lambda data, gate: inhibited(data, post(data), part, length, gate)
