"""The headline numbers of each arm of a run, and warnings about them."""

import math
from typing import NamedTuple

import numpy as np

from bioplaus.measure import statistics
from bioplaus.measure.robustness.masking import NOISE_SHARE, POINT
from bioplaus.record import CLEAN, FROZEN, TRAINING, Condition, Measure, paired, partners
from bioplaus.record.conditions import ATTACKS, PGD, QUANTILES, in_words
from bioplaus.record.measures import ACCURACY, ENERGY, MACS
from bioplaus.report.read import (
    ReportedArm,
    Run,
    SeedInterval,
    Seeds,
    conditions,
    curve,
    interval,
    number,
    seeds_of,
)

KINDS = tuple(map(in_words, ("input_noise", "weight_noise", "lesion")))


class Headline(NamedTuple):
    """The headline numbers of an arm; None, or NaN for macs, if they were not measured.

    accuracy, difference (from the frozen baseline) and retention are fractions; macs are per
    sample; energy is (median, 5th percentile, 95th percentile), in joules per sample.
    """

    arm: ReportedArm
    accuracy: SeedInterval
    difference: SeedInterval | None
    retention: SeedInterval | None
    macs: float
    energy: tuple[float, float, float] | None


def headlines(run: Run) -> list[Headline]:
    """The headline numbers of all arms, in order of appearance."""
    return [
        Headline(
            arm,
            interval(clean(run, arm).values(), ACCURACY.bounds),
            difference(run, arm, base),
            retention(run, arm),
            seeds_of(run, arm, MACS, TRAINING).get("", math.nan),
            energy(run, arm, ENERGY),
        )
        for arm, base in zip(run.arms, baselines(run), strict=True)
    ]


def clean(run: Run, arm: ReportedArm) -> Seeds:
    return seeds_of(run, arm, ACCURACY, CLEAN)


def energy(
    run: Run, arm: ReportedArm, measure: Measure, profile: str | None = None
) -> tuple[float, float, float] | None:
    """The median, 5th and 95th percentile over the assumptions of a profile, in J per sample.

    profile: None for that of the headline table.
    """
    profile = None if profile == run.summary.get("energy_profile") else profile
    values = [
        seeds_of(run, arm, measure, Condition(q, profile=profile)).get("", math.nan)
        for q in QUANTILES
    ]
    return None if math.isnan(values[0]) else (values[0], values[1], values[2])


def baselines(run: Run) -> list[ReportedArm | None]:
    """For each arm, the frozen baseline that it is compared with, see `record.partners`.

    None for the baseline itself, and for an arm without one.
    """
    found = partners(FROZEN, [a.columns for a in run.arms])
    return [
        None if arm.baseline or i is None else run.arms[i]
        for arm, i in zip(run.arms, found, strict=True)
    ]


def difference(run: Run, arm: ReportedArm, base: ReportedArm | None) -> SeedInterval | None:
    """Clean accuracy minus that of the frozen baseline, paired by seed."""
    if base is None:
        return None
    found = statistics.paired_interval(
        *paired(clean(run, arm), clean(run, base)), bounds=ACCURACY.bounds
    )
    return (
        SeedInterval(float(found.mean), float(found.low), float(found.high), int(found.n))
        if found.n
        else None
    )


def kinds(run: Run) -> list[str]:
    """The kinds of disturbance in the run: first `KINDS`, then others, last all attacks as one.

    The kind of the attacks has the name PGD.
    """
    names = [c.name for c in conditions(run, ACCURACY) if c.severity is not None]
    found = dict.fromkeys(PGD if n in ATTACKS else n for n in names)
    last = {name: i for i, name in enumerate((*KINDS, "", PGD))}
    return sorted(found, key=lambda n: last.get(n, len(KINDS)))


def severities(run: Run, arm: ReportedArm, *names: str) -> dict[float, Seeds]:
    """Severity -> seed -> the lowest accuracy under any of the disturbances `names`.

    Clean accuracy is used at severity 0 if it was not measured there.
    """
    points: dict[float, Seeds] = {}
    for name in names:
        for x, seeds in curve(run, arm, ACCURACY, "severity", Condition(name)).items():
            least = points.setdefault(x, {})
            least.update({s: min(v, least.get(s, math.inf)) for s, v in seeds.items()})
    if points:
        points.setdefault(0.0, clean(run, arm))
    return dict(sorted(points.items()))


