"""Holomorphic equilibrium propagation: nudges on a circle in the complex plane.

The network settles as in `bioplaus.rules.equilibrium_propagation`, at N complex nudges b:
    dW_l = (1/N) sum_b (1 / (b B)) dPhi/dW_l at b
    b = beta exp(2 pi i n / N),    n = 0 .. N - 1
Phi: energy, dPhi/dW_l = -h_{l-1}^T h_l below the last layer;  h_l: [B, n_l] complex activities at
equilibrium;  B: examples. dW is the real part.
The factors 1 / b add up to zero, so that the free phase cancels. The sum is Cauchy's formula for
the derivative by b at 0, taken at N points.

Laborieux and Zenke, "Holomorphic Equilibrium Propagation Computes Exact Gradients Through Finite
Size Oscillations", 2022, arXiv:2209.00530.
Departures: those of `bioplaus.rules.equilibrium_propagation`; N phases that settle, instead of one
oscillation in time; max pooling follows the larger real part, which is holomorphic as long as no
winner changes along the circle (the paper pools by a softmax).
"""

import jax
import jax.numpy as jnp

from bioplaus.entry import learning_rule
from bioplaus.hyper import Count, Positive, Several
from bioplaus.local import error_of
from bioplaus.net import fire
from bioplaus.rules.shared.nudged import nudged
from bioplaus.rules.shared.over_time import SETTLES
from bioplaus.rules.shared.relax import holomorphic
from bioplaus.types import Loss, Net, Rule


@learning_rule(time=SETTLES)
def holomorphic_equilibrium_propagation(
    net: Net,
    loss: Loss,
    *,
    beta: Positive = 0.2,
    points: Several = 4,
    free_steps: Count = 15,
    nudged_steps: Count = 8,
    fresh: bool = False,
) -> Rule:
    """The gradient of the loss at equilibrium up to O(beta^points).

    This holds for beta within the radius of convergence of the equilibrium as a power series in b.

    points: N, at least 2, which is `equilibrium_propagation`. beta, free_steps, nudged_steps and
    fresh are those of `equilibrium_propagation`. Raises ValueError for neurons (here) or a loss (in
    `init`) that are not holomorphic.

    Cost, in the letters of docs/rules.md: (T1 + N T2) (F + X) in all for even N. Conjugate nudges
    have conjugate phases, of which one is computed; at a b that is not real each product counts as
    two, of real weights by complex activities.
    """
    if points < 2:
        raise ValueError(
            f"holomorphic_equilibrium_propagation: got points={points}; give 2 or more"
        )
    for l, layer in enumerate(net):
        moment = layer if layer.time is None else layer.time.moment
        if not holomorphic(lambda a, moment=moment: fire(moment, a, jax.random.key(0)), 1):
            raise ValueError(
                f"holomorphic_equilibrium_propagation: the neurons of layer {l} are not holomorphic"
                " within 1/4 of the real line (a rectifier and a hard sigmoid have kinks); use"
                " tanh, sigmoid, softplus or identity"
            )

    def init(key, params, batch):
        del key, params
        if batch.x.dtype == jnp.bfloat16:
            raise ValueError(
                "holomorphic_equilibrium_propagation: bfloat16 has no complex numbers; give float32"
                " or float64"
            )
        classes = batch.y.shape[-1]
        if not holomorphic(
            lambda o: error_of(loss, o, jax.nn.one_hot(jnp.zeros(len(o), int), classes))[1], classes
        ):
            raise ValueError(
                "holomorphic_equilibrium_propagation: the loss is not holomorphic in the output, or"
                " refuses complex numbers; use cross_entropy or mse"
            )
        return ()

    real = (1, -1)[: 2 - points % 2]
    upper = (complex(-1) ** (2 * i / points) for i in range(1, (points + 1) // 2))
    rule = nudged(net, loss, beta, (*real, *upper), free_steps, nudged_steps, fresh=fresh)
    return rule._replace(init=init)
