"""Identities and negative controls: each rule against mathematics, through its public `grad`, in float64.

FAMILIES: key -> its `Family` of checks. `bioplaus verify` and the tests run the same ones, and those for any net a second time on
nets whose outputs are not linear: sigmoids, under half the squared error and under the Bernoulli loss.
"""

import functools
import importlib.metadata
import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

from bioplaus.identities import (
    backprop,
    clapp,
    contrastive,
    deep_feedback_control,
    dendrites,
    direct_feedback_alignment,
    direct_random_target_projection,
    equilibrium_propagation,
    equilibrium_variants,
    feedback_alignment,
    forward_forward,
    forward_gradient,
    hebbian,
    kolen_pollack,
    local_losses,
    node_perturbation,
    pepita,
    phsic,
    predictive_coding,
    predictive_coding_variants,
    sign_concordant,
    signal_propagation,
    target_propagation,
    three_factor,
    weight_mirror,
)
from bioplaus.identities.any_net import posed
from bioplaus.identities.common import Check, Problem, squashed
from bioplaus.losses import cross_entropy, mse
from bioplaus.rules import available
from bioplaus.types import Batch, Loss, Net, PyTree, RuleFactory


class Family(NamedTuple):
    """What a factory that claims to be a rule is held against. Generators, so that a wrong factory can stop at its first failure.

    checks: (factory) -> checks on problems made for them;  on_net: (factory, problem) -> those that hold on a net of the caller's.
    """

    checks: Callable[[RuleFactory], Iterator[Check]]
    on_net: Callable[[RuleFactory, Problem], Iterator[Check]] | None = None


FAMILIES: dict[str, Family] = {
    "bp": Family(backprop.checks, backprop.on_net),
    "fa": Family(feedback_alignment.checks, feedback_alignment.on_net),
    "kp": Family(kolen_pollack.checks, kolen_pollack.on_net),
    "wm": Family(weight_mirror.checks, weight_mirror.on_net),
    "usf": Family(sign_concordant.checks, sign_concordant.on_net),
    "frsf": Family(sign_concordant.fixed_checks, sign_concordant.fixed_on_net),
    "brsf": Family(sign_concordant.batchwise_checks, sign_concordant.batchwise_on_net),
    "dfa": Family(direct_feedback_alignment.checks, direct_feedback_alignment.on_net),
    "drtp": Family(direct_random_target_projection.checks, direct_random_target_projection.on_net),
    "np": Family(node_perturbation.checks, node_perturbation.on_net),
    "wp": Family(forward_gradient.wp_checks, forward_gradient.wp_on_net),
    "fg": Family(forward_gradient.fg_checks, forward_gradient.fg_on_net),
    "afg": Family(forward_gradient.afg_checks, forward_gradient.afg_on_net),
    "threefactor": Family(three_factor.checks, three_factor.on_net),
    "phsic": Family(phsic.checks, phsic.on_net),
    "tp": Family(target_propagation.tp_checks, target_propagation.tp_on_net),
    "dtp": Family(target_propagation.dtp_checks, target_propagation.dtp_on_net),
    "drl": Family(target_propagation.drl_checks, target_propagation.drl_on_net),
    "ldrl": Family(target_propagation.ldrl_checks, target_propagation.ldrl_on_net),
    "pc": Family(predictive_coding.checks, predictive_coding.on_net),
    "zil": Family(predictive_coding_variants.zil_checks, predictive_coding_variants.zil_on_net),
    "fpa": Family(predictive_coding_variants.fpa_checks, predictive_coding_variants.fpa_on_net),
    "epc": Family(predictive_coding_variants.epc_checks, predictive_coding_variants.epc_on_net),
    "ipc": Family(predictive_coding_variants.ipc_checks, predictive_coding_variants.ipc_on_net),
    "ep": Family(equilibrium_propagation.checks, equilibrium_propagation.on_net),
    "pep": Family(equilibrium_variants.pep_checks, equilibrium_variants.pep_on_net),
    "nep": Family(equilibrium_variants.nep_checks, equilibrium_variants.nep_on_net),
    "hep": Family(equilibrium_variants.hep_checks, equilibrium_variants.hep_on_net),
    "chl": Family(contrastive.chl_checks, contrastive.chl_on_net),
    "cpl": Family(contrastive.cpl_checks, contrastive.cpl_on_net),
    "burstprop": Family(dendrites.burst_checks, dendrites.burst_on_net),
    "dendritic_microcircuit": Family(dendrites.microcircuit_checks, dendrites.microcircuit_on_net),
    "dfc": Family(deep_feedback_control.checks, deep_feedback_control.on_net),
    "pepita": Family(pepita.checks, pepita.on_net),
    "local_pred": Family(local_losses.prediction_checks, local_losses.prediction_on_net),
    "local_sim": Family(local_losses.similarity_checks, local_losses.similarity_on_net),
    "local_losses": Family(local_losses.both_checks, local_losses.both_on_net),
    "ff": Family(forward_forward.checks, forward_forward.on_net),
    "sigprop": Family(signal_propagation.checks, signal_propagation.on_net),
    "hebb": Family(hebbian.hebb_checks, functools.partial(hebbian.on_net, "hebb")),
    "oja": Family(hebbian.oja_checks, functools.partial(hebbian.on_net, "oja")),
    "sanger": Family(hebbian.sanger_checks, functools.partial(hebbian.on_net, "sanger")),
    "bcm": Family(hebbian.bcm_checks, functools.partial(hebbian.on_net, "bcm")),
    "softhebb": Family(hebbian.softhebb_checks, functools.partial(hebbian.on_net, "softhebb")),
    "krotov": Family(hebbian.krotov_checks, functools.partial(hebbian.on_net, "krotov")),
    "clapp": Family(clapp.checks, clapp.on_net),
    "frozen": Family(backprop.readout_checks, backprop.readout_on_net),
}
__all__ = ["FAMILIES", "Check", "Family", "families", "first_failure", "verify"]


