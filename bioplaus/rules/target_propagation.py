"""Target propagation: each layer moves towards a target that learned inverses send down.

    t_L = h_L - eta e,    t_l = h_l + g_l(t_{l+1}) - g_l(h_{l+1})
    g_l(u) = phi_l(u B_{l+1}^T + c_l)
    s_l = phi'(a_l) * (h_l - t_l) / eta,    dW_l = (1/B) h_{l-1}^T s_l
h_l, a_l: [B, n_l] output and current of layer l;  t_l: [B, n_l] its target;  e: [B, C] = dL/dh_L;
eta: step size of the first target;  s_l: [B, n_l] teaching signal at the current;  phi_l: neurons;
B_l: the shape of W_l;  c_l: [n_l].
Vanilla target propagation lacks the difference: t_l = g_l(t_{l+1}). The inverses learn to
reconstruct, at fixed W:
    R_l = 1/2 |g_l(f(h~)) - h~|^2,    h~ = h_l + sigma xi,    f = f_{l+1},    xi ~ N(0, 1)
f_{l+1}: layer l + 1.

Lee, Zhang, Fischer, Bengio, "Difference Target Propagation", 2015, arXiv:1412.7525.
Departures: those of `bioplaus.rules.shared.inverses`. The first target is that of the output unless
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
from bioplaus.rules.shared.over_time import INVERTS
from bioplaus.types import Array, Loss, Net, Rule


def vanilla(maps: LayerMaps, l: int, above: Array) -> Array:
    """t_l from t_{l+1} by the inverse alone."""
    return maps.g(l, above).output


def gradient_first(maps: LayerMaps, l: int, above: Array) -> Array:
    """t_l from t_{l+1}, where the target of the last hidden layer is a gradient step.

    That is h_l + J_f^T (t_L - h_L), with J_f the Jacobian of the last layer.
    """
    if l + 1 < len(maps.base):
        return difference(maps, l, above)
    return maps.h[l] + jax.vjp(lambda h: maps.f(l, h), maps.h[l])[1](above - maps.h[l + 1])[0]


def reconstruction(
    maps: LayerMaps, l: int, sigma: ArrayLike, xi: Array, zeta: Array
) -> list[tuple[InverseOutput, Array]]:
    """R_l: g_l inverts f at noisy inputs."""
    del zeta
    noisy = maps.h[l] + sigma * xi
    rebuilt = maps.g(l, maps.f(l, noisy))
    return [(rebuilt, rebuilt.output - noisy)]


@learning_rule(time=INVERTS)
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
    """Vanilla target propagation, a baseline: reconstruction errors of the inverses act as errors.

    The hyperparameters are those of `bioplaus.rules.shared.inverses.targets`.

    Cost, in the letters of docs/rules.md: F forward, X credit, F update, and 3X for each feedback
    step.
    """
    return targets(net, loss, vanilla, reconstruction, tx, eta, sigma, feedback_steps, sample)


@learning_rule(time=INVERTS)
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
    """Gauss-Newton targets at exact inverses, as eta -> 0; not backprop.

    top_gradient: the first target is that of the last hidden layer, by its gradient, as in the
    paper. Otherwise it is that of the output ("simplified" difference target propagation, which
    needs no gradient through W_L; Bartunov et al., 2018, arXiv:1807.04587). The other
    hyperparameters are those of `bioplaus.rules.shared.inverses.targets`.

    Cost, in the letters of docs/rules.md: F forward, 2X credit, F update, and 3X for each feedback
    step.
    """
    down = gradient_first if top_gradient else difference
    return targets(net, loss, down, reconstruction, tx, eta, sigma, feedback_steps, sample)
