"""Context-dependent gating (XdG): each context uses a fixed, random part of the hidden units.

    h_l <- m_l[c] h_l,    m_l[c] in {0, 1},    P(m = 1) = keep
h_l: outputs of hidden layer l;  c: context of each example, [B], an integer below `contexts`; m_l:
[contexts, n_l], drawn once. Two contexts share keep^2 of the units. A unit that is off sends
nothing; under rules whose teaching signal passes phi', the weights into it and out of it do not
learn. A channel of a convolution is one unit.

Masse, Grant, Freedman, "Alleviating catastrophic forgetting using context-dependent gating and
synaptic stabilization", 2018, doi:10.1073/pnas.1803839115. Departures: only the gating;
stabilisation of synapses (EWC, SI) is left to the rule or the optimiser. Units that are off still
learn under node perturbation, which perturbs them too, and under predictive coding, whose
activities relax away from 0.
"""

from typing import NamedTuple

import jax

from bioplaus.hyper import Count, Probability, declared
from bioplaus.modulators.contexts import rows_of
from bioplaus.salts import MASKS
from bioplaus.types import Array, Gain, Modulator


class State(NamedTuple):
    """masks: m_l [contexts, 1, ..., n_l] of 0 and 1, one per hidden layer."""

    masks: tuple[Array, ...]


@declared
def context_gating(contexts: Count, *, keep: Probability = 0.2, key: str = "task") -> Modulator:
    """Masks the outputs of the hidden layers according to `batch.context[key]`. It has no gate on
    plasticity and does not learn.

    contexts: their number. keep: the fraction of units that a context uses. key: the name under
    which the batch's context holds the number of each example's context, integers [B]; ValueError
    is raised for anything else. A number out of range gives NaN, because its value is not known
    when the net is compiled.

        bp.modulators.modulate(bp.rules.backprop, context_gating(5))
        bp.Batch(x, y, context={"task": numbers})
    """

    def init(rng, currents):
        masks_key = jax.random.fold_in(rng, MASKS)

        def draw(l, current):
            shape = (contexts, *(1,) * (len(current.shape) - 2), current.shape[-1])
            return jax.random.bernoulli(jax.random.fold_in(masks_key, l), keep, shape).astype(
                current.dtype
            )

        return State(tuple(draw(l, a) for l, a in enumerate(currents[:-1])))

    def gain(state, context):
        rows = (rows_of(m, context, key, "context_gating") for m in state.masks)
        return (*(Gain(out=r) for r in rows), Gain())

    def gate(state, signals):
        del signals
        return state, None

    return Modulator(init, gain, gate)
