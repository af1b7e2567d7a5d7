"""The sections on methods, on warnings, and on how to repeat the run."""

import json
import math
from html import escape

from bioplaus.record.conditions import PGD
from bioplaus.report.headline import cautions, kinds
from bioplaus.report.markup import listed
from bioplaus.report.read import Run, number


def method(run: Run, svgs: dict[str, str]) -> str:
    """Seeds, intervals, attack, energy and duration, and all settings of the study."""
    study = run.summary.get("study") or {}
    items = {
        "Intervals": (
            "95 % t intervals over seeds. They are not corrected for the number of comparisons."
            " With few seeds they rely on accuracies being normally distributed over seeds. They do"
            " not include the variation due to the choice of test examples. An end beyond the range"
            " of a measure is moved to the end of the range: 0 or 100 % for an accuracy, 100 points"
            " for a difference of two. Robustness is a ratio, which may exceed 100 %."
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
            f"{gradient[:1].upper()}{gradient[1:]}. Controls: the attack made for the backprop"
            " twin, and random signs of the same size. A warning appears if a control is too strong"
            " for an attack that uses the gradient of the net."
        )
    if run.summary.get("suite"):
        items["Adversarial suite"] = (
            f"{escape(str(run.summary['suite']))}. A claim of robustness needs all twelve checks to"
            " pass."
        )
    if "energy" in svgs:
        items["Energy"] = (
            "Modelled, not measured: operations and memory traffic are counted on the compiled"
            f" program, and multiplied by the constants of a hardware profile{_profile(run)}. The"
            " interval covers the uncertainty of these constants alone. Static power, clocks, wires"
            " and control are left out, so that energies compare rules, and do not predict the"
            f" consumption of a device.{_others(run)}"
        )
    if duration := _duration(run.timing):
        items["Duration"] = duration
    out = "<dl>" + "".join(f"<dt>{k}</dt><dd>{v}</dd>" for k, v in items.items()) + "</dl>"
    if study:
        text = escape(json.dumps(study, indent=2, ensure_ascii=False))
        out += f"<details><summary>All settings of the study</summary><pre>{text}</pre></details>"
    return out


def warned(run: Run) -> list[str]:
    """The warnings of the run, then those that follow from its numbers, without repetitions."""
    return list(dict.fromkeys([*map(str, run.summary.get("warnings", ())), *cautions(run)]))


def warnings(run: Run, svgs: dict[str, str]) -> str:
    del svgs
    lines = "".join(f"<li>{escape(w)}</li>" for w in warned(run))
    return f"<ul>{lines}</ul>" if lines else ""


def again(run: Run, svgs: dict[str, str]) -> str:
    del run, svgs
    return "<pre>bioplaus run study.toml</pre>"


def _duration(timing: dict) -> str:
    """The duration of the run and of each arm."""
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
    return (f"{total:,.0f} s in total." if math.isfinite(total) else "") + arms


def _profile(run: Run) -> str:
    name = run.summary.get("energy_profile")
    return f" (<code>{escape(str(name))}</code>)" if name else ""


def _others(run: Run) -> str:
    """A list of all profiles with their descriptions."""
    lines = [
        f"<li><code>{escape(str(n))}</code>: {escape(str(d))}</li>"
        for n, d in (run.summary.get("energy_profiles") or {}).items()
    ]
    return f"<ul>{''.join(lines)}</ul>" if lines else ""
