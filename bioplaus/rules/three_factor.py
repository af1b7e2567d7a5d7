"""Three-factor learning: REINFORCE on noisy units, with eligibility traces for a delayed reward.

Every current is noisy. A synapse remembers for each example the product of its input and the noise
of its unit, and changes when the broadcast reward R = -L arrives, d steps after the answer:
    a_l = h_{l-1} W_l + sigma xi_l,    E_l(t) = lambda E_l(t-1) + h_{l-1}^T xi_l / sigma
    dW_l = lambda^-d (1/B) sum_b (L_b(t-d) - Lbar) E_{l,b}(t)
    Lbar <- Lbar + rate (mean L(t-d) - Lbar)
L: [B] loss of each example;  a_l: [B, n_l] currents;  xi_l: [B, n_l] ~ N(0, 1);  sigma: size of the
noise;  h_{l-1}: [B, n_{l-1}] output of the noisy units below;  E_l: [B, *W_l] eligibility;  lambda:
decay of the trace;  Lbar: baseline, a scalar;  t: step.
xi / sigma is the derivative of log p(a_l) by its mean. So E[dW] is the gradient of E[L(t-d)] over
the noise, exactly, for any sigma and any Lbar that is independent of the noise. The parts of the
trace from other steps average to zero, and add variance. The running Lbar, however, contains
rewards that older parts of the trace have caused, which gives a bias of the order of rate / B.
This rule does not have the form teaching signal x local eligibility: E accumulates that product,
and the reward comes later.

Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement
Learning", 1992, doi:10.1007/BF00992696. Fremaux and Gerstner, "Neuromodulated
Spike-Timing-Dependent Plasticity, and Theory of Three-Factor Learning Rules", 2016,
doi:10.3389/fncir.2015.00085. The trace, in a network with noisy currents: Miconi, "Biologically
plausible learning in recurrent neural networks reproduces neural dynamics observed during cognitive
tasks", 2017, doi:10.7554/eLife.20899.
Departures: rate units with Gaussian noise on their currents, whose score is linear; Williams'
Bernoulli units and Miconi's cubed eligibility are other networks and rules. dW is divided by
lambda^d, so that the learning rate does not depend on the delay.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.entry import learning_rule
from bioplaus.hyper import Positive, PositiveProbability, Probability, Size
from bioplaus.local import gates_of, pull, signals_of, spread, weighted
from bioplaus.net import current_shapes, forward, layer_key, predictor, with_gain
from bioplaus.rules.shared.over_time import ANY
from bioplaus.salts import ELIGIBILITY
from bioplaus.types import PER_LAYER, Array, Gain, Info, Loss, Net, PerExample, Rule


class State(NamedTuple):
    """Traces and rewards of B learners.

    eligibility: E, the tree of params with the axis [B] first. pending: [d, B] losses that have not
    arrived yet. steps: number of steps so far. baseline: Lbar, scalar, in units of the loss; it
    starts at the loss of the first batch without noise.
    """

    eligibility: Annotated[PerExample, PER_LAYER]
    pending: PerExample
    steps: PerExample
    baseline: Array


@learning_rule(time=ANY)
def three_factor(
    net: Net,
    loss: Loss,
    *,
    sigma: Positive = 0.5,
    decay: PositiveProbability | None = None,
    rate: Probability = 0.1,
    delay: Size = 0,
    sample=jax.random.normal,
) -> Rule:
    """The gradient of the noisy network's expected loss, in expectation.

    sigma: noise, in units of the currents. decay: lambda for each step; None: no trace of other
    steps and no delay. The reward is then there when the synapses learn, and one pullback serves
    the batch.
    rate: step size of the baseline. delay: d, in steps; it needs a trace, else ValueError.
    sample: (key, shape, dtype) -> xi, standard normal.

    Traces take B |theta| numbers: they cannot be summed over examples, because the rewards that
    will weight the examples are not known yet. Row b of a batch continues row b of the last batch:
    there are B learners in parallel with common weights, and batches must keep their size. A gate
    acts when the reward arrives, on the trace of row b. Predictions are made without the noise.

    Cost, in the letters of docs/rules.md: F forward, no credit, F update, and |theta| sums for a
    trace.
    """

    if delay and decay is None:
        raise ValueError(
            f"three_factor: a reward {delay} steps late needs traces that wait for it; give decay,"
            " in (0, 1]"
        )

    def init(key, params, batch):
        examples = batch.x.shape[0]
        losses = loss(forward(net, params, batch.x, key).output, batch.y)
        traces = (
            ()
            if decay is None
            else jax.tree.map(lambda w: jnp.zeros((examples, *w.shape), w.dtype), params)
        )
        return State(
            traces,
            jnp.zeros((delay, examples), losses.dtype),
            jnp.zeros((), jnp.int32),
            losses.mean(),
        )

    def grad(params, state, batch, key, gate=None):
        if decay is not None and state.pending.shape != (delay, batch.x.shape[0]):
            raise ValueError(
                f"state: its rewards are {state.pending.shape} where delay and batch are"
                f" {(delay, batch.x.shape[0])}; make it with rule.init on a batch of this size"
            )
        subkey, shapes = (
            jax.random.fold_in(key, ELIGIBILITY),
            current_shapes(net, params, batch, key),
        )
        xi = [sample(layer_key(subkey, l), a.shape, a.dtype) for l, a in enumerate(shapes)]
        trace = forward(with_gain(net, [Gain(offset=sigma * x) for x in xi]), params, batch.x, key)
        losses = loss(trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)

        pending = losses[None] if decay is None else jnp.concatenate([state.pending, losses[None]])
        # Before step d no reward has arrived.
        surprise = jnp.where(state.steps < delay, 0, pending[0] - state.baseline)
        baseline = state.baseline + rate * surprise.mean()

        gates, eligibility, grads = gates_of(gate, signals, len(net)), [], []
        for l, layer in enumerate(net):
            pre, score, learns = trace.inputs[l], xi[l] / sigma, weighted(gates[l], surprise)
            k, heard = layer_key(key, l), trace.heard[l]
            if decay is None:
                signal = spread(learns, score) * score
                grads.append(pull(layer, params[l], pre, k, signal, heard=heard))
                continue

            def alone(x, s, z, l=l, layer=layer, k=k):
                x, s, z = jax.tree.map(lambda a: a[None], (x, s, z))
                return pull(layer, params[l], x, k, s, heard=z)

            fresh = jax.vmap(alone)(pre, score, heard)
            eligibility.append(
                jax.tree.map(lambda e, f: decay * e + f, state.eligibility[l], fresh)
            )
            weight = learns / (losses.size * jnp.asarray(decay) ** delay)
            with jax.named_scope("update"):
                grads.append(
                    jax.tree.map(
                        lambda e, w=weight: (w.reshape(-1, *(1,) * (e.ndim - 1)) * e).sum(0),
                        eligibility[l],
                    )
                )
        state = State(
            tuple(eligibility), pending[1:] if delay else state.pending, state.steps + 1, baseline
        )
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))
