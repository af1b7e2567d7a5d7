"""Identities and negative controls of each rule, through its public `grad`, in float64.

An identity says what a rule's result must equal; a negative control says what it must differ from.

FAMILIES: key -> its `Family` of checks. Each module of this package declares the families of its
rules in a table of the same name, and they are collected here. `bioplaus verify` and the tests run
the same checks. Checks that hold for any net run a second time on a net with sigmoid outputs, under
half the squared error.
"""

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import jax

from bioplaus.extensions import with_extensions
from bioplaus.identities.any_net import posed
from bioplaus.identities.common import SIGMOID, Check, Family, Problem
from bioplaus.identities.over_time import Left, on_spiking_nets, small_problem
from bioplaus.losses import cross_entropy
from bioplaus.rules import BASELINES, RULES, available
from bioplaus.types import Batch, Loss, Net, PyTree, RuleFactory


def _declared() -> dict[str, Family]:
    """The `FAMILIES` of each module of this package, in the order of the rules."""
    found: dict[str, Family] = {}
    for module in pkgutil.iter_modules(__path__):
        found |= getattr(importlib.import_module(f"{__name__}.{module.name}"), "FAMILIES", {})
    return {key: found[key] for key in RULES | BASELINES if key in found}


FAMILIES = _declared()
__all__ = ["FAMILIES", "Check", "Family", "families", "first_failure", "verify", "verify_spiking"]


def families() -> dict[str, Family]:
    """The checks of each rule by its key, those of other packages included.

    Other packages register entry points of the group `bioplaus.identities`. The name of such an
    entry is the key of its rule; it loads a `Family`, or a function (factory) -> checks. Raises
    ExtensionError if the key has checks already, or if the entry cannot be loaded.
    """
    found = with_extensions("bioplaus.identities", FAMILIES)
    return {
        key: checks if isinstance(checks, Family) else Family(checks)
        for key, checks in found.items()
    }


def verify(
    rule: str | RuleFactory,
    net: Net | None = None,
    batch: Batch | None = None,
    loss: Loss = cross_entropy,
    params: PyTree | None = None,
) -> list[Check]:
    """Check a rule's identities and negative controls.

    They run on small nets made for them, or, if you give both, on your `net` and `batch`. All is
    computed in float64 and on the whole batch: ten examples are enough.

    rule: a key, or a factory, of `RULES` or `BASELINES`. `functools.partial` may bind its
    hyperparameters if you give a net.
    params: parameters of `net`; they are drawn if you give none.

    The noise of `net` stays on where the reference can draw the same sample. It is switched off for
    np, dfc, the mirror of wm, and rules that settle to an equilibrium (ep, pep, nep, hep, chl,
    cpl).

    Raises ValueError for a rule without checks, for a net without a batch, and if the rule itself
    refuses the net.
    """
    key, factories = _key_of(rule), available()
    with jax.enable_x64():
        if net is None and batch is None and params is None:
            if isinstance(rule, functools.partial):
                raise ValueError(
                    "verify: without a net, the checks choose the hyperparameters; give the rule"
                    " without functools.partial, or give a net and a batch"
                )
            return list(_checks(key, factories[key]))
        if net is None or batch is None:
            raise ValueError("verify: give both a net and a batch for it, or neither")
        on_net = families()[key].on_net
        if on_net is None:
            raise ValueError(
                f"verify: {key!r} has no checks for any net; verify({key!r}), without one, runs its"
                " checks on small nets"
            )
        return list(
            on_net(
                factories[key] if isinstance(rule, str) else rule, posed(net, loss, batch, params)
            )
        )


def verify_spiking(rule: str) -> Iterator[Check | Left]:
    """Check a rule on spiking nets over time, one feed-forward and one recurrent, in float64.

    rule: a key. Gives each check on the nets of `over_time.spiking`, or why there is none: the rule
    refuses such nets, or its checks are not meant for neurons that fire. Raises ValueError for a
    rule without checks.
    """
    key = _key_of(rule)
    with jax.enable_x64():
        yield from on_spiking_nets(key, families()[key], available()[key])


def _key_of(rule: str | RuleFactory) -> str:
    bare: Any = rule
    while isinstance(bare, functools.partial):
        bare = bare.func
    known = families()
    for key, factory in available().items():
        if key in known and (
            bare == key or (callable(bare) and inspect.unwrap(bare) is inspect.unwrap(factory))
        ):
            return key
    raise ValueError(
        f"verify: there are no checks for {bare!r}; give one of {list(known)}, or its factory, such"
        " as bp.rules.feedback_alignment. For a rule of your own there is"
        " bp.testing.check_rule(factory); your package may also register checks for it, as an entry"
        " point of the group `bioplaus.identities` named by the rule's key"
    )


def _checks(key: str, factory: RuleFactory) -> Iterator[Check]:
    """A family's checks, then those for any net on a net with sigmoid outputs."""
    family = families()[key]
    yield from family.checks(factory)
    if family.on_net:
        for check in family.on_net(factory, small_problem(factory, SIGMOID)):
            yield check._replace(name=f"sigmoid outputs: {check.name}")


def first_failure(key: str, factory: RuleFactory, problem: Problem | None = None) -> Check | None:
    """The first check of the family `key` that a factory fails, or None.

    Mutants, and other implementations of a rule, are judged by it.

    problem: a net of the caller's, from `bioplaus.identities.any_net.posed`. Without it, and for a
    family without checks for any net, the problems are those that the family makes.
    """
    family = families()[key]
    with jax.enable_x64():
        checks = (
            _checks(key, factory)
            if problem is None or family.on_net is None
            else family.on_net(factory, problem)
        )
        return next((check for check in checks if not check.passed), None)
