"""The sections of results: functions (run, svgs) -> HTML, or '' without data."""

import math
from html import escape

from bioplaus.record import FROZEN
from bioplaus.record.conditions import PGD
from bioplaus.record.measures import AT_STEP, LOSS, ROBUST
from bioplaus.report.headline import headlines, kept, kinds
from bioplaus.report.markup import (
    arm,
    arms,
    blocks,
    estimate,
    figure,
    listed,
    marks,
    note,
    plural,
    table,
)
from bioplaus.report.read import Run, interval, levels, number
from bioplaus.report.text import NONE, joules, percent, si

BAND = "Lines are means over seeds, bands their 95 % intervals; seeds that diverged are left out."
SETTINGS = {
    "common": (
        "All arms share the settings of the optimiser (except that Kolen-Pollack has the weight"
        " decay that it needs). The comparison isolates the effect of the rule; a rule that needs"
        " other settings performs below its best."
    ),
    "own": (
        "The settings were tuned for each rule separately: the comparison is of tuned rules, and is"
        " only as fair as the tuning."
    ),
}


def compared(run: Run) -> str:
    """One paragraph on the arms, the data, the net and the budget."""
    parts = [f"<b>{plural(len(run.arms), 'arm')}</b>: {listed([a.label for a in run.arms])}."]
    names = {"data": "Data", "net": "Network", "neuron": "Neurons", "modulator": "Modulator"}
    values = {c: list(dict.fromkeys(getattr(a.columns, c) for a in run.arms)) for c in names}
    parts += [f"{name}: {listed(values[c])}." for c, name in names.items() if any(values[c])]
    steps = [*levels(run, AT_STEP, "step"), *levels(run, LOSS, "step")]
    budget = [plural(max(steps), "training step")] if steps else []
    budget += [plural(len(run.seeds), "seed")] if run.seeds else []
    parts.append(f"{', '.join(budget)}." if budget else "")
    parts.append(SETTINGS.get(str(run.summary.get("settings")), ""))
    parts.append(escape(str(run.summary.get("data_note") or "")))
    return f"<p>{' '.join(p for p in parts if p)}</p>"


def result(run: Run, svgs: dict[str, str]) -> str:
    """The headline table, and a list of the arms that are not shown to beat the baseline."""
    del svgs
    rows = headlines(run)
    energies = [joules(h.energy) if h.energy else None for h in rows]
    columns = {
        "Test accuracy<small>%</small>": [estimate(h.accuracy) for h in rows],
        f"Above {FROZEN}<small>points, paired</small>": [
            estimate(h.difference, True) for h in rows
        ],
        "Robustness<small>% retained</small>": [estimate(h.retention) for h in rows],
        "MAC / sample<small>training</small>": [
            si(h.macs) if math.isfinite(h.macs) else "" for h in rows
        ],
        "Energy / sample<small>modelled</small>": [
            f"<b>{e[0]}</b><small>{e[1]}</small>" if e else "" for e in energies
        ],
    }
    columns = {name: cells for name, cells in columns.items() if any(cells)}
    if not columns:
        return ""
    notes = [f"Mean [95 % t interval over {plural(len(run.seeds), 'seed')}]."]
    if any(a.diverged for a in run.arms):
        notes.append(
            "Seeds that diverged are left out of the mean of their arm, which makes the arm look"
            " better than it is."
        )
    if any(h.difference for h in rows):
        notes.append(
            f"Above {FROZEN}: accuracy minus that of the same net with hidden layers that never"
            " learn, seed by seed."
        )
        unclear = [h.arm.label for h in rows if h.difference and not h.difference.low > 0]
        if unclear:
            notes.append(
                f"<b>Not shown to beat the baseline: {listed(unclear)}</b> (there is no interval,"
                " or the interval is not above zero)."
            )
    if any(h.retention for h in rows):
        under = f"<a href='#robustness'>retained</a> under {listed(_kinds(run))}"
        notes.append(
            f"Robustness: accuracy {under}, averaged over these. It is relative to clean accuracy,"
            " and should be read together with it."
        )
    if any(energies):
        notes.append(
            "MAC: multiply-accumulate operations. Energy: median [90 % interval over the profile's"
            " assumptions, not over seeds]."
        )
    heads = [arm(run, h.arm) + marks(run, h.arm) for h in rows]
    cells = [[column[i] or NONE for column in columns.values()] for i in range(len(rows))]
    return table(list(columns), heads, cells) + note(*notes)