def families() -> dict[str, Family]:
    """The checks of each rule by its key, with those that other packages bring as entry points `bioplaus.identities`.

    Such an entry has the key of the rule, and loads a `Family`, or the function (factory) -> checks of one. Raises ValueError if its
    key has checks already.
    """
    found = dict(FAMILIES)
    for entry in importlib.metadata.entry_points(group="bioplaus.identities"):
        if entry.name in found:
            raise ValueError(f"checks {entry.name!r} of {entry.value} are for a rule that has some; rename their entry point")
        checks = entry.load()
        found[entry.name] = checks if isinstance(checks, Family) else Family(checks)
    return found


def verify(
    rule: str | RuleFactory,
    net: Net | None = None,
    batch: Batch | None = None,
    loss: Loss = cross_entropy,
    params: PyTree | None = None,
) -> list[Check]:
    """Check a rule's identities, with controls that must differ: on small nets made for them, or on a net and a batch of yours.

    rule: a key, or a factory, of `RULES` or `BASELINES`; `functools.partial` may bind its hyperparameters where a net is given.
    params: fresh ones where none are given. Everything is computed in float64, in a batch as large as is given: ten examples will
    do. The noise of `net` stays on where the reference can take the same sample; not for wm's mirror, np, ep and dfc.

    Raises ValueError for a rule without checks, a net without a batch, and where the rule itself refuses the net.
    """
    key, factories = _key_of(rule), available()
    with jax.enable_x64():
        if net is None and batch is None and params is None:
            if isinstance(rule, functools.partial):
                raise ValueError(
                    "verify: without a net, rules are checked at settings of the checks' own; give a net, or the bare rule"
                )
            return list(_checks(key, factories[key]))
        if net is None or batch is None:
            raise ValueError("verify: give both a net and a batch for it, or neither")
        on_net = families()[key].on_net
        if on_net is None:
            raise ValueError(f"verify: {key!r} has no checks on a net of yours; verify({key!r}) runs those on nets of their own")
        return list(on_net(factories[key] if isinstance(rule, str) else rule, posed(net, loss, batch, params)))


def _key_of(rule: str | RuleFactory) -> str:
    bare: Any = rule
    while isinstance(bare, functools.partial):
        bare = bare.func
    known = families()
    for key, factory in available().items():
        if key in known and (bare == key or (callable(bare) and inspect.unwrap(bare) is inspect.unwrap(factory))):
            return key
    raise ValueError(
        f"verify: there are no checks for {bare!r}; give one of {list(known)}, or its factory, such as bp.rules.feedback_alignment."
        " For a rule of your own there is bp.testing.check_rule(factory), and your package may bring checks as an entry point"
        " `bioplaus.identities` of the rule's key"
    )


def _checks(key: str, factory: RuleFactory) -> Iterator[Check]:
    """A family's checks on problems made for them, then those for any net on a net of sigmoid outputs."""
    family = families()[key]
    yield from family.checks(factory)
    if family.on_net:
        for check in family.on_net(factory, squashed(mse)):
            yield check._replace(name=f"sigmoid outputs: {check.name}")


def first_failure(key: str, factory: RuleFactory, problem: Problem | None = None) -> Check | None:
    """The first check of the family `key` that a factory fails, or None: how mutants and third-party versions are judged.

    problem: a net of the caller's, `bioplaus.identities.common.posed`; the family's own where there is none.
    """
    family = families()[key]
    with jax.enable_x64():
        checks = _checks(key, factory) if problem is None or family.on_net is None else family.on_net(factory, problem)
        return next((check for check in checks if not check.passed), None)
