"""Colours, markers and dashes of arms, in every figure and table.

Each rule has a colour, in order of appearance; the frozen baseline is grey. Markers and dashes tell
the variants of a rule apart. The colours can be distinguished with the common colour deficiencies
(after Okabe, Ito, "Color Universal Design", 2008, and Tol, "Colour schemes", 2021, without their
light colours, which fade on white), and every line has a marker or a label as well.
"""

from typing import Any, NamedTuple

from bioplaus.report.read import Run

COLOURS = (
    "#0072B2",
    "#D55E00",
    "#00876C",
    "#C2549D",
    "#B07D00",
    "#3B2A8C",
    "#3FA0CF",
    "#7A1F3D",
    "#6B7A00",
    "#111111",
)
GREY, INK = "#8C8C8C", "#2B2B2B"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
DASHES = ("-", (0, (4, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.2, 1.2, 1.2)))


class Look(NamedTuple):
    """Colour, marker and dash of an arm."""

    colour: str
    marker: str
    dash: Any  # as matplotlib takes it


def looks(run: Run) -> dict[str, Look]:
    """Name of an arm -> look. If all arms have one rule, its variants get different colours."""
    rules = list(dict.fromkeys(a.columns.rule for a in run.arms if not a.baseline))
    rest = [a.columns._replace(rule="") for a in run.arms]
    variants = list(dict.fromkeys(rest))
    out = {}
    for arm, other in zip(run.arms, rest, strict=True):
        v = variants.index(other)
        r = rules.index(arm.columns.rule) if not arm.baseline else len(rules)
        i = v if len(rules) == 1 else r
        marker = MARKERS[(r if len(variants) == 1 else v) % len(MARKERS)]
        out[arm.label] = Look(
            GREY if arm.baseline else COLOURS[i % len(COLOURS)], marker, DASHES[v % len(DASHES)]
        )
    return out
