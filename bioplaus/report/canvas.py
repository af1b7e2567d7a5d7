"""Parts of figures: panels, lines with bands, labels, axes and reproducible SVG."""

import io
import math
import re
from collections.abc import Callable
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bioplaus.record import Measure
from bioplaus.report.look import INK, Look
from bioplaus.report.read import ReportedArm, Seeds, interval

WIDTH = 8.8  # inches; the page scales it to the column
SETTINGS = {
    "svg.hashsalt": "bioplaus",
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's font
    "text.parse_math": False,  # a $ in a name is a $
    # comes with matplotlib, so that layouts are equal everywhere; it is wider than the page's font
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9A9A9A",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": "#6A6A6A",
    "ytick.color": "#6A6A6A",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.grid": True,
    "grid.color": "#ECECEC",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.4,
    "legend.frameon": False,
    "legend.handlelength": 2.0,
}


def panels(n: int, columns: int, height: float, width: float = 1.0) -> tuple[Figure, list[Axes]]:
    """A figure of n panels, in rows of at most `columns`.

    height: of a panel, in inches. width: as a fraction of the width of the page's text.
    """
    columns = min(n, columns)
    rows = math.ceil(n / columns)
    fig = Figure(figsize=(WIDTH * width, height * rows + 0.35), layout="constrained")
    grid = fig.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in grid[n:]:
        spare.remove()
    return fig, grid[:n]


def line(
    ax: Axes, points: dict[float, Seeds], look: Look, measure: Measure, band: bool = True
) -> tuple[float, float]:
    """Draw the mean over seeds at each x, with its 95 % interval as a band. Returns the last point.

    points: x -> seed -> value; not empty.
    """
    x = list(points)
    scale = measure.scale
    stats = [interval(seeds.values(), measure.bounds) for seeds in points.values()]
    mean = [scale * s.mean for s in stats]
    style = {
        "color": look.colour,
        "linestyle": look.dash,
        "marker": look.marker,
        "markevery": max(1, len(x) // 8),
    }
    ax.plot(x, mean, **style, markeredgewidth=0, linewidth=1.4 if band else 0.9)
    if band:
        low, high = [scale * s.low for s in stats], [scale * s.high for s in stats]
        ax.fill_between(x, low, high, color=look.colour, alpha=0.14, linewidth=0)
    return x[-1], mean[-1]


def legend(fig: Figure, arms: list[ReportedArm], style: dict[str, Look]) -> None:
    """Draw one legend for the figure, above its panels."""
    handles = [
        Line2D(
            [],
            [],
            color=style[a.label].colour,
            marker=style[a.label].marker,
            linestyle=style[a.label].dash,
            label=a.label,
        )
        for a in arms
    ]
    room = fig.get_figwidth() / 0.075  # characters in a row
    columns = max(1, int(room // (max(len(a.label) for a in arms) + 8)))
    rows = math.ceil(len(arms) / columns)
    columns = math.ceil(len(arms) / rows)  # rows of equal length
    # a long legend must not take its room from the panels
    fig.set_figheight(fig.get_figheight() + 0.19 * max(0, rows - 2))
    for h in handles:
        # matplotlib leaves out labels that begin with an underscore
        h.set_label("\u200b" + str(h.get_label()))
    fig.legend(
        handles=handles,
        loc="outside upper left",
        ncols=columns,
        columnspacing=1.4,
        borderaxespad=0.2,
    )


def name_ends(ax: Axes, ends: dict[str, tuple[float, float]], style: dict[str, Look]) -> None:
    """Write each line's name at the right of the panel, at the height of the end of the line.

    Names that would overlap are moved apart.
    """
    to_axes = ax.transData + ax.transAxes.inverted()
    ax.set_xlim(right=max(x for x, _ in ends.values()))
    ax.set_ylim(ax.get_ylim())
    heights = {label: float(to_axes.transform(end)[1]) for label, end in ends.items()}
    gap = min(0.046, 1.0 / len(ends))
    placed = _apart(heights, gap)
    for label, (x, y) in ends.items():
        ax.annotate(
            label,
            xy=(x, y),
            xytext=(1.035, placed[label]),
            textcoords="axes fraction",
            color=style[label].colour,
            va="center",
            fontsize=7.5,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "linewidth": 0.5,
                "color": style[label].colour,
                "relpos": (0, 0.5),
                "shrinkA": 1,
            },
        )


def name_points(
    fig: Figure, ax: Axes, points: dict[str, tuple[float, float]], style: dict[str, Look]
) -> None:
    """Write each point's name near it, where it covers neither a point nor another name."""
    fig.draw_without_rendering()  # computes the layout, and so the extents
    centres = [ax.transData.transform(p) for p in points.values()]
    places = [
        (r * x, r * y) for r in (6, 12, 19, 27) for x, y in ((1, 1), (-1, 1), (1, -1), (-1, -1))
    ]
    taken = []
    for label, point in points.items():
        colour = style[label].colour
        note = ax.annotate(
            label,
            point,
            places[0],
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=colour,
        )
        note.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5})
        for dx, dy in places:
            note.set(position=(dx, dy), ha="left" if dx > 0 else "right")
            box = note.get_window_extent().padded(1.5)
            inside = ax.bbox.contains(box.x0, box.y0) and ax.bbox.contains(box.x1, box.y1)
            if (
                inside
                and not any(box.overlaps(t) for t in taken)
                and not any(box.padded(2).contains(*c) for c in centres)
            ):
                break
        taken.append(note.get_window_extent().padded(1.5))
        if abs(note.get_position()[1]) > 6:
            thin = {
                "arrowstyle": "-",
                "linewidth": 0.4,
                "color": colour,
                "shrinkA": 0,
                "shrinkB": 2,
            }
            ax.annotate("", point, note.get_position(), textcoords="offset points", arrowprops=thin)


