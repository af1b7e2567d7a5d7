"""The contract of a rule, as tests: for the rules of this package and for anyone's.

    from bioplaus.testing import check_rule
    check_rule(my_rule)                          # a factory (net, loss, *, ...) -> Rule

The tests are plain assertions: no test framework is needed. Values are compared in float64; shapes
and dtypes in float32 as well. CONTRACT maps the name of each item to its test, a function of a
`Case`. An item that a rule breaks raises AssertionError, whose message starts with that name.
"""

from collections.abc import Callable

import jax

from bioplaus.losses import cross_entropy
from bioplaus.support import needs_rewards, needs_time, over_time_of
from bioplaus.testing.arguments import host_arrays, mean, refusals, shapes
from bioplaus.testing.cases import (
    Case,
    case,
    convolutional,
    perceptron,
    rewarded,
    spiking,
    standard,
)
from bioplaus.testing.gating import gates, place_gates, unit_gates
from bioplaus.testing.over_time import liveness
from bioplaus.testing.programs import hyperparameters, one_trace, plain, transforms
from bioplaus.types import Batch, Loss, Net, RuleFactory

ON_EVERY_NET = (shapes, one_trace, gates, unit_gates, place_gates, refusals)
ON_SPIKES = (shapes, liveness)
ITEMS = (plain, transforms, hyperparameters, mean, host_arrays, liveness, *ON_EVERY_NET)
CONTRACT: dict[str, Callable[[Case], None]] = {item.__name__: item for item in ITEMS}
__all__ = [
    "CONTRACT",
    "ITEMS",
    "ON_EVERY_NET",
    "ON_SPIKES",
    "Case",
    "case",
    "check_rule",
    "convolutional",
    "gates",
    "host_arrays",
    "hyperparameters",
    "liveness",
    "mean",
    "one_trace",
    "perceptron",
    "place_gates",
    "plain",
    "refusals",
    "rewarded",
    "shapes",
    "spiking",
    "standard",
    "transforms",
    "unit_gates",
]


def check_rule(
    factory: RuleFactory,
    net: Net | None = None,
    loss: Loss = cross_entropy,
    batch: Batch | None = None,
) -> None:
    """Raise AssertionError where a rule breaks the contract of `bioplaus.types.Rule`.

    factory: (net, loss, *, hyperparameters with defaults) -> Rule. Bind hyperparameters without
    defaults by `functools.partial`.
    net, batch: give both or neither. The default is a small perceptron and a small convolutional
    net, on random data, and a small spiking net if the factory declares that it takes one
    (`learning_rule(time=...)`); it is that net alone for a factory that needs time
    (`OverTime(moment="why")`). For a factory that declares that it needs rewards
    (`learning_rule(rewards=True)`) it is a small spiking net that answers at each moment, with
    actions and rewards.
    """
    with jax.enable_x64():
        if net is not None and batch is not None:
            cases = [(case(factory, net, loss, batch), ITEMS)]
        elif net is None and batch is None and (needs_rewards(factory) or needs_time(factory)):
            cases = [(standard(factory, loss), ITEMS)]
        elif net is None and batch is None:
            cases = [
                (standard(factory, loss), ITEMS),
                (convolutional(factory, loss), ON_EVERY_NET),
            ]
            declared = over_time_of(factory)
            if declared and declared.nets is None and declared.spikes is None:
                cases.append((spiking(factory, loss), ON_SPIKES))
        else:
            raise ValueError("check_rule: give both a net and a batch for it, or neither")
        for c, items in cases:
            for item in items:
                item(c)
