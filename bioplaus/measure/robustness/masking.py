"""Does an attack fail because the net is robust, or because it is blind?

There are twelve checks; a claim of robustness is made only if all of them pass.

    F1   PGD is at least as strong as a single step (FGSM)
    F2   twice as many steps change little
    F3   more restarts change little
    F4   accuracy falls as the radius grows
    F5   accuracy falls to chance at a large radius
    F6   attacks by queries break few examples that PGD does not break
    F7   adversarial examples made on other nets break few that PGD does not break
    F8   random signs cause less than half of the attack's drop in accuracy
    F9   gradients are not exactly zero, and outputs are not probabilities
    F10  for a net with noise, the gradient is averaged over noise, and attacking one fixed noise
         sample is not harder than attacking fresh noise
    F11  clean accuracy was measured, and is above chance
    F12  every hyperparameter is stored
The attack is PGD with `restarts` restarts, the worst of which counts for each example. Values are
means over examples and seeds.

Carlini et al., "On Evaluating Adversarial Robustness", 2019, arXiv:1902.06705: the checks turn its
checklist into numbers. Athalye, Carlini, Wagner, "Obfuscated Gradients Give a False Sense of
Security", 2018, arXiv:1802.00420.
Departures: each threshold below is ours. Square and the ray search are one number with random
sampling (F6).
"""

import math
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike

from bioplaus.measure.robustness.attacks import SINGLE_TRY
from bioplaus.measure.robustness.suite import Budget, Suite, radii, settings_of

POINT = 0.01
"""One point of accuracy: how much twice the steps or restarts may change (F2, F3), how much
accuracy may rise with the radius (F4), and which share of gradients may be zero (F9).
"""
BY_EXAMPLE = 0.02
"""Share of examples that a weaker attack alone may break (F6, F7), or fixed noise may hide (F10).
More restarts gain as much on a net whose gradients are not masked.
"""
NOISE_SHARE = 0.5
"""Share of the attack's drop in accuracy that random signs may cause (F8)."""
MIN_DRAWS = 20
"""Smallest number of noise samples per gradient for a net with noise (F10)."""

CHECKS = {
    "F1": "lead of the single step over PGD",
    "F2": "change by twice the steps",
    "F3": "gain of as many restarts again",
    "F4": "largest rise of accuracy with the radius",
    "F5": "accuracy at the largest radius, against chance",
    "F6": "examples that queries alone break",
    "F7": "examples that other nets' examples alone break",
    "F8": "drop by random signs over drop by the attack",
    "F9": "examples with a gradient of zero, or a softmax for logits",
    "F10": "hidden by fixed noise (1: mean gradient over too few samples)",
    "F11": "clean accuracy, above chance",
    "F12": "hyperparameters that are missing, or not those that ran",
}


class Flag(NamedTuple):
    """One check. name: F1 to F12, see `CHECKS`. value: NaN if it was not measured; then the check
    does not pass.
    """

    name: str
    value: float
    threshold: float
    passed: bool


class Claim(NamedTuple):
    """Robust accuracy at one radius. attacks: name -> accuracy [S] under this attack; `clean` is
    first, and `worst`, which takes the worst of all attacks for each example, is last.
    """

    budget: Budget
    attacks: dict[str, np.ndarray]
    flags: tuple[Flag, ...]

    @property
    def holds(self) -> bool:
        """Whether the claim may be made."""
        return all(f.passed for f in self.flags)


def claim(found: Suite, budget: Budget, chance: float) -> Claim:
    """The claim that the results of a suite support.

    found: results with an axis of seeds first, without the seeds that diverged. chance: accuracy of
    a random guess. Raises ValueError for results of another shape, or of no seed.
    """
    found = jax.tree.map(lambda a: np.asarray(a, np.float64), found)
    if found.clean.ndim != 4 or not found.clean.shape[0]:
        raise ValueError(
            f"claim: got clean answers {found.clean.shape}; give [seeds, 2, 1, examples], with one"
            " seed or more"
        )

    def accuracies(*tries: ArrayLike) -> np.ndarray:
        return surviving(found.clean, *tries).mean(-1)

    each = {
        **{name: getattr(found, name) for name in ("fgsm", "pgd", "further", "longer", "transfer")},
        **{name: found.single_try[name] for name in SINGLE_TRY},  # jit does not keep this order
        **{name: getattr(found, name) for name in ("random_signs", "random_ball")},
    }
    attacks = {name: accuracies(tries) for name, tries in each.items() if tries.shape[-2]}
    return Claim(
        budget,
        {"clean": accuracies(), **attacks, "worst": accuracies(*each.values())},
        _flags(found, budget, chance),
    )


