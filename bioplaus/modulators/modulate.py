"""A learning rule under a neuromodulator. Rules do not know about modulators.

    gains -> the rule on the net with these gains -> signals -> gates on plasticity, and the
             modulator's next state
At evaluation only the gains act, with the state that training left. A modulator uses labels only
after the forward pass of training, never in `predict`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.entry import learning_rule
from bioplaus.modulators.compose import product
from bioplaus.net import current_shapes, with_gain
from bioplaus.salts import MODULATOR
from bioplaus.support import needs_rewards, over_time_of
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
    """rule: the state of the rule. modulator: the state of the modulator."""

    rule: PyTree
    modulator: PyTree


def modulate(factory: RuleFactory, modulator: Modulator) -> RuleFactory:
    """A factory (net, loss) -> Rule of the modulated rule. It costs as much as the rule, and the
    gains.

    Bind hyperparameters beforehand: modulate(functools.partial(node_perturbation, sigma=0.1),
    dopamine()). A gate given to `grad` multiplies the modulator's gate. info has another entry
    'gate', the gate on plasticity, averaged over examples, then over layers. Modulating twice
    applies both gates; the inner gain acts on currents before the outer one.
    """

    @learning_rule(time=over_time_of(factory), rewards=needs_rewards(factory))
    def modulated(net: Net, loss: Loss) -> Rule:
        def whole(net: Net) -> Rule:
            return factory(net, loss)

        def on_streams(net: Net) -> Rule:
            stream = factory(net, loss).stream
            assert stream is not None
            return stream

        rule = _modulated(net, whole, modulator)
        if whole(net).stream is None:
            return rule
        return rule._replace(stream=_modulated(net, on_streams, modulator))

    return modulated


def _modulated(net: Net, make: Callable[[Net], Rule], modulator: Modulator) -> Rule:
    """make: (net) -> the rule on a net whose excitability may have changed."""

    def gained(state: State, context: PyTree) -> Rule:
        with jax.named_scope("auxiliary"):
            gains = modulator.gain(state.modulator, context)
        return make(with_gain(net, gains))

    def init(key, params, batch):
        modulator_key = jax.random.fold_in(key, MODULATOR)
        modulation = modulator.init(modulator_key, current_shapes(net, params, batch, key))
        return State(make(net).init(key, params, batch), modulation)

    def grad(params, state, batch, key, gate: Gate = None):
        def outcome(signals: Signals) -> tuple[PyTree, Gates]:
            with jax.named_scope("auxiliary"):
                modulation, gates = modulator.gate(state.modulator, signals)
                return modulation, product(gates, gate(signals) if callable(gate) else gate)

        rule = gained(state, batch.context)
        grads, inner, info = rule.grad(
            params, state.rule, batch, key, gate=lambda signals: outcome(signals)[1]
        )
        # computed a second time, which the compiler merges with the first
        modulation, gates = outcome(info["signals"])
        # the 'gate' of an inner modulator already includes this one's
        info: Info = {"gate": _mean(gates, info["loss"].dtype), **info}
        return grads, State(inner, modulation), info

    def predict(params, state, x, key, context=(), **asked):
        return gained(state, context).predict(params, state.rule, x, key, context, **asked)

    return Rule(init, grad, predict)


def _mean(gates: Gates, dtype) -> Array:
    layers = gates if isinstance(gates, tuple) else (gates,)
    return jnp.stack([jnp.mean(jnp.asarray(1.0 if g is None else g, dtype)) for g in layers]).mean()
