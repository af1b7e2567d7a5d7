"""The section on adversarial robustness: every attack at one radius, and the twelve checks."""

import math
from html import escape

from bioplaus.measure.robustness.masking import CHECKS
from bioplaus.record import Condition, Measure
from bioplaus.record.conditions import EPSILON
from bioplaus.record.measures import CHECK_PASSED, CHECK_THRESHOLD, CHECK_VALUE, ROBUST
from bioplaus.report.markup import arm, blocks, listed, note, plural, stated
from bioplaus.report.read import ReportedArm, Run, levels, seeds_of
from bioplaus.report.text import NONE, written

NOT_ATTACKS = ("clean", "worst")


def claims(run: Run, svgs: dict[str, str]) -> str:
    """The claims of robustness, their checks, and the accuracy under each attack."""
    del svgs
    return "".join(
        _at(run, Condition(EPSILON, epsilon)) for epsilon in levels(run, ROBUST, "severity")
    )


def _at(run: Run, radius: Condition) -> str:
    def reached(of: ReportedArm, attack: str) -> str:
        return stated(run, of, ROBUST, radius._replace(attack=attack))

    examined = [a for a in run.arms if reached(a, "worst")]
    attacks = [n for n in levels(run, ROBUST, "attack") if n not in NOT_ATTACKS]
    cells = []
    for of in examined:
        failed = [name for name in CHECKS if not check(run, of, radius, name, CHECK_PASSED)]
        robust = reached(of, "worst") if not failed else f"no claim<small>{listed(failed)}</small>"
        cells.append([reached(of, "clean"), robust, *(_value(run, of, radius, n) for n in CHECKS)])
    heads = [arm(run, a) for a in examined]
    columns = ["Clean<small>%</small>", "Robust accuracy<small>%</small>", *CHECKS]
    each = [[reached(a, n) or NONE for n in attacks] for a in examined]
    meanings = "; ".join(f"{name} {text}" for name, text in CHECKS.items())
    return (
        f"<h3>L-infinity, ε = {radius.severity:g}</h3>"
        + "<p>ε is the radius of the attacks, as a fraction of the range of the inputs. An example"
        " counts towards robust accuracy if no attack changes its answer to a wrong one. Robust"
        " accuracy is shown only for arms that pass all twelve checks against a masked"
        " gradient.</p>"
        + blocks(columns, heads, cells, 7)
        + note(
            "Each check shows its value and, below, the bound that the value must not exceed (F11:"
            " must exceed). Failed checks are marked; a check that was not measured has failed.",
            f"{escape(meanings)}.",
        )
        + blocks([escape(n.replace("_", " ")) for n in attacks], heads, each, 6, "accuracy, %")
        + note(
            "Accuracy under a single attack is an upper bound of robust accuracy.",
            f"Mean [95 % t interval over {plural(len(run.seeds), 'seed')}]. Clean: accuracy on the"
            " same examples without an attack.",
        )
    )


def check(run: Run, of: ReportedArm, radius: Condition, name: str, part: Measure) -> float:
    """The value, threshold or outcome (1 or 0) of one check.

    A check that was not measured has no rows: its value and threshold are NaN, its outcome is 0.
    """
    missing = 0.0 if part == CHECK_PASSED else math.nan
    return seeds_of(run, of, part, radius._replace(check=name)).get("", missing)


def _value(run: Run, of: ReportedArm, radius: Condition, name: str) -> str:
    value, bound, passed = (
        check(run, of, radius, name, part) for part in (CHECK_VALUE, CHECK_THRESHOLD, CHECK_PASSED)
    )
    text = written(CHECK_VALUE, value)
    sign = "&gt;" if name == "F11" else "≤"
    if not math.isfinite(value):
        return f"<b class='mark'>{NONE}</b><small class='mark'>not measured</small>"
    if passed:
        return f"{text}<small>{sign} {bound:g}</small>"
    return f"<b class='mark'>{text}</b><small class='mark'>not {sign} {bound:g}</small>"
