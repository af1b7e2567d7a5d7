"""Target propagation: each layer moves towards a target that learned inverses of the layers above
send down.

    t_L = h_L - eta e,    t_l = h_l + g_l(t_{l+1}) - g_l(h_{l+1}),
        g_l(u) = phi_l(u B_{l+1}^T + c_l)
    s_l = phi'(a_l) * (h_l - t_l) / eta,    dW_l = (1/B) h_{l-1}^T s_l
e = dL/dh_L: [B, C];  h_l, t_l, a_l, s_l: [B, n_l];  B_l: the shape of W_l;  c_l: [n_l].
Vanilla target propagation lacks the difference: t_l = g_l(t_{l+1}). The inverses learn to
reconstruct, at fixed W:
    R_l = 1/2 |g_l(f(h~)) - h~|^2,    h~ = h_l + sigma xi,    f = f_{l+1},    xi ~ N(0, 1)

Lee, Zhang, Fischer, Bengio, "Difference Target Propagation", 2015, arXiv:1412.7525.
Departures: those of `bioplaus.rules.shared.inverses`. The first target is the output's unless
`top_gradient` is set (Lee et al.: that of the last hidden layer, by its gradient).
"""

from collections.abc import Callable

import jax
import optax
from jax.typing import ArrayLike

from bioplaus.entry import learning_rule
from bioplaus.hyper import NonNegative, Positive, Size
from bioplaus.rules.shared.inverses import (
    ADAM,
    NORMAL,
    InverseOutput,
    LayerMaps,
    difference,
    targets,
)
from bioplaus.types import Array, Loss, Net, Rule


def vanilla(maps: LayerMaps, l: int, above: Array) -> Array:
    """t_l from t_{l+1} by the inverse alone."""
    return maps.g(l, above).output


def gradient_first(maps: LayerMaps, l: int, above: Array) -> Array:
    """t_l from t_{l+1}; the last hidden layer's is a step down the gradient, h_l + J_f^T (t_L -
    h_L).
    """
    if l + 1 < len(maps.base):
        return difference(maps, l, above)
    return maps.h[l] + jax.vjp(lambda h: maps.f(l, h), maps.h[l])[1](above - maps.h[l + 1])[0]


def reconstruction(
    maps: LayerMaps, l: int, sigma: ArrayLike, xi: Array, zeta: Array
) -> list[tuple[InverseOutput, Array]]:
    """g_l inverts f at noisy inputs."""
    del zeta
    noisy = maps.h[l] + sigma * xi
    rebuilt = maps.g(l, maps.f(l, noisy))
    return [(rebuilt, rebuilt.output - noisy)]


@learning_rule
def target_propagation(
    net: Net,
    loss: Loss,
    *,
    tx: optax.GradientTransformation = ADAM,
    eta: Positive = 0.1,
    sigma: NonNegative = 0.1,
    feedback_steps: Size = 1,
    sample: Callable[..., Array] = NORMAL,
) -> Rule:
    """Vanilla, a baseline: what the inverses lose is taken for an error. X credit, 3X a feedback
    step. See `targets`.
    """
    return targets(net, loss, vanilla, reconstruction, tx, eta, sigma, feedback_steps, sample)


@learning_rule
def difference_target_propagation(
    net: Net,
    loss: Loss,
    *,
    tx: optax.GradientTransformation = ADAM,
    eta: Positive = 0.1,
    sigma: NonNegative = 0.1,
    feedback_steps: Size = 1,
    top_gradient: bool = False,
    sample: Callable[..., Array] = NORMAL,
) -> Rule:
    """Gauss-Newton targets at exact inverses, as eta -> 0; not backprop. 2X credit, 3X a feedback
    step. See `targets`.

    top_gradient: the first target is the last hidden layer's, by its gradient, as in the paper;
    without it, the output's ("simplified" difference target propagation, which needs no gradient
    through W_L; Bartunov et al., 2018, arXiv:1807.04587).
    """
    down = gradient_first if top_gradient else difference
    return targets(net, loss, down, reconstruction, tx, eta, sigma, feedback_steps, sample)