def learning(run: Run, svgs: dict[str, str]) -> str:
    del run
    text = (
        "Test accuracy and training loss during training. The axis of accuracy may not start at 0:"
        " it is cut so that the ends of the lines can be told apart."
    )
    rest = (
        "Residual of the rules whose network settles: the relative change of its states in their"
        " last step. The theory of these rules holds at a residual of 0; a rule whose residual"
        " grows departs from it."
    )
    return figure(svgs, "learning", f"{text} {BAND}") + figure(
        svgs, "settling", f"{rest} {BAND}", "narrow"
    )


def alignment(run: Run, svgs: dict[str, str]) -> str:
    del run
    text = (
        "Angle between the rule's update and the gradient of backprop, at the same weights and"
        " batch. 0°: the same direction. 90° (dashed): orthogonal, so that the update of that layer"
        " does not reduce the loss to first order."
    )
    weights = "Angle between feedback weights and the forward weights that they replace."
    return figure(svgs, "angles", f"{text} {BAND}") + figure(svgs, "feedback", f"{weights} {BAND}")


def robustness(run: Run, svgs: dict[str, str]) -> str:
    """The curves, and a table of clean accuracy and retained accuracy for each kind."""
    drawn = [name for name in svgs if name.partition("-")[0] == "robustness"]
    if not drawn:
        return ""
    columns = [
        "Clean accuracy<small>%</small>",
        *(f"{escape(n)}<small>% retained</small>" for n in _kinds(run)),
    ]
    cells = []
    for h in headlines(run):
        each = [interval(kept(run, h.arm, kind).values()) for kind in kinds(run)]
        cells.append([estimate(x) or NONE for x in (h.accuracy, *each)])
    chance = (
        f"after the accuracy of guessing ({percent(number(run.summary.get('chance')))} %) is"
        " subtracted from both"
    )
    suite = bool(levels(run, ROBUST, "severity"))
    claim = (
        "see <a href='#claims'>below</a>"
        if suite
        else "that needs the suite of attacks (<code>adversarial.suite</code>)"
    )
    text = (
        "Accuracy under disturbances of growing severity, without retraining. Severity 0 is the"
        " undisturbed net on the same examples; if these are only a part of the test set, it may"
        " differ from clean accuracy. Attacks made for the backprop twin, and random signs of the"
        " same size, are controls: they do not use the gradient of the net."
    )
    return (
        "".join(
            figure(svgs, name, "The previous figure, continued." if i else f"{text} {BAND}")
            for i, name in enumerate(drawn)
        )
        + blocks(columns, arms(run), cells, 7)
        + note(
            "Retained: mean accuracy over the severities shown (by trapezoids) as a share of that"
            f" at severity 0, seed by seed, {chance}.",
            (
                "Under attack: the lowest accuracy that any of these attacks reached at that size."
                f" This is not a claim of adversarial robustness: {claim}."
                if PGD in kinds(run)
                else ""
            ),
        )
    )


def together(run: Run, svgs: dict[str, str]) -> str:
    del run
    text = (
        "Clean accuracy (left) and the accuracy retained under disturbance (right) against energy."
        " The area of a marker shows the retained accuracy. Vertical whiskers: 95 % interval over"
        " seeds. Horizontal whiskers: 90 % interval over the assumptions of the energy profile."
    )
    return figure(svgs, "frontier", text)


def plausibility(run: Run, svgs: dict[str, str]) -> str:
    """The plausibility cards of all arms; an item that is equal for all is written once."""
    del svgs
    cards = [{str(name): str(text) for name, text in a.about.get("card", ())} for a in run.arms]
    items = list(dict.fromkeys(name for card in cards for name in card))
    if not items:
        return ""
    rows = []
    for name in items:
        texts = [escape(card.get(name, NONE)) for card in cards]
        agreed = len(texts) > 1 and len(set(texts)) == 1
        rows.append(
            [f"<td class='same' colspan='{len(texts)}'>all: {texts[0]}</td>"] if agreed else texts
        )
    card = table(arms(run), [escape(name) for name in items], rows, kind="wide text")
    return card + note(
        "These properties are computed from the compiled program of each rule. They are not a"
        " score."
    )


def _kinds(run: Run) -> list[str]:
    return ["attack" if k == PGD else k for k in kinds(run)]
