"""Is a failed attack the net's robustness, or the attack's blindness? Twelve checks; a claim is
made only where all hold.

    F1   PGD beats the single step              F7   examples made on other nets break no more,
        example by example
    F2   twice the steps change little          F8   random signs take less than half of what the
        attack takes
    F3   more restarts change little            F9   gradients are not exactly zero; the outputs are
        no probabilities
    F4   accuracy falls with the radius         F10  a net with noise: the mean gradient is used,
        fixed noise does not hide
    F5   it falls to chance at a large one      F11  clean accuracy is there, and above chance
    F6   queries break no more, by example      F12  every hyperparameter is stored
The attack: `restarts` of PGD, the worst of them for each example. Values are means over examples
and seeds.

Carlini et al., "On Evaluating Adversarial Robustness", 2019, arXiv:1902.06705, whose checklist this
is, made of numbers. Athalye, Carlini, Wagner, "Obfuscated Gradients Give a False Sense of
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
"""One point of accuracy: what twice the steps or restarts may change (F2, F3, F9), and accuracy may
rise with the radius (F4).
"""
BY_EXAMPLE = 0.02
"""Share of examples that a weaker attack alone may break (F6, F7, F10): on an honest net, restarts
gain as much.
"""
NOISE_SHARE = 0.5
"""Share of the attack's drop that random signs must stay below (F8)."""
DRAWS = 20
"""Fewest noise samples a gradient of a net with noise (F10)."""

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
    """One check. name: F1 to F12, see `CHECKS`; value: NaN for what was not measured, which does
    not pass.
    """

    name: str
    value: float
    threshold: float
    passed: bool


class Claim(NamedTuple):
    """Robust accuracy at one radius: for each example the worst of all attacks. attacks: name ->
    accuracy [S], `worst` last.
    """

    budget: Budget
    attacks: dict[str, np.ndarray]
    flags: tuple[Flag, ...]

    @property
    def holds(self) -> bool:
        """Whether it may be stated."""
        return all(f.passed for f in self.flags)


def claim(found: Suite, budget: Budget, chance: float) -> Claim:
    """The claim that a suite supports. chance: accuracy of a guess.

    found: with the axis of the seeds first, those that diverged left out. Raises ValueError for
    another shape, or no seed.
    """
    found = jax.tree.map(lambda a: np.asarray(a, np.float64), found)
    if found.clean.ndim != 4 or not found.clean.shape[0]:
        raise ValueError(
            f"claim: got clean answers {found.clean.shape}; give [seeds, 2, 1, examples], with one"
            " seed or more"
        )

    def kept(*tries: ArrayLike) -> np.ndarray:
        return surviving(found.clean, *tries)

    def mean(*tries: ArrayLike) -> float:
        return float(kept(*tries).mean())

    # in this order, which jit has not kept
    single = {name: found.single_try[name] for name in SINGLE_TRY}
    queries = (
        *(single[name] for name, one in SINGLE_TRY.items() if one.queries),
        found.random_signs,
        found.random_ball,
    )
    clean, white = mean(), mean(found.pgd)
    sweep = np.stack(
        [kept(found.sweep[..., k : k + 1, :]).mean() for k in range(found.sweep.shape[-2])]
    )
    drop = clean - white
    noise = (clean - found.random_signs[:, 1].mean()) / drop if drop > 0 else 1.0
    noisy, unhidden = found.noise.max() > 0, 0.0
    if noisy:
        unhidden = (
            float(surviving(found.fixed).mean()) - mean(found.pgd[..., :1, :])
            if found.fixed is not None
            else 1.0
        )
    if noisy and budget.draws < DRAWS:
        unhidden = 1.0
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
        "F4": (np.diff(np.concatenate([[clean], sweep])).max(), POINT),
        "F5": (sweep[-1], chance),
        "F6": (white - mean(found.pgd, *queries), BY_EXAMPLE),
        "F7": (
            white - mean(found.pgd, found.transfer) if found.transfer.shape[-2] else math.nan,
            BY_EXAMPLE,
        ),
        "F8": (noise, NOISE_SHARE),
        "F9": (max(found.blind.mean(), found.softmax.mean()), POINT),
        "F10": (unhidden, BY_EXAMPLE),
        "F11": (clean, chance),
        "F12": ([*stored, *ran].count(False), 0.0),
    }
    flags = tuple(
        Flag(n, float(v), float(t), bool(v > t if n == "F11" else v <= t))
        for n, (v, t) in values.items()
    )
    each = {
        **{name: getattr(found, name) for name in ("fgsm", "pgd", "further", "longer", "transfer")},
        **single,
        **{name: getattr(found, name) for name in ("random_signs", "random_ball")},
    }
    attacks = {n: kept(a).mean(-1) for n, a in each.items() if a.shape[-2]}
    return Claim(
        budget, {"clean": kept().mean(-1), **attacks, "worst": kept(*each.values()).mean(-1)}, flags
    )


def surviving(*tries: ArrayLike) -> np.ndarray:
    """[S, B]: how often the answer to each example is right at the worst of all tries, each [S, 2,
    R, B].
    """
    both = np.concatenate([np.asarray(t) for t in tries], -2)
    worst = both[:, :1].argmin(-2, keepdims=True)
    return np.take_along_axis(both[:, 1:], worst, -2)[:, 0, 0]


def render(found: Claim) -> str:
    """The claim and its checks as plain text; where one fails, what stands there is that there is
    no claim.
    """
    failed = [f.name for f in found.flags if not f.passed]
    worst, clean = (100 * found.attacks[n].mean() for n in ("worst", "clean"))
    said = (
        f"no claim of robustness: {', '.join(failed)} failed"
        if failed
        else f"robust accuracy {worst:.1f} %, clean {clean:.1f} %"
    )
    lines = [f"epsilon = {found.budget.epsilon:g}: {said}"]
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
        f" {b.samples} random samples an example"
    )


def _with_settings(name: str, settings: dict[str, Any]) -> str:
    """'ray search (queries 1000, tolerance 0.001)'."""
    said = ", ".join(
        f"{key.replace('_', ' ')} {value:g}" for key, value in settings.items() if value is not None
    )
    plain = name.replace("_", " ")
    return f"{plain} ({said})" if said else plain
