"""Identities on spiking nets over time, feed-forward and recurrent: each rule passes or refuses.

The checks are those that hold on any net (`Family.on_net`). A rule refuses by the declaration of
its factory (`bioplaus.types.OverTime`); a family states in `Family.spiking` and
`Family.recurrent` why its checks are not meant for such nets. Nothing else is left out.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from bioplaus.identities.common import Check, Family, Problem, pose, problem
from bioplaus.layers import after, dense, mean_over_time, over_time, recurrent
from bioplaus.losses import mse
from bioplaus.neurons import alif, lif
from bioplaus.support import check_support, needs_time, over_time_of
from bioplaus.types import Neuron, RuleFactory


class Left(NamedTuple):
    """A net on which nothing is checked, and why. declared: by the rule, which refuses the net."""

    rule: str
    net: str
    reason: str
    declared: bool
    passed: bool = True

    def __str__(self) -> str:
        word = "refuses" if self.declared else "not asked"
        return f"ok     {self.rule:4} {word} {self.net}: {self.reason}"


def spiking() -> dict[str, Problem]:
    """A net of LIF and one of ALIF neurons, with a pooled readout; the second hears itself.

    Inputs are spikes, and weights wide enough that all layers fire.
    """
    hidden = (dense(6, lif()), dense(5, alif()))
    readout = after(mean_over_time, dense(3))
    nets = {
        "a feed-forward spiking net": (*map(over_time, hidden), readout),
        "a recurrent spiking net": (
            *(recurrent(layer, dense(n)) for layer, n in zip(hidden, (6, 5), strict=True)),
            readout,
        ),
    }
    found = {name: pose(net, (6, 6, 4), 3, gain=2.0) for name, net in nets.items()}
    x = jnp.asarray(np.random.default_rng(3).random((6, 6, 4)) < 0.4, float)
    return {name: p._replace(batch=p.batch._replace(x=x)) for name, p in found.items()}


def small_problem(factory: RuleFactory, output: Neuron) -> Problem:
    """A perceptron with these outputs and half the squared error; a spiking net for a rule that
    needs time."""
    if not needs_time(factory):
        return problem((7, 5, 4, 3), examples=6, output=output, loss=mse)
    p = spiking()["a feed-forward spiking net"]
    return p._replace(net=(*p.net[:-1], after(mean_over_time, dense(3, output))), loss=mse)


def on_spiking_nets(key: str, family: Family, factory: RuleFactory) -> Iterator[Check | Left]:
    """The checks of a family on the nets of `spiking`, and where it has none."""
    for name, posed in spiking().items():
        try:
            check_support(key, over_time_of(factory), posed.net, posed.loss)
        except ValueError as refusal:
            yield Left(key, name, str(refusal), True)
            continue
        loop = any(layer.time and layer.time.closed for layer in posed.net)
        why = family.spiking or (family.recurrent if loop else "")
        if family.on_net is None or why:
            yield Left(key, name, why or "the family has no checks for any net", False)
            continue
        for check in family.on_net(factory, posed):
            yield check._replace(name=f"{name}: {check.name}")
