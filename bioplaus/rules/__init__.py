"""Learning rules. RULES: key -> factory (net, loss, *, hyperparameters) -> Rule.

BASELINES: what a rule has to beat.
"""

from bioplaus.entry import learning_rule
from bioplaus.extensions import with_extensions
from bioplaus.rules.backprop import backprop, readout_only
from bioplaus.rules.burst import burstprop
from bioplaus.rules.clapp import clapp
from bioplaus.rules.competitive import krotov, softhebb
from bioplaus.rules.contrastive import contrastive_hebbian, coupled_learning
from bioplaus.rules.decolle import decolle
from bioplaus.rules.deep_feedback_control import deep_feedback_control
from bioplaus.rules.dendritic_microcircuit import dendritic_microcircuit
from bioplaus.rules.dendritic_prediction import dendritic_prediction
from bioplaus.rules.difference_reconstruction import (
    difference_reconstruction_loss,
    local_difference_reconstruction_loss,
)
from bioplaus.rules.direct_feedback_alignment import direct_feedback_alignment
from bioplaus.rules.direct_random_target_projection import direct_random_target_projection
from bioplaus.rules.eprop import eprop
from bioplaus.rules.equilibrium_propagation import (
    equilibrium_propagation,
    negative_equilibrium_propagation,
    positive_equilibrium_propagation,
)
from bioplaus.rules.error_predictive_coding import error_predictive_coding
from bioplaus.rules.feedback_alignment import feedback_alignment
from bioplaus.rules.fixed_prediction import fixed_prediction
from bioplaus.rules.forward_forward import forward_forward
from bioplaus.rules.forward_gradient import (
    activity_forward_gradient,
    forward_gradient,
    weight_perturbation,
)
from bioplaus.rules.hebbian import bcm, hebb, oja, sanger
from bioplaus.rules.holomorphic_equilibrium_propagation import holomorphic_equilibrium_propagation
from bioplaus.rules.incremental_predictive_coding import incremental_predictive_coding
from bioplaus.rules.kolen_pollack import kolen_pollack
from bioplaus.rules.local_losses import local_losses, local_prediction, local_similarity
from bioplaus.rules.node_perturbation import node_perturbation
from bioplaus.rules.ottt import ottt
from bioplaus.rules.pepita import pepita
from bioplaus.rules.phsic import phsic
from bioplaus.rules.predictive_coding import predictive_coding, zero_divergence_inference_learning
from bioplaus.rules.rate_regularised import rate_regularised
from bioplaus.rules.rtrl import rtrl
from bioplaus.rules.segregated_dendrites import segregated_dendrites
from bioplaus.rules.sign_concordant import (
    batchwise_sign_concordant,
    fixed_sign_concordant,
    uniform_sign_concordant,
)
from bioplaus.rules.signal_propagation import signal_propagation
from bioplaus.rules.stdp import rstdp, stdp
from bioplaus.rules.target_propagation import difference_target_propagation, target_propagation
from bioplaus.rules.td import td
from bioplaus.rules.three_factor import three_factor
from bioplaus.rules.weight_mirror import weight_mirror
from bioplaus.support import needs_rewards, needs_time
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
    "wp": weight_perturbation,
    "fg": forward_gradient,
    "afg": activity_forward_gradient,
    "threefactor": three_factor,
    "td": td,
    "phsic": phsic,
    "tp": target_propagation,
    "dtp": difference_target_propagation,
    "drl": difference_reconstruction_loss,
    "ldrl": local_difference_reconstruction_loss,
    "pc": predictive_coding,
    "zil": zero_divergence_inference_learning,
    "fpa": fixed_prediction,
    "epc": error_predictive_coding,
    "ipc": incremental_predictive_coding,
    "ep": equilibrium_propagation,
    "pep": positive_equilibrium_propagation,
    "nep": negative_equilibrium_propagation,
    "hep": holomorphic_equilibrium_propagation,
    "chl": contrastive_hebbian,
    "cpl": coupled_learning,
    "burstprop": burstprop,
    "dendritic_microcircuit": dendritic_microcircuit,
    "dfc": deep_feedback_control,
    "pepita": pepita,
    "local_pred": local_prediction,
    "local_sim": local_similarity,
    "local_losses": local_losses,
    "ff": forward_forward,
    "sigprop": signal_propagation,
    "hebb": hebb,
    "oja": oja,
    "sanger": sanger,
    "bcm": bcm,
    "softhebb": softhebb,
    "krotov": krotov,
    "clapp": clapp,
    "eprop": eprop,
    "decolle": decolle,
    "ottt": ottt,
    "rtrl": rtrl,
    "stdp": stdp,
    "rstdp": rstdp,
    "urbanczik_senn": dendritic_prediction,
    "guerguiev": segregated_dendrites,
}

BASELINES = {"frozen": readout_only}


def of_labels(*, over_time: bool = True) -> list[str]:
    """The keys of RULES that learn from data with labels: what `all` means in a study. The others
    need the rewards of a world. over_time: whether the net runs over time; without it, rules that
    need time are left out, too."""
    return [
        key
        for key, factory in RULES.items()
        if not needs_rewards(factory) and (over_time or not needs_time(factory))
    ]


def available() -> dict[str, RuleFactory]:
    """Rules and baselines by key, with those that other packages register.

    Other packages register rules as entry points `bioplaus.rules`. Raises ExtensionError, a
    ValueError, if two rules have the same key, or if a package's rule cannot be loaded.
    """
    found = with_extensions("bioplaus.rules", {**RULES, **BASELINES})
    # `learning_rule` adds the checks of batches and hyperparameters to rules of other packages.
    return {key: learning_rule(factory) for key, factory in found.items()}


__all__ = [
    "BASELINES",
    "RULES",
    "activity_forward_gradient",
    "available",
    "backprop",
    "batchwise_sign_concordant",
    "bcm",
    "burstprop",
    "clapp",
    "contrastive_hebbian",
    "coupled_learning",
    "decolle",
    "deep_feedback_control",
    "dendritic_microcircuit",
    "dendritic_prediction",
    "difference_reconstruction_loss",
    "difference_target_propagation",
    "direct_feedback_alignment",
    "direct_random_target_projection",
    "eprop",
    "equilibrium_propagation",
    "error_predictive_coding",
    "feedback_alignment",
    "fixed_prediction",
    "fixed_sign_concordant",
    "forward_forward",
    "forward_gradient",
    "hebb",
    "holomorphic_equilibrium_propagation",
    "incremental_predictive_coding",
    "kolen_pollack",
    "krotov",
    "local_difference_reconstruction_loss",
    "local_losses",
    "local_prediction",
    "local_similarity",
    "negative_equilibrium_propagation",
    "node_perturbation",
    "of_labels",
    "oja",
    "ottt",
    "pepita",
    "phsic",
    "positive_equilibrium_propagation",
    "predictive_coding",
    "rate_regularised",
    "readout_only",
    "rstdp",
    "rtrl",
    "sanger",
    "segregated_dendrites",
    "signal_propagation",
    "softhebb",
    "stdp",
    "target_propagation",
    "td",
    "three_factor",
    "uniform_sign_concordant",
    "weight_mirror",
    "weight_perturbation",
    "zero_divergence_inference_learning",
]