def log_axis(
    ax: Axes, axis: Literal["x", "y"], text: Callable[[float], str], room: int = 10
) -> None:
    """Make an axis logarithmic, and say so in its label.

    If a value is not positive, the axis stays linear. Its limits are those of lines and whiskers; a
    band may extend below. text: writes a tick. room: the largest number of labelled ticks.
    """
    drawn = [float(v) for l in ax.lines for v in np.asarray(l.get_data()[axis == "y"])]
    values = [v for v in drawn if math.isfinite(v)]
    if not values or min(values) <= 0:
        return
    low, high = min(values) / 1.4, max(values) * 1.4
    ticks = {subs: _ticks(low, high, subs) for subs in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))}
    subs = next((s for s, n in ticks.items() if n <= room), (1.0,))
    ax.set(**{f"{axis}scale": "log", f"{axis}lim": (low, high)})
    ax.set(**{f"{axis}label": f"{getattr(ax, f'get_{axis}label')()}, log scale"})
    side = ax.xaxis if axis == "x" else ax.yaxis
    side.set_major_locator(LogLocator(subs=subs, numticks=max(room, 2)))
    side.set_major_formatter(FuncFormatter(lambda v, _: text(v)))
    side.set_minor_formatter(NullFormatter())


def _ticks(low: float, high: float, subs: tuple[float, ...]) -> int:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return sum(low <= s * 10.0**d <= high for d in decades for s in subs)


def to_svg(fig: Figure, name: str) -> str:
    """The figure as an <svg> element, without date, doctype and fixed size.

    All ids begin with the name of the figure, so that figures on one page do not share ids.
    """
    buffer = io.StringIO()
    fig.savefig(
        buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace("'DejaVu Sans'", "var(--sans)")
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)


def _apart(heights: dict[str, float], gap: float) -> dict[str, float]:
    """Heights in [0, 1], moved to be at least `gap` apart.

    Heights that are too close form a group, which is spread about its mean.
    """
    groups: list[list[str]] = []
    for label in sorted(heights, key=lambda k: heights[k]):
        groups.append([label])
        while (
            len(groups) > 1
            and _span(groups[-1], heights, gap)[0] < _span(groups[-2], heights, gap)[1] + gap
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
    return {label: _span(g, heights, gap)[0] + i * gap for g in groups for i, label in enumerate(g)}


def _span(group: list[str], heights: dict[str, float], gap: float) -> tuple[float, float]:
    length = gap * (len(group) - 1)
    low = sum(heights[k] for k in group) / len(group) - length / 2
    low = min(max(low, 0.0), 1.0 - length)
    return low, low + length
