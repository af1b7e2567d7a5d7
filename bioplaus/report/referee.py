"""The sections on corruptions and calibration, wrong labels, and planned contrasts.

Each is '' without data.
"""

from html import escape

from bioplaus.record import ALL_CORRUPTIONS, CLEAN, FLIPPED, MEASURES, measures_of
from bioplaus.record.measures import ACCURACY
from bioplaus.report.markup import arms, figure, heading, listed, note, stated, table
from bioplaus.report.read import ReportedArm, Run, number
from bioplaus.report.text import NONE, percent


def corruption(run: Run, svgs: dict[str, str]) -> str:
    """Curves over severity, errors relative to backprop's, and calibration on clean images."""
    errors = {
        heading(m): [stated(run, a, m, ALL_CORRUPTIONS) for a in run.arms]
        for m in measures_of("corruption")
    }
    kept = {"Retained<small>%, IQM</small>": [_retained(a) for a in run.arms]}
    calibrated = {
        heading(m): [stated(run, a, m, CLEAN) for a in run.arms] for m in measures_of("calibration")
    }
    columns = {name: cells for name, cells in (errors | kept | calibrated).items() if any(cells)}
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
                "mCE_BP: the errors of an arm, summed over severities, in percent of those of the"
                " same arm trained by backprop; mean over corruptions. The relative form takes the"
                " error on clean images off both. Neither can be compared with published mCE, which"
                " is relative to AlexNet."
                if columns.keys() & errors.keys()
                else ""
            ),
            (
                "Retained: accuracy at severities 1 to 5 as a share of that on clean images, after"
                " the accuracy of guessing is subtracted from both; IQM, the interquartile mean"
                " over seeds and corruptions [95 % stratified bootstrap interval]."
                if columns.keys() & kept.keys()
                else ""
            ),
            (
                f"On clean test images: {_better()}. ECE: expected calibration error, of 15 bins."
                " NLL: negative log-likelihood. Brier: Brier score. AURC: area under the"
                " risk-coverage curve, which is the error among the most confident answers,"
                " averaged over the share of answers that is kept."
                if columns.keys() & calibrated.keys()
                else ""
            ),
        )
    )


def memory(run: Run, svgs: dict[str, str]) -> str:
    """The answers of the net to training examples with a wrong label."""
    del svgs
    measures = measures_of("labels")
    cells = [[stated(run, a, m, FLIPPED) or NONE for m in measures] for a in run.arms]
    if all(c == NONE for row in cells for c in row):
        return ""
    return table([*map(heading, measures)], arms(run), cells) + note(
        "Share of the training examples with a wrong label to which the net answers with the wrong"
        " label (memorised), and with the true label (recovered)."
    )


def contrasts(run: Run, svgs: dict[str, str]) -> str:
    """The comparisons that the study file named before the run."""
    del svgs
    found = run.summary.get("contrasts") or []
    if not found:
        return ""
    heads = [
        escape(f"{c['a']} – {c['b']}, {c['metric']}") + f"<small>{_unit(c['metric'])}</small>"
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
        "The study file named these comparisons of arms a – b before the run. p: of the paired t"
        " test over seeds; p, Holm: with Holm's correction for the number of these comparisons."
        " P(a &gt; b): probability of improvement. The metric of a curve is the mean accuracy over"
        " its severities (by trapezoids). Other comparisons on this page were not planned, and have"
        " no p-value."
    )


def _unit(metric: str) -> str:
    """The unit and the better direction of a contrast's metric; that of a curve is an accuracy."""
    measure = MEASURES.get(metric, ACCURACY)
    return f"{measure.unit}, {measure.better} is better"


def _better() -> str:
    """A sentence on the better direction of each measure of calibration."""
    sides = {
        side: [m.title or m.key for m in measures_of("calibration") if m.better == side]
        for side in ("lower", "higher")
    }
    return "; ".join(
        f"{side} is better for {listed(names)}" for side, names in sides.items() if names
    )


def _retained(arm: ReportedArm) -> str:
    found = arm.about.get("retained") or {}
    if not found:
        return ""
    low, high = percent(number(found["low"])), percent(number(found["high"]))
    return f"<b>{percent(number(found['iqm']))}</b><small>[{low}, {high}]</small>"


def _signed(c: dict, mean: str, low: str, high: str) -> str:
    if c.get(mean) is None:
        return NONE
    spread = f"<small>[{c[low]:.3g}, {c[high]:.3g}]</small>" if c.get(low) is not None else ""
    return f"<b>{c[mean]:.3g}</b>{spread}".replace("-", "−")


def _value(x: float | None, form: str) -> str:
    return NONE if x is None else form.format(x)
