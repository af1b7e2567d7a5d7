"""The sections a referee turns to: how it was measured, what to be careful of, how to run it
again.
"""

import json
import math
from html import escape

from bioplaus.record.conditions import PGD
from bioplaus.report.headline import cautions, kinds
from bioplaus.report.markup import listed
from bioplaus.report.read import Run, number


def method(run: Run, svgs: dict[str, str]) -> str:
    """Seeds, intervals, attack, energy, duration; the study's settings in full."""
    study = run.summary.get("study") or {}
    items = {
        "Intervals": (
            "95 % t intervals over seeds. Each stands alone: none is corrected for the number of"
            " comparisons. With few seeds they lean on accuracies being normally distributed over"
            " seeds. They leave out the sampling of the test set. An end that the measure cannot"
            " reach is moved to the measure's bound: 0 or 100 % for an accuracy, 100 points for a"
            " difference of two. Robustness is a ratio, which may exceed 100 %."
        )
    }
    if run.seeds:
        items["Seeds"] = (
            f"{listed(list(run.seeds))}. A seed fixes the initial weights and the order of the"
            " data, the same for every arm: differences are taken seed by seed."
        )
    if PGD in kinds(run):
        gradient = escape(
            str(run.summary.get("attack") or "The run does not say which gradient the attack used")
        )
        items["Attack"] = (
            f"{gradient[:1].upper()}{gradient[1:]}. Controls: the attack made on the backprop twin,"
            " and random signs of the same size; where either is stronger, a warning says so."
        )
    if run.summary.get("suite"):
        items["Adversarial suite"] = (
            f"{escape(str(run.summary['suite']))}. Twelve checks stand between it and a claim."
        )
    if "energy" in svgs:
        items["Energy"] = (
            "Modelled, not measured: operations and memory traffic counted on the program, times"
            f" the constants of a profile{_profile(run)}. The interval carries the uncertainty of"
            " these constants alone. Static power, clocks, wires and control are not in it: it"
            f" compares rules, it does not predict a bill.{_others(run)}"
        )
    if duration := _duration(run.timing):
        items["Duration"] = duration
    out = "<dl>" + "".join(f"<dt>{k}</dt><dd>{v}</dd>" for k, v in items.items()) + "</dl>"
    if study:
        text = escape(json.dumps(study, indent=2, ensure_ascii=False))
        out += (
            "<details><summary>The study as it was run, every"
            f" setting</summary><pre>{text}</pre></details>"
        )
    return out


def warned(run: Run) -> list[str]:
    """The run's own warnings, then what its numbers call for; each once."""
    return list(dict.fromkeys([*map(str, run.summary.get("warnings", ())), *cautions(run)]))


def warnings(run: Run, svgs: dict[str, str]) -> str:
    del svgs
    lines = "".join(f"<li>{escape(w)}</li>" for w in warned(run))
    return f"<ul>{lines}</ul>" if lines else ""


def again(run: Run, svgs: dict[str, str]) -> str:
    del run, svgs
    return "<pre>bioplaus run study.toml</pre>"


def _duration(timing: dict) -> str:
    """How long it took; an arm's parts are summed."""
    total = number(timing.get("total_s"))
    each = []
    for name, t in (timing.get("arms") or {}).items():
        seconds = [
            s for s in map(number, t.values() if isinstance(t, dict) else [t]) if math.isfinite(s)
        ]
        each += [f"<li>{escape(str(name))}: {sum(seconds):,.1f} s</li>"] if seconds else []
    arms = (
        f"<details><summary>Arm by arm</summary><ul>{''.join(each)}</ul></details>" if each else ""
    )
    return (f"{total:,.0f} s in all." if math.isfinite(total) else "") + arms


def _profile(run: Run) -> str:
    name = run.summary.get("energy_profile")
    return f" (<code>{escape(str(name))}</code>)" if name else ""


def _others(run: Run) -> str:
    """The profiles beside the headline's."""
    said = [
        f"<li><code>{escape(str(n))}</code>: {escape(str(d))}</li>"
        for n, d in (run.summary.get("energy_profiles") or {}).items()
    ]
    return f"<ul>{''.join(said)}</ul>" if said else ""
