"""Equilibrium propagation: centred, and one-sided with a positive or a negative nudge.

The hidden layers are one recurrent network with symmetric weights, which settles to a minimum of
    Phi = sum_{l<L} [G(h_l) - h_l . a_l] + b C
    a_l = h_{l-1} W_l,    G' = f^{-1},    C = L(f(a_L), y),    h_0 = x
by the sweeps
    h_l <- f(a_l + h_{l+1} W_{l+1}^T),
    h_{L-1} <- f(a_{L-1} - b (dC/da_L) W_L^T)        the last hidden layer
first free (b = 0), then from the free state at one nudge b or more. Weights learn from the
difference of the phases:
    dW_l = (1/N) sum_b (1 / (b B)) [dPhi/dW_l at b - dPhi/dW_l at 0]
    dPhi/dW_l = -h_{l-1}^T h_l  for l < L,    dPhi/dW_L = b h_{L-1}^T dC/da_L
    centred: b = beta and b = -beta;    one-sided: b = beta, or b = -beta
h_l: [B, n_l] activities of layer l;  a_l: [B, n_l] its current;  f: its neurons;  L(o, y): the
loss, summed over the batch;  N: the number of nudges;  B: examples.
Each phase needs its own pullback, because layers above the first have other inputs in each phase:
one pullback of the difference of the states is wrong there. With two nudges or more the factors
1 / b add up to zero, and the free phase cancels.

Scellier and Bengio, "Equilibrium Propagation: Bridging the Gap between Energy-Based Models and
Backpropagation", 2017, arXiv:1602.05179. Centred, with a readout outside of the dynamics: Laborieux
et al., "Scaling Equilibrium Propagation to Deep ConvNets", 2021, arXiv:2006.03824. Signs of the
nudge: Scellier, Ernoult, Kendall, Kumar, "Energy-based learning algorithms for analog computing: a
comparative study", 2023, arXiv:2312.15103.
Departures: instead of following a gradient flow, each sweep sets the layers in order to their
fixed-point equation (`rate` gives Euler steps of the flow instead).
"""

from bioplaus.entry import learning_rule
from bioplaus.hyper import Count, Positive
from bioplaus.rules.shared.nudged import nudged
from bioplaus.rules.shared.over_time import SETTLES
from bioplaus.types import Loss, Net, Rule


@learning_rule(time=SETTLES)
def equilibrium_propagation(
    net: Net,
    loss: Loss,
    *,
    beta: Positive = 0.2,
    free_steps: Count = 15,
    nudged_steps: Count = 8,
    rate: Positive | None = None,
    fresh: bool = False,
) -> Rule:
    """The gradient of the loss AT EQUILIBRIUM up to O(beta^2), not that of a forward pass.

    This holds if the net contracts: f must be bounded, or the weights small. Where the net does not
    settle, info['residual'] (`bioplaus.rules.shared.relax`; of the worst phase) is not small
    against 1, or not finite.

    free_steps, nudged_steps: T1 and T2, the sweeps of the free phase and of each nudged phase.
    rate: a sweep does h <- h + rate (f(..) - h), an Euler step in units of the neurons' time
    constant; None stands for 1.
    fresh: noise is drawn again in every sweep of every phase, as in a physical network, so that
    the difference of two phases keeps the noise and divides it by beta (Laborieux and Zenke 2022).
    By default one noise sample serves all phases, and cancels.

    Cost, in the letters of docs/rules.md: (T1 + 2 T2) (F + X) in all.
    """
    return nudged(net, loss, beta, (1, -1), free_steps, nudged_steps, rate, fresh)


@learning_rule(time=SETTLES)
def positive_equilibrium_propagation(
    net: Net,
    loss: Loss,
    *,
    beta: Positive = 0.3,
    free_steps: Count = 50,
    nudged_steps: Count = 8,
    fresh: bool = False,
) -> Rule:
    """Equilibrium propagation, one-sided, nudged towards the target: an error of O(beta).

    The error is opposite to that of a negative nudge. The hyperparameters are those of
    `equilibrium_propagation`. free_steps is large by default, because the distance to the
    equilibrium that the free phase leaves is divided by beta, and no second phase cancels it.

    Departures from the paper of 2017, beside those above: its code draws the sign of beta for each
    batch, which averages the error out; its output units settle together with the hidden ones, in
    [0, 1], pulled by a squared error; its free phase starts where the last one of the same example
    ended; beta is 0.5 to 1, and each layer has a separate learning rate.

    Cost, in the letters of docs/rules.md: (T1 + T2) (F + X) in all.
    """
    return nudged(net, loss, beta, (1,), free_steps, nudged_steps, fresh=fresh)


@learning_rule(time=SETTLES)
def negative_equilibrium_propagation(
    net: Net, loss: Loss, *, beta: Positive = 0.1, free_steps: Count = 15, nudged_steps: Count = 8
) -> Rule:
    """Equilibrium propagation, one-sided, nudged away from the target.

    It descends an upper bound of the loss (Scellier et al. 2023). The hyperparameters are those of
    `equilibrium_propagation`.

    Cost, in the letters of docs/rules.md: (T1 + T2) (F + X) in all.
    """
    return nudged(net, loss, beta, (-1,), free_steps, nudged_steps)
