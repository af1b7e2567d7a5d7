"""Composition: one learning rule for each layer, such as a Hebbian body under a backprop head."""

import jax

from bioplaus.entry import learning_rule
from bioplaus.net import check_depth
from bioplaus.salts import COMPOSED
from bioplaus.support import needs_rewards
from bioplaus.types import Gate, Gates, Loss, Net, Rule, RuleFactory, Signals


def by_layer(factories: tuple[RuleFactory, ...]) -> RuleFactory:
    """A rule whose layer l learns by factories[l]: by_layer((softhebb, softhebb, backprop)).

    Every different factory makes one rule for the whole net, of which the gradients of its layers
    are used; the compiler drops what they do not need. It also merges computations that several
    rules share, such as the forward pass, and costs count these once. Predictions, loss and signals
    are those of the last layer's rule. Bind hyperparameters beforehand by `functools.partial`, once
    for all layers of a rule. Raises ValueError if the number of factories is not the number of
    layers.
    """
    factories = tuple(factories)
    # The rule of the last layer comes first, because gates depend on its signals.
    different = list(dict.fromkeys(reversed(factories)))
    owner = [different.index(f) for f in factories]

    @learning_rule(rewards=any(map(needs_rewards, factories)))
    def composed(net: Net, loss: Loss) -> Rule:
        if len(factories) != len(net):
            raise ValueError(
                f"by_layer: got {len(factories)} rules for a net of {len(net)} layers; give one for"
                " each layer"
            )
        rules = [factory(net, loss) for factory in different]

        def init(key, params, batch):
            subkey = jax.random.fold_in(key, COMPOSED)
            return tuple(
                rule.init(jax.random.fold_in(subkey, i), params, batch)
                for i, rule in enumerate(rules)
            )

        def grad(params, state, batch, key, gate: Gate = None):
            check_depth(net, params)
            asked: list[Gates] = []

            def once(signals: Signals) -> Gates:
                asked.append(gate(signals) if callable(gate) else gate)
                return asked[0]

            found = []
            for i, rule in enumerate(rules):
                with jax.named_scope(f"part={i}"):
                    found.append(rule.grad(params, state[i], batch, key, asked[0] if i else once))
            grads = tuple(found[i][0][l] for l, i in enumerate(owner))
            return grads, tuple(state for _, state, _ in found), found[0][2]

        def predict(params, state, x, key, context=(), **asked):
            return rules[0].predict(params, state[0], x, key, context, **asked)

        return Rule(init, grad, predict)

    return composed
