"""Figures of modelled energy: on every profile, and accuracy against energy."""

import math
import re

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bioplaus.record.measures import ACCURACY, ENERGY, ENERGY_MEMORY, ENERGY_OP
from bioplaus.report.canvas import log_axis, name_points, panels
from bioplaus.report.headline import energy, headlines
from bioplaus.report.look import INK, Look
from bioplaus.report.read import Run
from bioplaus.report.text import si

PARTS = {
    ENERGY_OP: ("operations, or events", "o"),
    ENERGY_MEMORY: ("memory, or spikes sent and synapses changed", "s"),
    ENERGY: ("total", "D"),
}
COLUMNS = 4


def energies(run: Run, style: dict[str, Look]) -> Figure | None:
    """Energy and its two parts, with a panel for each profile and a row for each arm.

    They are dots with whiskers, because a bar needs a zero, which a logarithmic axis lacks.
    """
    names = list(run.summary.get("energy_profiles") or [run.summary.get("energy_profile")])
    arms = [a for a in run.arms if energy(run, a, ENERGY)]
    if not arms:
        return None
    fig, axes = panels(
        len(names), COLUMNS, 0.75 + 0.27 * len(arms), 0.7 if len(names) == 1 else 1.0
    )
    for i, (ax, name) in enumerate(zip(axes, names, strict=True)):
        for row, arm in enumerate(arms):
            colour = style[arm.label].colour
            for offset, (measure, (_, marker)) in zip(
                (-0.25, 0.0, 0.25), PARTS.items(), strict=True
            ):
                e = energy(run, arm, measure, name)
                if e and e[0] > 0:  # a part without a price is 0, which a log axis cannot show
                    fill = colour if measure == ENERGY else "white"
                    ax.plot(e[1:], [row + offset] * 2, color=colour, linewidth=1.1)
                    ax.plot(
                        e[0],
                        row + offset,
                        marker,
                        color=colour,
                        markerfacecolor=fill,
                        markersize=3.6,
                    )
        ax.set_yticks(range(len(arms)), ["" if i % COLUMNS else a.label for a in arms])
        ax.set_ylim(len(arms) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y", visible=False)
        in_part = " (in part)" if name in (run.summary.get("energy_unpriced") or {}) else ""
        ax.set_title(f"{name or ''}{in_part}")
        ax.set_xlabel("J / sample")
        log_axis(ax, "x", _joule, 3 if len(names) > 1 else 8)
    key = {"color": INK, "linestyle": "", "markersize": 4}
    marks = [
        Line2D([], [], marker=m, markerfacecolor=INK if n == "total" else "white", label=n, **key)
        for n, m in PARTS.values()
    ]
    fig.legend(handles=marks, loc="outside upper left", ncols=3)
    return fig


def frontier(run: Run, style: dict[str, Look]) -> Figure | None:
    """Accuracy, and retained accuracy, against energy.

    The area of a marker on the left shows the retained accuracy, which is the ordinate on the
    right.
    """
    points = [h for h in headlines(run) if h.energy and h.accuracy.n]
    if not points:
        return None
    shown = [([(h, h.accuracy) for h in points], ACCURACY.axis)]
    shown.append(
        ([(h, h.retention) for h in points if h.retention], "robustness: accuracy retained (%)")
    )
    shown = [s for s in shown if s[0]]
    fig, axes = panels(len(shown), 2, 3.3)
    for ax, (some, ylabel) in zip(axes, shown, strict=True):
        for h, y in some:
            look, (x, low, high) = style[h.arm.label], h.energy or (math.nan,) * 3
            size = 6.5 * math.sqrt(max(h.retention.mean, 0.05)) if h.retention else 4.5
            ax.plot([low, high], [100 * y.mean] * 2, color=look.colour, linewidth=0.9, alpha=0.7)
            ax.plot(
                [x, x], [100 * y.low, 100 * y.high], color=look.colour, linewidth=0.9, alpha=0.7
            )
            ax.plot(x, 100 * y.mean, look.marker, color=look.colour, markersize=size)
        ax.margins(y=0.12)
        ax.set_xlabel("energy (J/sample)")
        log_axis(ax, "x", _joule)
        ax.set_ylabel(ylabel)
    for ax, (some, _) in zip(axes, shown, strict=True):
        name_points(
            fig, ax, {h.arm.label: (h.energy[0], 100 * y.mean) for h, y in some if h.energy}, style
        )
    return fig


def _joule(value: float) -> str:
    return re.sub(r"\.0+ ", " ", si(value, "J"))  # ticks are exact numbers: 10 µJ, not 10.0 µJ
