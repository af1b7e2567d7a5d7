"""The sections that a referee asks for: common corruptions, calibration, memorised labels, planned
contrasts; '' where not measured.
"""

import math
from html import escape

from bioplaus.measure.statistics import SHARE
from bioplaus.report.markup import arms, estimate, figure, note, table
from bioplaus.report.run import Arm, Run, interval, number, seeds_of
from bioplaus.report.text import NONE, percent

# of contrasts; others: a fraction
UNITS = {"mCE_BP": "%", "relative mCE_BP": "%", "nll": "nat", "brier": "squared probability"}


def corruption(run: Run, svgs: dict[str, str]) -> str:
    """Curves over severity, errors against the backprop twin, and calibration on clean images."""
    columns = {
        "mCE<sub>BP</sub><small>%, bp is 100</small>": [
            _errors(run, a, "mCE_BP") for a in run.arms
        ],
        "Relative mCE<sub>BP</sub><small>%, bp is 100</small>": [
            _errors(run, a, "relative mCE_BP") for a in run.arms
        ],
        "Retained<small>%, IQM</small>": [_retained(a) for a in run.arms],
        "ECE<small>%</small>": [
            estimate(interval(seeds_of(run, a, "ece", "clean").values(), SHARE)) for a in run.arms
        ],
        "NLL<small>nat</small>": [_plain(run, a, "nll", math.inf) for a in run.arms],
        "Brier<small>0 to 2</small>": [_plain(run, a, "brier", 2.0) for a in run.arms],
        "AURC<small>%</small>": [
            estimate(interval(seeds_of(run, a, "aurc", "clean").values(), SHARE)) for a in run.arms
        ],
    }
    columns = {name: cells for name, cells in columns.items() if any(cells)}
    if not columns:
        return ""
    source = str(run.summary.get("corruptions") or "")
    text = (
        f"Accuracy on corrupted test images{f' ({source})' if source else ''}, the same images for"
        " every arm. Severities 1 to 5 are those of the published files, or of"
        " bioplaus.measure.robustness.corruptions. Lines are means over seeds, bands their 95 %"
        " intervals."
    )
    rows = [[column[i] or NONE for column in columns.values()] for i in range(len(run.arms))]
    return (
        figure(svgs, "corruption", text)
        + table(list(columns), arms(run), rows)
        + note(
            (
                "Errors summed over severities as a share of those of the same arm trained by"
                " backprop, mean over corruptions; relative: errors above those on clean images."
                " Not comparable with mCE against AlexNet."
                if any("mCE" in c for c in columns)
                else ""
            ),
            (
                "Retained: accuracy at severities 1 to 5 as a share of that on clean images, chance"
                " taken off both; interquartile mean over seeds and corruptions [stratified"
                " bootstrap]."
                if any("IQM" in c for c in columns)
                else ""
            ),
            (
                "ECE (15 bins), NLL, Brier score and AURC: on clean test images; lower is better."
                " AURC: error among the answers that the net is surest of, mean over how many of"
                " them are taken."
                if any("ECE" in c for c in columns)
                else ""
            ),
        )
    )


def memory(run: Run, svgs: dict[str, str]) -> str:
    """What became of the training examples with a wrong label."""
    del svgs
    cells = [
        [
            estimate(interval(seeds_of(run, a, m, "flipped labels").values(), SHARE)) or NONE
            for m in ("memorised", "recovered")
        ]
        for a in run.arms
    ]
    if all(c == NONE for row in cells for c in row):
        return ""
    return table(
        ["Memorised<small>%</small>", "Recovered<small>%</small>"], arms(run), cells
    ) + note(
        "Of the training examples whose label is wrong: answered by that label, and answered by the"
        " true one."
    )


def contrasts(run: Run, svgs: dict[str, str]) -> str:
    """The comparisons named in the study before it ran."""
    del svgs
    found = run.summary.get("contrasts") or []
    if not found:
        return ""
    heads = [
        escape(f"{c['a']} – {c['b']}, {c['metric']}")
        + f"<small>{UNITS.get(c['metric'], 'fraction')}</small>"
        for c in found
    ]
    cells = [
        [
            _signed(c, "mean", "low", "high"),
            _value(c.get("p"), "{:.2g}"),
            _value(c.get("p_holm"), "{:.2g}"),
            _signed(c, "improvement", "improvement_low", "improvement_high"),
            f"{c['n']}",
        ]
        for c in found
    ]
    columns = [
        "Difference<small>paired [95 %]</small>",
        "p",
        "p, Holm",
        "P(a &gt; b)<small>[95 %]</small>",
        "Pairs",
    ]
    return table(columns, heads, cells) + note(
        "Named in the study file before it ran; p: paired t test over seeds, corrected by Holm for"
        " all of these. Of a curve, the metric is the mean accuracy over its sizes (trapezoids). No"
        " other comparison on this page was planned, and none carries a p-value."
    )


def _errors(run: Run, arm: Arm, measure: str) -> str:
    x = interval(
        (v / 100 for v in seeds_of(run, arm, measure, "all corruptions").values()), (0.0, math.inf)
    )
    return estimate(x)


def _retained(arm: Arm) -> str:
    found = arm.about.get("retained") or {}
    if not found:
        return ""
    low, high = percent(number(found["low"])), percent(number(found["high"]))
    return f"<b>{percent(number(found['iqm']))}</b><small>[{low}, {high}]</small>"


def _plain(run: Run, arm: Arm, measure: str, most: float) -> str:
    x = interval(seeds_of(run, arm, measure, "clean").values(), (0.0, most))
    if not x.n:
        return ""
    spread = f"<small>[{x.low:.3f}, {x.high:.3f}]</small>" if math.isfinite(x.low) else ""
    return f"<b>{x.mean:.3f}</b>{spread}"


def _signed(c: dict, mean: str, low: str, high: str) -> str:
    if c.get(mean) is None:
        return NONE
    spread = f"<small>[{c[low]:.3g}, {c[high]:.3g}]</small>" if c.get(low) is not None else ""
    return f"<b>{c[mean]:.3g}</b>{spread}".replace("-", "−")


def _value(x: float | None, form: str) -> str:
    return NONE if x is None else form.format(x)
