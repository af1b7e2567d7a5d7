"""Identities and negative controls: each rule against mathematics, through its public `grad`, in float64.

FAMILIES: key -> its `Family` of checks. `bioplaus verify` and the tests run the same ones.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax

from bioplaus.identities import (
    backprop,
    deep_feedback_control,
    dendrites,
    direct_feedback_alignment,
    direct_random_target_projection,
    equilibrium_propagation,
    feedback_alignment,
    kolen_pollack,
    node_perturbation,
    predictive_coding,
    sign_concordant,
    target_propagation,
    weight_mirror,
)
from bioplaus.identities.common import Check, Problem
from bioplaus.rules import BASELINES, RULES
from bioplaus.types import RuleFactory


class Family(NamedTuple):
    """What a factory that claims to be a rule is held against. Generators, so that a wrong factory can stop at its first failure.

    checks: (factory) -> checks on problems made for them;  on_net: (factory, problem) -> those that hold on a net of the caller's.
    """

    checks: Callable[[RuleFactory], Iterator[Check]]
    on_net: Callable[[RuleFactory, Problem], Iterator[Check]] | None = None


FAMILIES: dict[str, Family] = {
    "bp": Family(backprop.checks),
    "fa": Family(feedback_alignment.checks),
    "kp": Family(kolen_pollack.checks),
    "wm": Family(weight_mirror.checks),
    "usf": Family(sign_concordant.checks),
    "frsf": Family(sign_concordant.fixed_checks),
    "brsf": Family(sign_concordant.batchwise_checks),
    "dfa": Family(direct_feedback_alignment.checks),
    "drtp": Family(direct_random_target_projection.checks),
    "np": Family(node_perturbation.checks),
    "tp": Family(target_propagation.tp_checks),
    "dtp": Family(target_propagation.dtp_checks),
    "drl": Family(target_propagation.drl_checks),
    "ldrl": Family(target_propagation.ldrl_checks),
    "pc": Family(predictive_coding.checks),
    "ep": Family(equilibrium_propagation.checks),
    "burstprop": Family(dendrites.burst_checks),
    "dendritic_microcircuit": Family(dendrites.microcircuit_checks),
    "dfc": Family(deep_feedback_control.checks),
    "frozen": Family(backprop.readout_checks),
}
__all__ = ["FAMILIES", "Check", "Family", "first_failure", "verify"]


def verify(keys: Sequence[str] | None = None) -> list[Check]:
    """Run the checks of these rules, or of all. Raises ValueError for a key without checks."""
    keys = list(FAMILIES) if keys is None else keys
    if unknown := [k for k in keys if k not in FAMILIES]:
        raise ValueError(f"verify: no checks for {unknown}; choose from {list(FAMILIES)}")
    factories = RULES | BASELINES
    with jax.enable_x64():
        return [check for key in keys for check in FAMILIES[key].checks(factories[key])]


def first_failure(key: str, factory: RuleFactory) -> Check | None:
    """The first check of the family `key` that a factory fails, or None: how mutants and third-party versions are judged."""
    with jax.enable_x64():
        return next((check for check in FAMILIES[key].checks(factory) if not check.passed), None)
