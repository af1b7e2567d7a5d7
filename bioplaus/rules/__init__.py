"""Learning rules. RULES: key -> factory (net, loss, *, hyperparameters) -> Rule. BASELINES: what a rule has to beat."""

import importlib.metadata

from bioplaus.rules.backprop import backprop, readout_only
from bioplaus.rules.burst import burstprop
from bioplaus.rules.deep_feedback_control import deep_feedback_control
from bioplaus.rules.dendritic_microcircuit import dendritic_microcircuit
from bioplaus.rules.difference_reconstruction import difference_reconstruction_loss, local_difference_reconstruction_loss
from bioplaus.rules.direct_feedback_alignment import direct_feedback_alignment
from bioplaus.rules.direct_random_target_projection import direct_random_target_projection
from bioplaus.rules.equilibrium_propagation import equilibrium_propagation
from bioplaus.rules.feedback_alignment import feedback_alignment
from bioplaus.rules.kolen_pollack import kolen_pollack
from bioplaus.rules.node_perturbation import node_perturbation
from bioplaus.rules.predictive_coding import predictive_coding
from bioplaus.rules.sign_concordant import batchwise_sign_concordant, fixed_sign_concordant, uniform_sign_concordant
from bioplaus.rules.target_propagation import difference_target_propagation, target_propagation
from bioplaus.rules.weight_mirror import weight_mirror
from bioplaus.types import RuleFactory

RULES = {
    "bp": backprop,
    "fa": feedback_alignment,
    "kp": kolen_pollack,
    "wm": weight_mirror,
    "usf": uniform_sign_concordant,
    "frsf": fixed_sign_concordant,
    "brsf": batchwise_sign_concordant,
    "dfa": direct_feedback_alignment,
    "drtp": direct_random_target_projection,
    "np": node_perturbation,
    "tp": target_propagation,
    "dtp": difference_target_propagation,
    "drl": difference_reconstruction_loss,
    "ldrl": local_difference_reconstruction_loss,
    "pc": predictive_coding,
    "ep": equilibrium_propagation,
    "burstprop": burstprop,
    "dendritic_microcircuit": dendritic_microcircuit,
    "dfc": deep_feedback_control,
}

BASELINES = {"frozen": readout_only}


def available() -> dict[str, RuleFactory]:
    """Rules and baselines by key, with those that other packages register as entry points `bioplaus.rules`.

    Raises ValueError if two have the same key.
    """
    found: dict[str, RuleFactory] = {**RULES, **BASELINES}
    for entry in importlib.metadata.entry_points(group="bioplaus.rules"):
        if entry.name in found:
            raise ValueError(f"rule {entry.name!r} of {entry.value} has the key of another rule; rename its entry point")
        found[entry.name] = entry.load()
    return found


__all__ = [
    "BASELINES",
    "RULES",
    "available",
    "backprop",
    "batchwise_sign_concordant",
    "burstprop",
    "deep_feedback_control",
    "dendritic_microcircuit",
    "difference_reconstruction_loss",
    "difference_target_propagation",
    "direct_feedback_alignment",
    "direct_random_target_projection",
    "equilibrium_propagation",
    "feedback_alignment",
    "fixed_sign_concordant",
    "kolen_pollack",
    "local_difference_reconstruction_loss",
    "node_perturbation",
    "predictive_coding",
    "readout_only",
    "target_propagation",
    "uniform_sign_concordant",
    "weight_mirror",
]
