"""Spikes: rates by layer, and of one example the raster and the states of a few neurons.

An arm whose net runs over time has an entry "spikes" in summary.json, which
`bioplaus.study.spiking.example_of` makes.
"""

from bioplaus.record import Condition
from bioplaus.record.measures import RATE, RATE_HZ
from bioplaus.report.markup import arm, blocks, figure, heading, note, stated
from bioplaus.report.read import ReportedArm, Run, levels
from bioplaus.report.text import NONE

MOST = 4  # arms whose example is drawn


def pages(run: Run) -> dict[str, ReportedArm]:
    """Name of a figure -> the arm whose example it shows."""
    shown = [a for a in run.arms if a.about.get("spikes")]
    return {f"spikes-{i}" if i else "spikes": a for i, a in enumerate(shown[:MOST])}


def spikes(run: Run, svgs: dict[str, str]) -> str:
    """The section: a table of rates, and the figures of one example."""
    depths = sorted(levels(run, RATE, "layer"))
    shown = [a for a in run.arms if (a.label, RATE.key) in run.values or a.about.get("spikes")]
    if not shown:
        return ""
    columns = [heading(m, f"{m.unit}, layer {l}") for l in depths for m in (RATE, RATE_HZ)]
    cells = [
        [stated(run, a, m, Condition(layer=l)) or NONE for l in depths for m in (RATE, RATE_HZ)]
        for a in shown
    ]
    drawn = {name: a for name, a in pages(run).items() if name in svgs}
    left = len([a for a in shown if a.about.get("spikes")]) - len(drawn)
    return (
        blocks(columns, [arm(run, a) for a in shown], cells, 6)
        + note(
            "Mean [95 % interval over seeds] of the spikes of a unit in a moment, and in a second."
        )
        + "".join(figure(svgs, name, caption(a)) for name, a in drawn.items())
        + note(f"{left} more arms are not drawn." if left > 0 else "")
    )


def caption(of: ReportedArm) -> str:
    about = of.about["spikes"]
    return (
        f"{of.label}: the first test example, {about['moments']} moments of {about['dt']:g} ms,"
        " after training. Left: each mark is a spike; a layer without spikes has none. Right: the"
        " states of the units that fire most, or their output where they do not fire: a line style"
        " for each unit, a colour for each state."
    )
