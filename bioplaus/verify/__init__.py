"""Identities and negative controls: each rule against mathematics, through its public `grad`, in float64.

FAMILIES: key -> (checks of a factory, as a generator; the factory). `bioplaus verify` and the tests run the same ones.
"""

from collections.abc import Callable, Iterator, Sequence

import jax

from bioplaus.rules import BASELINES, RULES
from bioplaus.types import RuleFactory
from bioplaus.verify import (
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
from bioplaus.verify.common import Check

FAMILIES: dict[str, Callable[[RuleFactory], Iterator[Check]]] = {
    "bp": backprop.checks,
    "fa": feedback_alignment.checks,
    "kp": kolen_pollack.checks,
    "wm": weight_mirror.checks,
    "usf": sign_concordant.checks,
    "frsf": sign_concordant.fixed_checks,
    "brsf": sign_concordant.batchwise_checks,
    "dfa": direct_feedback_alignment.checks,
    "drtp": direct_random_target_projection.checks,
    "np": node_perturbation.checks,
    "tp": target_propagation.tp_checks,
    "dtp": target_propagation.dtp_checks,
    "drl": target_propagation.drl_checks,
    "ldrl": target_propagation.ldrl_checks,
    "pc": predictive_coding.checks,
    "ep": equilibrium_propagation.checks,
    "burstprop": dendrites.burst_checks,
    "dendritic_microcircuit": dendrites.microcircuit_checks,
    "dfc": deep_feedback_control.checks,
    "frozen": backprop.readout_checks,
}
"""key -> checks of a factory that claims to be that rule; a generator, so that a wrong factory can stop at its first failure."""

__all__ = ["FAMILIES", "Check", "first_failure", "verify"]


def verify(keys: Sequence[str] | None = None) -> list[Check]:
    """Run the checks of these rules, or of all. Raises ValueError for a key without checks."""
    keys = list(FAMILIES) if keys is None else keys
    if unknown := [k for k in keys if k not in FAMILIES]:
        raise ValueError(f"verify: no checks for {unknown}; choose from {list(FAMILIES)}")
    factories = RULES | BASELINES
    with jax.enable_x64():
        return [check for key in keys for check in FAMILIES[key](factories[key])]


def first_failure(key: str, factory: RuleFactory) -> Check | None:
    """The first check of the family `key` that a factory fails, or None: how mutants and third-party versions are judged."""
    with jax.enable_x64():
        return next((check for check in FAMILIES[key](factory) if not check.passed), None)
