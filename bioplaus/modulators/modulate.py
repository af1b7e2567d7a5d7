"""A learning rule under a neuromodulator. Rules know nothing of modulators.

    gains -> the rule on the net of changed excitability -> signals -> gates on plasticity and the
        modulator's next state
At evaluation only the gains act, at the state that training left: a modulator reads labels after
the forward pass of training alone, and never in `predict`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.entry import learning_rule
from bioplaus.modulators.compose import product
from bioplaus.net import current_shapes, with_gain
from bioplaus.salts import MODULATOR
from bioplaus.types import (
    Array,
    Gate,
    Gates,
    Info,
    Loss,
    Modulator,
    Net,
    PyTree,
    Rule,
    RuleFactory,
    Signals,
)


class State(NamedTuple):
    """rule: the state of the rule; modulator: that of the modulator."""

    rule: PyTree
    modulator: PyTree


def modulate(factory: RuleFactory, modulator: Modulator) -> RuleFactory:
    """A factory (net, loss) -> Rule of the modulated rule. It costs the rule's own, and the gains.

    Hyperparameters are bound beforehand: modulate(functools.partial(node_perturbation, sigma=0.1),
    dopamine()). A gate given to `grad` multiplies the modulator's. info adds 'gate', the mean gate
    on plasticity (over examples, then layers). Modulating twice applies both gates; the inner gain
    acts on currents before the outer.
    """

    @learning_rule
    def modulated(net: Net, loss: Loss) -> Rule:
        def gained(state: State, context: PyTree) -> Rule:
            with jax.named_scope("auxiliary"):
                gains = modulator.gain(state.modulator, context)
            return factory(with_gain(net, gains), loss)

        def init(key, params, batch):
            own = jax.random.fold_in(key, MODULATOR)
            modulation = modulator.init(own, current_shapes(net, params, batch, key))
            return State(factory(net, loss).init(key, params, batch), modulation)

        def grad(params, state, batch, key, gate: Gate = None):
            def outcome(signals: Signals) -> tuple[PyTree, Gates]:
                with jax.named_scope("auxiliary"):
                    modulation, gates = modulator.gate(state.modulator, signals)
                    return modulation, product(gates, gate(signals) if callable(gate) else gate)

            rule = gained(state, batch.context)
            grads, inner, info = rule.grad(
                params, state.rule, batch, key, gate=lambda signals: outcome(signals)[1]
            )
            # the same numbers a second time: cheap, and merged by the compiler
            modulation, gates = outcome(info["signals"])
            # an inner modulator's is of both already
            said: Info = {"gate": _mean(gates, info["loss"].dtype), **info}
            return grads, State(inner, modulation), said

        def predict(params, state, x, key, context=()):
            return gained(state, context).predict(params, state.rule, x, key, context)

        return Rule(init, grad, predict)

    return modulated


def _mean(gates: Gates, dtype) -> Array:
    layers = gates if isinstance(gates, tuple) else (gates,)
    return jnp.stack([jnp.mean(jnp.asarray(1.0 if g is None else g, dtype)) for g in layers]).mean()
