"""Hebbian learning: hidden layers learn from what they see, the readout alone from the labels.

    dW_l = (1/B) [(x - m)^T s - W_l M / R^2],    u = (x - m) W_l
x: [B, n_{l-1}] input of layer l, m its running mean;
u, h: [B, n_l] current relative to that of the mean input, and output;  R: length.
    hebb    s = h,    M = inhibition u^T s
    oja     s = u,    M = u^T s
    sanger  s = u,    M = the upper triangle of u^T s
    bcm     s = u (u - theta),  theta <- theta + rate (mean u^2 / u_0 - theta),    M = 0
The readout, m and the biases: `bioplaus.rules.shared.unsupervised`. M is inhibition through the
layer's own weights, of x by W^T u: what other units have rebuilt is not learned again, or all units
would come to the same direction. It is no product of pre and post alone.

Hebb, "The Organization of Behavior", 1949; its product with a nonlinear output, bounded: Oja, "The
Nonlinear PCA Learning Rule and Signal Separation - Mathematical Analysis", 1995,
http://citeseer.ist.psu.edu/viewdoc/summary?doi=10.1.1.31.5705. Oja, "Simplified neuron model as a
principal component analyzer", 1982, doi:10.1007/BF00275687; several units: Oja, "Neural networks,
principal components, and subspaces", 1989, International Journal of Neural Systems 1, 61-68.
Sanger, "Optimal unsupervised learning in a single-layer linear feedforward neural network", 1989,
doi:10.1016/0893-6080(89)90044-0. Bienenstock, Cooper, Munro, "Theory for the development of neuron
selectivity", 1982, doi:10.1523/JNEUROSCI.02-01-00032.1982.
Departures: R, where the papers have 1: it says how much of the neurons' curve is used. m stands for
data of zero mean; homeostasis for biases that the papers do not have. theta has the mean of u^2.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.entry import learning_rule
from bioplaus.hyper import NonNegative, Positive, Probability
from bioplaus.local import spread
from bioplaus.rules.shared.unsupervised import Growth, LayerBatch, inhibited, product, unsupervised
from bioplaus.types import Array, Loss, Net, Rule


@learning_rule
def hebb(
    net: Net,
    loss: Loss,
    *,
    inhibition: NonNegative = 1.0,
    length: Positive = 2.0,
    averaging: Probability = 0.05,
    homeostasis: bool = True,
) -> Rule:
    """What fires together wires together, but for what the layer has explained. Costs as `oja`.

    inhibition: at 0 this is the covariance alone: weights grow without bound, all of them to the
    direction of largest variance.
    """
    return unsupervised(
        net,
        loss,
        _rebuilt(lambda data: data.h, lambda m: jnp.asarray(inhibition) * m, length),
        averaging,
        homeostasis,
    )


@learning_rule
def oja(
    net: Net,
    loss: Loss,
    *,
    length: Positive = 2.0,
    averaging: Probability = 0.05,
    homeostasis: bool = True,
) -> Rule:
    """The principal subspace of a layer's input; one unit finds the first component. Costs n_l^2
    more, and n_{l-1} n_l^2 a batch.
    """
    return unsupervised(
        net, loss, _rebuilt(lambda data: data.u, lambda m: m, length), averaging, homeostasis
    )


@learning_rule
def sanger(
    net: Net,
    loss: Loss,
    *,
    length: Positive = 2.0,
    averaging: Probability = 0.05,
    homeostasis: bool = True,
) -> Rule:
    """The principal components in order: unit k sees what units 1 ... k - 1 have left. Costs as
    `oja`.
    """
    return unsupervised(
        net, loss, _rebuilt(lambda data: data.u, jnp.triu, length), averaging, homeostasis
    )


@learning_rule
def bcm(
    net: Net,
    loss: Loss,
    *,
    target: Positive = 0.1,
    rate: Probability = 0.1,
    averaging: Probability = 0.05,
    homeostasis: bool = True,
) -> Rule:
    """Selectivity: without averaging, a unit comes to answer u_0 / p to one pattern of probability
    p, and 0 to the others.

    target: u_0, in units of the current. rate: of theta, a step; slower than W, both oscillate.
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
