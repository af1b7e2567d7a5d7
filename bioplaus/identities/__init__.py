"""Identities and negative controls: each rule against mathematics, through its public `grad`, in
float64.

FAMILIES: key -> its `Family` of checks. Each module of this package declares those of its rules in
a table of the same name, and they are collected here. `bioplaus verify` and the tests run the same
ones, and those for any net a second time on nets whose outputs are not linear: sigmoids, under half
the squared error and under the Bernoulli loss.
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
from bioplaus.identities.common import Check, Family, Problem, squashed
from bioplaus.losses import cross_entropy, mse
from bioplaus.rules import BASELINES, RULES, available
from bioplaus.types import Batch, Loss, Net, PyTree, RuleFactory


def _declared() -> dict[str, Family]:
    """The `FAMILIES` of each module of this package, in the order of the rules."""
    found: dict[str, Family] = {}
    for module in pkgutil.iter_modules(__path__):
        found |= getattr(importlib.import_module(f"{__name__}.{module.name}"), "FAMILIES", {})
    return {key: found[key] for key in RULES | BASELINES if key in found}


FAMILIES = _declared()
__all__ = ["FAMILIES", "Check", "Family", "families", "first_failure", "verify"]


def families() -> dict[str, Family]:
    """The checks of each rule by its key, with those that other packages bring as entry points
    `bioplaus.identities`.

    Such an entry has the key of the rule, and loads a `Family`, or the function (factory) -> checks
    of one. Raises ExtensionError if its key has checks already, and where it cannot be loaded.
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
    """Check a rule's identities, with controls that must differ: on small nets made for them, or on
    a net and a batch of yours.

    rule: a key, or a factory, of `RULES` or `BASELINES`; `functools.partial` may bind its
    hyperparameters where a net is given.
    params: fresh ones where none are given. Everything is computed in float64, in a batch as large
    as is given: ten examples will do. The noise of `net` stays on where the reference can take the
    same sample; not for wm's mirror, np, ep and dfc.

    Raises ValueError for a rule without checks, a net without a batch, and where the rule itself
    refuses the net.
    """
    key, factories = _key_of(rule), available()
    with jax.enable_x64():
        if net is None and batch is None and params is None:
            if isinstance(rule, functools.partial):
                raise ValueError(
                    "verify: without a net, rules are checked at settings of the checks' own; give"
                    " a net, or the bare rule"
                )
            return list(_checks(key, factories[key]))
        if net is None or batch is None:
            raise ValueError("verify: give both a net and a batch for it, or neither")
        on_net = families()[key].on_net
        if on_net is None:
            raise ValueError(
                f"verify: {key!r} has no checks on a net of yours; verify({key!r}) runs those on"
                " nets of their own"
            )
        return list(
            on_net(
                factories[key] if isinstance(rule, str) else rule, posed(net, loss, batch, params)
            )
        )


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
        " bp.testing.check_rule(factory), and your package may bring checks as an entry point"
        " `bioplaus.identities` of the rule's key"
    )


def _checks(key: str, factory: RuleFactory) -> Iterator[Check]:
    """A family's checks on problems made for them, then those for any net on a net of sigmoid
    outputs.
    """
    family = families()[key]
    yield from family.checks(factory)
    if family.on_net:
        for check in family.on_net(factory, squashed(mse)):
            yield check._replace(name=f"sigmoid outputs: {check.name}")


def first_failure(key: str, factory: RuleFactory, problem: Problem | None = None) -> Check | None:
    """The first check of the family `key` that a factory fails, or None: how mutants and
    third-party versions are judged.

    problem: a net of the caller's, `bioplaus.identities.common.posed`; the family's own where there
    is none.
    """
    family = families()[key]
    with jax.enable_x64():
        checks = (
            _checks(key, factory)
            if problem is None or family.on_net is None
            else family.on_net(factory, problem)
        )
        return next((check for check in checks if not check.passed), None)
