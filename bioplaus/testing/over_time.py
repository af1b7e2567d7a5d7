"""Items of the contract: what a rule does on nets over time."""

import jax
import jax.numpy as jnp

from bioplaus.support import over_time_of
from bioplaus.testing.cases import Case


def liveness(c: Case) -> None:
    """On a net over time every hidden layer is taught: its gradient is not zero throughout.

    A rule that nudges its network, or takes a derivative that spikes do not have, may run on
    neurons that fire and teach them nothing. Exempt are rules that declare it, `OverTime.still`.
    """
    declared = over_time_of(c.factory)
    if all(layer.time is None for layer in c.net) or (declared and declared.still):
        return
    first, state, _ = c.grad(c.params, c.state, c.batch, c.key)
    second = c.grad(c.params, state, c.batch, c.key)[0]  # weights of the rule may start at zero
    for l, layers in enumerate(zip(first[:-1], second[:-1], strict=True)):
        assert any(jnp.any(g != 0) for g in jax.tree.leaves(layers)), (
            f"liveness: every gradient of hidden layer {l} is zero, on a net over time; refuse such"
            " nets, @bp.learning_rule(time=bp.OverTime(spikes='why')), or declare why hidden layers"
            " do not learn, bp.OverTime(still='why')"
        )