def _flags(found: Suite, budget: Budget, chance: float) -> tuple[Flag, ...]:
    """The twelve checks."""

    def mean(*tries: ArrayLike) -> float:
        return float(surviving(found.clean, *tries).mean())

    clean, white = mean(), mean(found.pgd)
    sweep = [mean(found.sweep[..., k : k + 1, :]) for k in range(found.sweep.shape[-2])]
    queries = (
        *(found.single_try[name] for name, attack in SINGLE_TRY.items() if attack.queries),
        found.random_signs,
        found.random_ball,
    )
    drop = clean - white
    stored = [
        isinstance(v, int | float) and math.isfinite(v) for v in (*budget[:-1], *budget.bounds)
    ]
    ran = (
        found.pgd.shape[-2] == budget.restarts,
        found.random_ball.shape[-2] == -(-budget.samples // 2),
    )
    values = {
        "F1": (white - mean(found.fgsm), 0.0),
        "F2": (abs(mean(found.longer) - white), POINT),
        "F3": (white - mean(found.pgd, found.further), POINT),
        "F4": (np.diff([clean, *sweep]).max(), POINT),
        "F5": (sweep[-1], chance),
        "F6": (white - mean(found.pgd, *queries), BY_EXAMPLE),
        "F7": (
            white - mean(found.pgd, found.transfer) if found.transfer.shape[-2] else math.nan,
            BY_EXAMPLE,
        ),
        "F8": (
            (clean - found.random_signs[:, 1].mean()) / drop if drop > 0 else 1.0,
            NOISE_SHARE,
        ),
        "F9": (max(found.blind.mean(), found.softmax.mean()), POINT),
        "F10": (_hidden_by_fixed_noise(found, budget, mean(found.pgd[..., :1, :])), BY_EXAMPLE),
        "F11": (clean, chance),
        "F12": ([*stored, *ran].count(False), 0.0),
    }
    return tuple(
        Flag(n, float(v), float(t), bool(v > t if n == "F11" else v <= t))
        for n, (v, t) in values.items()
    )


def _hidden_by_fixed_noise(found: Suite, budget: Budget, one_restart: float) -> float:
    """By how much accuracy at a fixed noise sample exceeds that of one restart with fresh noise. 1
    if gradients were averaged over too few noise samples; 0 for a net without noise.
    """
    if not found.noise.max() > 0:
        return 0.0
    if found.fixed is None or budget.draws < MIN_DRAWS:
        return 1.0
    return float(surviving(found.fixed).mean()) - one_restart


def surviving(*tries: ArrayLike) -> np.ndarray:
    """[S, B]: how often the answer to each example is correct at the worst of all tries.

    tries: arrays [S, 2, R, B] as in `Suite`, of S seeds. The worst try is chosen by the first half,
    and its value is taken from the second.
    """
    both = np.concatenate([np.asarray(t) for t in tries], -2)
    worst = both[:, :1].argmin(-2, keepdims=True)
    return np.take_along_axis(both[:, 1:], worst, -2)[:, 0, 0]


def render(found: Claim) -> str:
    """The claim and its checks as plain text. If a check fails, the text says that there is no
    claim.
    """
    failed = [f.name for f in found.flags if not f.passed]
    worst, clean = (100 * found.attacks[n].mean() for n in ("worst", "clean"))
    verdict = (
        f"no claim of robustness: {', '.join(failed)} failed"
        if failed
        else f"robust accuracy {worst:.1f} %, clean {clean:.1f} %"
    )
    lines = [f"epsilon = {found.budget.epsilon:g}: {verdict}"]
    for f in found.flags:
        bound = f"{'>' if f.name == 'F11' else '<='} {f.threshold:<5.3g}"
        lines.append(
            f"  {f.name:4}{'passed' if f.passed else 'FAILED'} {f.value:8.4f} {bound} "
            f" {CHECKS[f.name]}"
        )
    return "\n".join(lines)


def describe(budget: Budget) -> str:
    """Every hyperparameter in words, for the method section."""
    b, sweep = budget, ", ".join(f"{r:g}" for r in radii(budget))
    single = "; ".join(
        _with_settings(name, settings_of(one.attack, b)) for name, one in SINGLE_TRY.items()
    )
    mean = (
        f", each gradient and each answer a mean over {b.draws} noise samples"
        if b.draws > 1
        else ""
    )
    return (
        f"L-infinity, epsilon {b.epsilon:g}, this and all sizes as fractions of the range of the"
        f" inputs; FGSM; PGD of {b.steps} steps of {2.5 * b.epsilon / b.steps:.3g} from"
        f" {b.restarts} random starts, alternately on the loss and on the margin{mean};"
        f" {b.restarts} further restarts; {b.restarts} restarts of {2 * b.steps} steps; a sweep"
        f" over {sweep}; PGD of {b.steps} steps, one start, on each other net; {single};"
        f" {b.samples} random samples per example"
    )


def _with_settings(name: str, settings: dict[str, Any]) -> str:
    """'ray search (queries 1000, tolerance 0.001)'."""
    words = ", ".join(
        f"{key.replace('_', ' ')} {value:g}" for key, value in settings.items() if value is not None
    )
    plain = name.replace("_", " ")
    return f"{plain} ({words})" if words else plain
