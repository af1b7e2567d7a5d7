"""The sections of results: each (run, svgs) -> HTML, '' where there is nothing to show."""

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
        "All arms share one setting of the optimiser (but for the weight decay that Kolen-Pollack"
        " lives by): the comparison isolates the rule, and a rule that needs another setting is"
        " seen below its best."
    ),
    "own": (
        "Each arm runs at its own settings: the comparison is of rules as tuned, and is as fair as"
        " their tuning was."
    ),
}


def compared(run: Run) -> str:
    """One paragraph: what was compared, on what, with what budget."""
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
    """The headline table, and which rules it does not tell from the baseline."""
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
            "Seeds that diverged are left out of the means of their arm, which flatters it."
        )
    if any(h.difference for h in rows):
        notes.append(
            f"Above {FROZEN}: accuracy less that of a net whose hidden layers never learn, seed by"
            " seed."
        )
        unclear = [h.arm.label for h in rows if h.difference and not h.difference.low > 0]
        if unclear:
            notes.append(
                f"<b>Not shown to beat the baseline: {listed(unclear)}</b> (no interval, or one"
                " that is not above zero)."
            )
    if any(h.retention for h in rows):
        under = f"<a href='#robustness'>retained</a> under {listed(_kinds(run))}"
        notes.append(f"Robustness: accuracy {under}, averaged; read it beside accuracy.")
    if any(energies):
        notes.append(
            "Energy: median [90 % interval over the profile's assumptions, not over seeds]."
        )
    heads = [arm(run, h.arm) + marks(run, h.arm) for h in rows]
    cells = [[column[i] or NONE for column in columns.values()] for i in range(len(rows))]
    return table(list(columns), heads, cells) + note(*notes)


def learning(run: Run, svgs: dict[str, str]) -> str:
    del run
    text = (
        "Test accuracy and training loss over training. The accuracy axis need not start at 0: it"
        " is cut to tell the ends apart."
    )
    rest = (
        "How far from rest the states of the rules that settle are when they are read. A rule whose"
        " residual grows is leaving its own theory."
    )
    return figure(svgs, "learning", f"{text} {BAND}") + figure(
        svgs, "settling", f"{rest} {BAND}", "narrow"
    )


def alignment(run: Run, svgs: dict[str, str]) -> str:
    del run
    text = (
        "Angle between the rule's update and the gradient of backprop, at the same weights and"
        " batch. 0°: the same direction. 90° (dashed): nothing in common, and no first-order"
        " progress on the loss from that layer."
    )
    weights = "Angle between feedback weights and the forward weights in whose place they stand."
    return figure(svgs, "angles", f"{text} {BAND}") + figure(svgs, "feedback", f"{weights} {BAND}")


def robustness(run: Run, svgs: dict[str, str]) -> str:
    """The curves, and a table of what is kept, kind by kind, beside clean accuracy."""
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
    chance = f"chance ({percent(number(run.summary.get('chance')))} %) taken off both"
    suite = bool(levels(run, ROBUST, "severity"))
    claim = (
        "see <a href='#claims'>below</a>"
        if suite
        else "it takes the suite of attacks (<code>adversarial.suite</code>)"
    )
    text = (
        "Accuracy under perturbation of growing size, without retraining. Size 0 is the undisturbed"
        " net on the same examples; where these are a part of the test set, it need not equal clean"
        " accuracy. Attacks made on the backprop twin, and random signs of the same size, are"
        " controls: they do not see the net's gradient."
    )
    return (
        "".join(
            figure(svgs, name, "The same, continued." if i else f"{text} {BAND}")
            for i, name in enumerate(drawn)
        )
        + blocks(columns, arms(run), cells, 7)
        + note(
            "Retained: mean accuracy over the sizes shown (trapezoids) as a share of that at size"
            f" 0, seed by seed, {chance}.",
            (
                "Under attack: the lowest accuracy that any of these attacks reached at that size."
                f" No claim of adversarial robustness: {claim}."
                if PGD in kinds(run)
                else ""
            ),
        )
    )


def together(run: Run, svgs: dict[str, str]) -> str:
    del run
    text = (
        "Clean accuracy, and the accuracy retained under perturbation, against energy; a marker's"
        " area is the retention. Vertical whiskers: 95 % interval over seeds. Horizontal: 90 %"
        " interval over the energy profile's assumptions."
    )
    return figure(svgs, "frontier", text)


def plausibility(run: Run, svgs: dict[str, str]) -> str:
    """The cards side by side; an item on which all arms agree is said once."""
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
        "Computed from the program of each rule, not typed in: properties, not a score."
    )


def _kinds(run: Run) -> list[str]:
    return ["attack" if k == PGD else k for k in kinds(run)]