def kept(run: Run, arm: ReportedArm, kind: str) -> Seeds:
    """Seed -> retained accuracy under one kind of disturbance.

        retention = (A - c) / (accuracy(0) - c)
        A = 1 / (s_K - s_0) * integral of accuracy(s) ds from s_0 to s_K, by trapezoids

    s_0 = 0, ..., s_K: severities. c: the accuracy of guessing, from the run's summary; without it
    the result is {}. Under attack, accuracy is the lowest that any of the attacks reached; the
    result is {} for an arm that was not attacked by its gradient.
    """
    if kind == PGD and not curve(run, arm, ACCURACY, "severity", Condition(PGD)):
        return {}
    points = severities(run, arm, *(ATTACKS if kind == PGD else (kind,)))
    if len(points) < 2:
        return {}
    seeds = [s for s in points[0.0] if all(s in p for p in points.values())]
    y = np.array([[p[s] for p in points.values()] for s in seeds]).reshape(len(seeds), len(points))
    chance = number(run.summary.get("chance"))
    found = statistics.retention(statistics.nauc(list(points), y), y[:, 0], chance)
    return {s: float(v) for s, v in zip(seeds, found, strict=True) if math.isfinite(v)}


def retention(run: Run, arm: ReportedArm) -> SeedInterval | None:
    """The mean of `kept` over all kinds of disturbance in the run.

    Only seeds that were measured under all of them count, so that arms stay comparable.
    """
    each = [kept(run, arm, kind) for kind in kinds(run)]
    if not each:
        return None
    result = interval(
        float(np.mean([k[s] for k in each])) for s in each[0] if all(s in k for k in each)
    )
    return result if result.n else None


def doubts(run: Run, arm: ReportedArm) -> list[str]:
    """Warnings beside an arm's numbers: seeds that diverged, and signs that it did not train."""
    out = [f"{len(arm.diverged)} of {len(run.seeds)} seeds diverged"] if arm.diverged else []
    if arm.about.get("settled") is False:
        out.append("did not settle")
    if still := arm.about.get("untrained"):
        out.append(f"layer{'s' * (len(still) > 1)} {', '.join(map(str, still))} did not learn")
    if rose := arm.about.get("risen"):
        out.append(f"loss rose in {len(rose)} of {len(run.seeds)} seeds")
    return out


def cautions(run: Run) -> list[str]:
    """Warnings that follow from the numbers: few or missing seeds, no baseline, weak attacks."""
    out = []
    if len(run.seeds) < 3:
        number_of_seeds = "1 seed" if len(run.seeds) == 1 else f"{len(run.seeds)} seeds"
        out.append(f"Only {number_of_seeds}: differences between arms may be due to chance.")
    if run.arms and not any(a.baseline for a in run.arms):
        out.append(
            f"This run has no '{FROZEN}' baseline: it does not show how much of the accuracy is due"
            " to learning in hidden layers, rather than to the readout alone."
        )
    for arm in run.arms:
        lost = [s for s in run.seeds if s not in arm.diverged and s not in clean(run, arm)]
        if lost:
            out.append(
                f"{arm.label}: clean accuracy is missing for seed {', '.join(lost)}, which was not"
                " reported as diverged."
            )
        out += _blind(run, arm)
    return out


def _blind(run: Run, arm: ReportedArm) -> list[str]:
    """Warnings that the attack may be too weak, from the areas under the curves of its controls.

    This is a hint only: the twelve checks of `claim` need further attacks.
    """
    white, *controls = (severities(run, arm, name) for name in ATTACKS)
    grid = [x for x in white if all(x in c for c in controls if c)]
    if len(grid) < 2 or not any(controls):
        return []

    def area(points: dict[float, Seeds]) -> float:
        return float(statistics.nauc(grid, [interval(points[x].values()).mean for x in grid]))

    clean, seen = interval(white[grid[0]].values()).mean, area(white)
    transferred, noise = (area(c or white) for c in controls)
    out = []
    if controls[0] and transferred < seen - POINT:
        out.append(
            f"{arm.label}: the attack made for the bp twin lowers accuracy more than PGD on the arm"
            " itself; the gradient of the arm may be masked, or PGD has too few steps."
        )
    if controls[1] and clean - noise >= NOISE_SHARE * (clean - seen):
        out.append(
            f"{arm.label}: random signs lower accuracy at least half as much as PGD does; the"
            " gradient of the arm may be masked."
        )
    return out
