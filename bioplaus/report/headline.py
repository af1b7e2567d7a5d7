"""The headline numbers of a run, one row an arm, and what a careful reader should be told before believing them."""

import math
from typing import NamedTuple

import numpy as np

from bioplaus.report.run import BASELINE, Arm, Interval, Run, Seeds, curve, interval, number, parse, seeds_of

ATTACKS = ("pgd", "transfer", "random sign")


class Headline(NamedTuple):
    """Fractions; MAC and J per sample. None where nothing was measured. energy: median, 5th and 95th percentile."""

    arm: Arm
    accuracy: Interval
    difference: Interval | None
    retention: Interval | None
    macs: float
    energy: tuple[float, float, float] | None


def headlines(run: Run) -> list[Headline]:
    """One row an arm, in order of appearance."""
    return [
        Headline(
            arm,
            interval(clean(run, arm).values()),
            difference(run, arm),
            retention(run, arm),
            seeds_of(run, arm, "macs", "training").get("", math.nan),
            energy(run, arm, "energy total"),
        )
        for arm in run.arms
    ]


def clean(run: Run, arm: Arm) -> Seeds:
    return seeds_of(run, arm, "accuracy", "clean")


def energy(run: Run, arm: Arm, measure: str) -> tuple[float, float, float] | None:
    """Median, 5th and 95th percentile over the energy profile's assumptions, J per sample."""
    values = [seeds_of(run, arm, measure, c).get("", math.nan) for c in ("median", "p05", "p95")]
    return None if math.isnan(values[0]) else (values[0], values[1], values[2])


def baseline_of(run: Run, arm: Arm) -> Arm | None:
    """The frozen baseline on the same data that shares most of the other columns."""
    same = [a for a in run.arms if a.baseline and a is not arm and a.columns["data"] == arm.columns["data"]]
    return max(same, key=lambda a: sum(a.columns[c] == arm.columns[c] for c in a.columns), default=None)


def difference(run: Run, arm: Arm) -> Interval | None:
    """Clean accuracy less that of the frozen baseline, paired by seed: as the run's summary has it, else computed here."""
    base = None if arm.baseline else baseline_of(run, arm)
    if base is None:
        return None
    a, b = clean(run, arm), clean(run, base)
    paired = interval(a[s] - b[s] for s in a if s in b)
    for c in run.summary.get("comparisons", ()):
        if c.get("measure") == "accuracy" and (c.get("a"), c.get("b")) == (arm.label, base.label):
            return Interval(number(c["mean"]), number(c["low"]), number(c["high"]), paired.n)
    return paired if paired.n else None


def kinds(run: Run) -> list[str]:
    """The kinds of robustness in the run; the attacks are one kind, named by the first of `ATTACKS`."""
    names = [k for (_, m), cs in run.values.items() if m == "accuracy" for c in cs for k in parse(c)]
    return list(dict.fromkeys(ATTACKS[0] if n in ATTACKS else n for n in names))


def severities(run: Run, arm: Arm, kind: str) -> dict[float, Seeds]:
    """severity -> seed -> accuracy, from clean accuracy at severity 0 on."""
    points = curve(run, arm, "accuracy", kind)
    return {0.0: clean(run, arm), **points} if points and 0.0 not in points else points


def strongest(run: Run, arm: Arm, kind: str) -> dict[float, Seeds]:
    """As `severities`; for attacks the lowest accuracy that any of them reached, seed by seed."""
    points = {0.0: dict(clean(run, arm))} | {x: dict(seeds) for x, seeds in severities(run, arm, kind).items()}
    for other in ATTACKS[1:] if kind == ATTACKS[0] else ():
        for x, seeds in curve(run, arm, "accuracy", other).items():
            for s, value in seeds.items():
                points.setdefault(x, {})[s] = min(value, points.get(x, {}).get(s, math.inf))
    return dict(sorted(points.items()))


def kept(run: Run, arm: Arm, kind: str) -> Seeds:
    """Retention of one kind, by seed: mean accuracy over the severity range, as a share of accuracy at severity 0.

        retention = (A - c) / (accuracy(0) - c),   A = 1/(s_K - s_0) * integral of accuracy ds (trapezoids)

    c: chance, where the run's summary states it ('chance'), else 0.
    """
    points = strongest(run, arm, kind)
    chance, x, out = number(run.summary.get("chance", 0.0)), list(points), {}
    if len(x) < 2:
        return {}
    for s in points[x[0]]:
        y = [points[v].get(s, math.nan) for v in x]
        area = float(np.trapezoid(y, x)) / (x[-1] - x[0])
        if math.isfinite(area) and y[0] > chance:
            out[s] = (area - chance) / (y[0] - chance)
    return out


def retention(run: Run, arm: Arm) -> Interval | None:
    """Mean of `kept` over the kinds in the run; only for seeds measured under all of them, so that arms stay comparable."""
    each = [kept(run, arm, kind) for kind in kinds(run)]
    if not each:
        return None
    result = interval(float(np.mean([k[s] for k in each])) for s in each[0] if all(s in k for k in each))
    return result if result.n else None


def cautions(run: Run) -> list[str]:
    """What the numbers themselves call for: lost seeds, unsettled rules, attacks that look masked, no baseline."""
    out = []
    if len(run.seeds) < 3:
        out.append(f"Only {len(run.seeds)} seed(s): differences between arms may be chance.")
    if run.arms and not any(a.baseline for a in run.arms):
        out.append(f"No '{BASELINE}' baseline here: what hidden layers learned cannot be told from a trained readout alone.")
    for arm in run.arms:
        if arm.diverged:
            out.append(
                f"{arm.label}: {len(arm.diverged)} of {len(run.seeds)} seeds diverged (seed {', '.join(arm.diverged)});"
                " its means are over the others and so flatter it."
            )
        lost = [s for s in run.seeds if s not in arm.diverged and s not in clean(run, arm)]
        if lost:
            out.append(f"{arm.label}: no clean accuracy for seed {', '.join(lost)}, though not reported as diverged.")
        if arm.about.get("settled") is False:
            out.append(f"{arm.label}: its states did not settle; what it computes is not its fixed point.")
        out += _masked(run, arm)
    return out


def _masked(run: Run, arm: Arm) -> list[str]:
    """The signs of a masked gradient: an attack that does not see this net's gradient beats the one that does."""
    own, out = curve(run, arm, "accuracy", ATTACKS[0]), []
    for other in ATTACKS[1:]:
        for x, seeds in curve(run, arm, "accuracy", other).items():
            gaps = [own[x][s] - v for s, v in seeds.items() if x > 0 and s in own.get(x, {})]
            if gaps and float(np.mean(gaps)) > 0.01:  # one point: more than the noise of a paired test set of some thousands
                out.append(
                    f"{arm.label}: at size {x:g} the {other} attack is stronger than PGD on the net itself"
                    f" (by {100 * float(np.mean(gaps)):.1f} points): its gradient may be masked, or PGD was too short."
                )
                break
    return out
