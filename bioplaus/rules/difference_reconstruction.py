"""Difference reconstruction losses: inverses learn what the targets need.

    t_L = h_L - eta e,    t_l = h_l + g_l(t_{l+1}) - g_l(h_{l+1})
    g_l(u) = phi_l(u B_{l+1}^T + c_l)
    s_l = phi'(a_l) * (h_l - t_l) / eta,    dW_l = (1/B) h_{l-1}^T s_l
h_l, a_l: [B, n_l] output and current of layer l;  t_l: [B, n_l] its target;  e: [B, C] = dL/dh_L;
eta: step size of the first target;  s_l: [B, n_l] teaching signal at the current;  phi_l: neurons;
B_l: the shape of W_l;  c_l: [n_l].
g_l learns by the loss R_l, at fixed W, where f = f_{l+1} is layer l + 1 and h~ = h_l + sigma xi:
    drl:   R_l = 1/(2 sigma^2) |h_l + g_l(t~) - g_l(h_{l+1}) - h~|^2
           t~ is the target of h_{l+1} for t_L = f_L(... f(h~))
    ldrl:  R_l = 1/sigma^2 (-sigma xi . (g_l(f(h~)) - g_l(h_{l+1}))
                            + 1/2 |g_l(h_{l+1} + sigma zeta) - g_l(h_{l+1})|^2)
xi, zeta ~ N(0, 1) have the shapes of h_l and h_{l+1}.
At small sigma g_l becomes in drl the inverse of the Jacobian of all layers above, and in ldrl the
transpose of the Jacobian of f.

Meulemans et al., "A Theoretical Framework for Target Propagation", 2020, arXiv:2006.14331 (drl).
Ernoult et al., "Towards Scaling Difference Target Propagation by Learning Backprop Targets", 2022,
arXiv:2201.13415 (ldrl).
Departures: those of `bioplaus.rules.shared.inverses`; the damping of drl is left to the weight
decay of `tx`.
"""

from collections.abc import Callable

import optax
from jax.typing import ArrayLike

from bioplaus.entry import learning_rule
from bioplaus.hyper import Positive, Size
from bioplaus.rules.shared.inverses import (
    ADAM,
    NORMAL,
    InverseOutput,
    LayerMaps,
    difference,
    targets,
)
from bioplaus.rules.shared.over_time import INVERTS
from bioplaus.types import Array, Loss, Net, Rule


def difference_reconstruction(
    maps: LayerMaps, l: int, sigma: ArrayLike, xi: Array, zeta: Array
) -> list[tuple[InverseOutput, Array]]:
    """R_l of drl: targets from the output, through all inverses, reconstruct the noise at layer l.

    g_l alone learns from it.
    """
    del zeta
    above = maps.h[l] + sigma * xi
    for j in range(l, len(maps.base)):
        above = maps.f(j, above)
    for j in reversed(range(l + 1, len(maps.base))):
        above = difference(maps, j, above)
    rebuilt, base = maps.g(l, above), maps.base[l]
    error = (rebuilt.output - base.output - sigma * xi) / sigma**2
    return [(rebuilt, error), (base, -error)]


def jacobian_matching(
    maps: LayerMaps, l: int, sigma: ArrayLike, xi: Array, zeta: Array
) -> list[tuple[InverseOutput, Array]]:
    """R_l of ldrl: the Jacobian of g_l becomes the transpose of that of f.

    The change of g_l by noise at the input of f correlates with that noise; the change by noise at
    its output is penalised.
    """
    base, rebuilt, damped = (
        maps.base[l],
        maps.g(l, maps.f(l, maps.h[l] + sigma * xi)),
        maps.g(l, maps.h[l + 1] + sigma * zeta),
    )
    excess = (damped.output - base.output) / sigma**2
    return [(rebuilt, -xi / sigma), (damped, excess), (base, xi / sigma - excess)]


@learning_rule(time=INVERTS)
def difference_reconstruction_loss(
    net: Net,
    loss: Loss,
    *,
    tx: optax.GradientTransformation = ADAM,
    eta: Positive = 0.1,
    sigma: Positive = 0.1,
    feedback_steps: Size = 1,
    sample: Callable[..., Array] = NORMAL,
) -> Rule:
    """Gauss-Newton targets without exact inverses.

    g_l learns from a pass to the output and back. The hyperparameters are those of
    `bioplaus.rules.shared.inverses.targets`.

    Cost, in the letters of docs/rules.md: F forward, 2X credit, F update, and
    3X + 2 sum_l (l - 1) |W_l| for each feedback step.
    """
    return targets(
        net, loss, difference, difference_reconstruction, tx, eta, sigma, feedback_steps, sample
    )


@learning_rule(time=INVERTS)
def local_difference_reconstruction_loss(
    net: Net,
    loss: Loss,
    *,
    tx: optax.GradientTransformation = ADAM,
    eta: Positive = 0.1,
    sigma: Positive = 0.1,
    feedback_steps: Size = 1,
    sample: Callable[..., Array] = NORMAL,
) -> Rule:
    """Backprop on a linear net at B = W, which is where the learning of g_l leads.

    The hyperparameters are those of `bioplaus.rules.shared.inverses.targets`.

    Cost, in the letters of docs/rules.md: F forward, 2X credit, F update, and 7X for each feedback
    step.
    """
    return targets(net, loss, difference, jacobian_matching, tx, eta, sigma, feedback_steps, sample)
