"""Learning rules. RULES: key -> factory (net, loss, *, hyperparameters) -> Rule. BASELINES: what a rule has to beat."""

import importlib.metadata

from bioplaus.rules.backprop import backprop, readout_only
from bioplaus.rules.direct_feedback_alignment import direct_feedback_alignment
from bioplaus.rules.equilibrium_propagation import equilibrium_propagation
from bioplaus.rules.feedback_alignment import feedback_alignment
from bioplaus.rules.kolen_pollack import kolen_pollack
from bioplaus.rules.node_perturbation import node_perturbation
from bioplaus.rules.predictive_coding import predictive_coding
from bioplaus.rules.sign_concordant import uniform_sign_concordant
from bioplaus.types import RuleFactory

RULES = {
    "bp": backprop,
    "fa": feedback_alignment,
    "kp": kolen_pollack,
    "usf": uniform_sign_concordant,
    "dfa": direct_feedback_alignment,
    "np": node_perturbation,
    "pc": predictive_coding,
    "ep": equilibrium_propagation,
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
    "direct_feedback_alignment",
    "equilibrium_propagation",
    "feedback_alignment",
    "kolen_pollack",
    "node_perturbation",
    "predictive_coding",
    "readout_only",
    "uniform_sign_concordant",
]
