"""Which nets over time a rule takes, and whether it needs rewards: its factory declares both.

Nets that a rule does not take are refused before work starts.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from bioplaus.outputs import at_moments
from bioplaus.types import Layer, Loss, Net, OverTime


def over_time_of(factory: Callable[..., Any]) -> OverTime | None:
    """What a rule's factory has declared by `learning_rule(time=...)`; None if it has not.

    Looks through `functools.partial`.
    """
    return getattr(_bare(factory), "over_time", None)


def needs_rewards(factory: Callable[..., Any]) -> bool:
    """Whether a rule's factory has declared by `learning_rule(rewards=True)` that it learns from
    the rewards of a world, and not from labels. Looks through `functools.partial`."""
    return getattr(_bare(factory), "rewards", False)


def needs_time(factory: Callable[..., Any]) -> bool:
    """Whether a rule's factory has declared that it refuses nets of one moment,
    `learning_rule(time=OverTime(moment="why"))`."""
    declared = over_time_of(factory)
    return declared is not None and declared.moment is not None


def takes_added(factory: Callable[..., Any]) -> bool:
    """Whether a rule's factory has declared by `learning_rule(added=True)` that its `grad` takes
    gradients to add to its own. Looks through `functools.partial`."""
    return getattr(_bare(factory), "added", False)


NEEDS_WORLD = (
    "it learns from the rewards of a world, and a data set has none: run it in a world, by"
    " bp.worlds.run (docs/rewards.md)"
)
"""Why studies leave out a rule that needs rewards."""

NEEDS_TIME = "it learns in nets over time alone: give --net spiking"
"""Why comparisons of nets of one moment leave out a rule that needs time."""


def _bare(factory: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(factory, functools.partial):
        factory = factory.func
    return factory


def check_support(rule: str, declared: OverTime | None, net: Net, loss: Loss) -> None:
    """Raise ValueError for a net that a rule declares to refuse."""
    if declared is None:
        return
    if all(layer.time is None for layer in net):
        if declared.moment is not None:
            raise ValueError(
                f"{rule}: the net is one of a single moment, which this rule refuses:"
                f" {declared.moment}; give layers over time, bp.over_time(bp.dense(100, bp.lif()))"
            )
        return
    for l, layer in enumerate(net):
        if wrong := _refusal(declared, layer, l == len(net) - 1):
            what, reason = wrong
            raise ValueError(
                f"{rule}: layer {l} {what}, which this rule refuses: {reason}; `bioplaus list"
                " rules` says which rules take such nets"
            )
    if at_moments(loss) and declared.each_moment is not None:
        raise ValueError(
            f"{rule}: at_each_moment is refused by this rule: {declared.each_moment}; give the loss"
            " itself, and a last layer bp.after(bp.mean_over_time, bp.dense(C))"
        )


def check_hears(rule: str, refusal: str | None, net: Net) -> None:
    """Raise ValueError for layers that hear a context, under a rule that declares to refuse them.

    refusal: why it does; None if it takes them.
    """
    hears = [l for l, layer in enumerate(net) if layer.given is not None]
    if hears and refusal is not None:
        raise ValueError(
            f"{rule}: layer {hears[0]} hears a context, which this rule refuses: {refusal}; give"
            " the layer without bp.contextual, or the context as inputs"
        )


def _refusal(declared: OverTime, layer: Layer, last: bool) -> tuple[str, str] | None:
    """What of a layer is refused, and why; None if nothing is."""
    if declared.rates is not None and not last and not layer.neuron.spikes:
        return "has neurons that do not fire", declared.rates
    if layer.time is None:
        return None
    found = (
        ("runs over time", declared.nets, True),
        ("hears itself", declared.recurrent, layer.time.closed is not None),
        ("has neurons that fire", declared.spikes, layer.time.moment.neuron.spikes),
        ("remembers", declared.memory, _remembers(layer.time.moment)),
    )
    return next(((what, why) for what, why, here in found if here and why is not None), None)


def _remembers(moment: Layer) -> bool:
    """Whether the neurons or the synapses of a layer at one moment have a state."""
    state = jax.eval_shape(lambda: moment.neuron.init(jnp.zeros((1, 1))))
    return moment.rest is not None or bool(jax.tree.leaves(state))


def words(declared: OverTime | None) -> str:
    """A declaration as a few words, for tables."""
    if declared is None:
        return "not declared"
    if declared.nets is not None:
        return "no"
    kinds = "spikes and rates" if declared.rates is None else "spikes"
    if declared.spikes is not None:
        kinds = "rates" if declared.memory is None else "rates without memory"
    parts = [kinds]
    parts += ["no recurrent layers"] if declared.recurrent is not None else []
    parts += ["one answer a sequence"] if declared.each_moment is not None else []
    parts += ["streams"] if declared.streams else []
    parts += ["needs time"] if declared.moment is not None else []
    return ", ".join(parts)
