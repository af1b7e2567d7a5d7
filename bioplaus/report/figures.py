"""The report's figures: one function each, (run, looks) -> Figure, or None where there is nothing to draw."""

import math
import re
from collections.abc import Callable
from typing import Literal

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from bioplaus.measure.robustness import CURVES
from bioplaus.report.canvas import SETTINGS, legend, line, name_ends, name_points, panels, to_svg
from bioplaus.report.headline import ATTACKS, energy, headlines, kinds, severities
from bioplaus.report.look import INK, Look, looks
from bioplaus.report.run import Run, curve, levels, number, parse, seeds_of
from bioplaus.report.text import si

AXES = {name.replace("_", " "): d.unit for name, d in CURVES.items()} | {"pgd": "attack size ε (input units)"}
CORRUPTION = "accuracy under corruption"
DASHED, DOTTED = (0, (4, 2)), (0, (1, 2))
BLIND = {"transfer": (DASHED, "dashed on the bp twin"), "random sign": (DOTTED, "dotted random signs")}


def figures(run: Run) -> dict[str, str]:
    """name -> SVG text, for what there is something to draw of."""
    out = {}
    plots = {
        "learning": learning,
        "settling": settling,
        "angles": lambda run, style: angles(run, style, "angle to backprop"),
        "feedback": lambda run, style: angles(run, style, "feedback angle"),
        "robustness": robustness,
        "corruption": corruption,
        "energy": energies,
        "frontier": frontier,
    }
    with matplotlib.style.context(["default", SETTINGS]):
        for name, plot in plots.items():
            fig = plot(run, looks(run))
            if fig is not None:
                out[name] = to_svg(fig, name)
    return out


def learning(run: Run, style: dict[str, Look]) -> Figure | None:
    """Test accuracy and training loss over steps: mean over seeds with the 95 % interval."""
    titles = {"accuracy at step": "test accuracy (%)", "loss": "training loss (nat)"}
    shown = [m for m in titles if any(curve(run, a, m, "step") for a in run.arms)]
    if not shown:
        return None
    fig, axes = panels(len(shown), 2, 3.2)
    for ax, measure in zip(axes, shown, strict=True):
        fraction = measure == "accuracy at step"
        curves = {a.label: curve(run, a, measure, "step") for a in run.arms}
        ends = {label: line(ax, points, style[label], 100 if fraction else 1) for label, points in curves.items() if points}
        if fraction:
            final = [y for _, y in ends.values()]  # the axis is for telling the ends apart: early steps may lie below it
            ax.set_ylim(max(0.0, min(final) - max(10.0, max(final) - min(final))), min(101.0, max(final) + 3))
        ax.set_xlabel("training step")
        ax.set_ylabel(titles[measure])
        if not fraction:
            _log(ax, "y", "{:g}".format)
        name_ends(ax, ends, style)
    return fig


def settling(run: Run, style: dict[str, Look]) -> Figure | None:
    """The residual of the rules that settle, over steps."""
    fig = _multiples(run, style, "residual", [({}, "")], "residual (relative)", 0.6)
    for ax in fig.axes if fig else ():
        _log(ax, "y", "{:g}".format)
    return fig


def angles(run: Run, style: dict[str, Look], measure: str) -> Figure | None:
    """Angles over training, a panel a layer, with the line of no alignment at 90 degrees."""
    layers = sorted(levels(run, measure, "layer"), key=number)
    fig = _multiples(run, style, measure, [({"layer": l}, f"layer {l}") for l in layers], f"{measure} (°)")
    for ax in fig.axes if fig else ():
        top = max(100.0, ax.get_ylim()[1])
        ax.axhline(90, color=INK, linewidth=0.8, linestyle=DASHED, zorder=1)
        ax.set_ylim(-3, top)
        ax.set_yticks(range(0, int(top) + 1, 30))
    return fig


def robustness(run: Run, style: dict[str, Look]) -> Figure | None:
    """Accuracy against severity from clean on, a panel a kind. Attacks blind to the net's own gradient are dashed or dotted."""
    names = kinds(run)
    if not names:
        return None
    columns = 2
    fig, axes = panels(len(names), columns, 2.6)
    blind = [name for name in BLIND if any(curve(run, a, "accuracy", name) for a in run.arms)]
    for ax, kind in zip(axes, names, strict=True):
        attack = kind == ATTACKS[0]
        for arm in run.arms:
            look = style[arm.label]._replace(dash="-")
            for other in blind if attack else ():
                points = curve(run, arm, "accuracy", other)
                if points:
                    line(ax, points, look._replace(marker="", dash=BLIND[other][0]), 100, band=False)
            points = severities(run, arm, kind)
            if points:
                line(ax, points, look, 100)
        ax.set_title(", ".join(["attack: solid PGD", *(BLIND[name][1] for name in blind)]) if attack else kind)
        ax.set_xlabel(AXES.get(kind, "severity"))
        ax.set_ylim(0, 101)
        ax.set_xlim(left=0)
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    for ax in axes[::columns]:
        ax.set_ylabel("test accuracy (%)")
    drawn = [a for a in run.arms if any(curve(run, a, "accuracy", k) for k in (*names, *ATTACKS))]
    legend(fig, drawn, {k: s._replace(dash="-") for k, s in style.items()})
    return fig


def corruption(run: Run, style: dict[str, Look]) -> Figure | None:
    """Accuracy over the severity of each corruption, a panel each; clean images are severity 0."""
    names = list(dict.fromkeys(k for (_, m), cs in run.values.items() if m == CORRUPTION for c in cs for k in parse(c)))
    if not names:
        return None
    fig, axes = panels(len(names), 4, 1.7)
    for i, (ax, name) in enumerate(zip(axes, names, strict=True)):
        for arm in run.arms:
            points = curve(run, arm, CORRUPTION, name)
            if points:
                line(ax, {0.0: seeds_of(run, arm, "accuracy", "clean"), **points}, style[arm.label], 100)
        ax.set_title(name)
        ax.set_ylim(0, 101)
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.set_ylabel("" if i % 4 else "test accuracy (%)")
        if i >= len(names) - 4:
            ax.set_xlabel("severity (0: clean)")
    legend(fig, [a for a in run.arms if any(curve(run, a, CORRUPTION, n) for n in names)], style)
    return fig


def energies(run: Run, style: dict[str, Look]) -> Figure | None:
    """Operations, memory and total, a row an arm: dots with whiskers, since a log axis has no zero for bars to stand on."""
    parts = {"energy op": ("operations", "o"), "energy memory": ("memory", "s"), "energy total": ("total", "D")}
    arms = [a for a in run.arms if energy(run, a, "energy total")]
    if not arms:
        return None
    fig, (ax,) = panels(1, 1, 0.5 + 0.36 * len(arms))
    for row, arm in enumerate(arms):
        colour = style[arm.label].colour
        for offset, (measure, (_, marker)) in zip((-0.25, 0.0, 0.25), parts.items(), strict=True):
            e = energy(run, arm, measure)
            if e:
                fill = colour if measure == "energy total" else "white"
                ax.plot(e[1:], [row + offset] * 2, color=colour, linewidth=1.2)
                ax.plot(e[0], row + offset, marker, color=colour, markerfacecolor=fill, markersize=4.6)
    ax.set_yticks(range(len(arms)), [a.label for a in arms])
    ax.set_ylim(len(arms) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("energy (J/sample)")
    _log(ax, "x", _joule)
    key = {"color": INK, "linestyle": "", "markersize": 4.6}
    marks = [
        Line2D([], [], marker=m, markerfacecolor=INK if n == "total" else "white", label=n, **key) for n, m in parts.values()
    ]
    fig.legend(handles=marks, loc="outside upper left", ncols=3)
    return fig


def frontier(run: Run, style: dict[str, Look]) -> Figure | None:
    """Accuracy, and retention, against energy, with whiskers; the marker's area on the left is the retention on the right."""
    points = [h for h in headlines(run) if h.energy and h.accuracy.n]
    if not points:
        return None
    shown = [([(h, h.accuracy) for h in points], "test accuracy (%)")]
    shown.append(([(h, h.retention) for h in points if h.retention], "robustness: accuracy retained (%)"))
    shown = [s for s in shown if s[0]]
    fig, axes = panels(len(shown), 2, 3.3)
    for ax, (some, ylabel) in zip(axes, shown, strict=True):
        for h, y in some:
            look, (x, low, high) = style[h.arm.label], h.energy or (math.nan,) * 3
            size = 6.5 * math.sqrt(max(h.retention.mean, 0.05)) if h.retention else 4.5
            ax.plot([low, high], [100 * y.mean] * 2, color=look.colour, linewidth=0.9, alpha=0.7)
            ax.plot([x, x], [100 * y.low, 100 * y.high], color=look.colour, linewidth=0.9, alpha=0.7)
            ax.plot(x, 100 * y.mean, look.marker, color=look.colour, markersize=size)
        ax.margins(y=0.12)
        ax.set_xlabel("energy (J/sample)")
        _log(ax, "x", _joule)
        ax.set_ylabel(ylabel)
    for ax, (some, _) in zip(axes, shown, strict=True):
        name_points(fig, ax, {h.arm.label: (h.energy[0], 100 * y.mean) for h, y in some if h.energy}, style)
    return fig


def _multiples(run: Run, style: dict[str, Look], measure: str, parts: list, ylabel: str, width: float = 1.0) -> Figure | None:
    """A measure over steps, a panel for each of `parts` (fixed part of the condition, title), with one legend on top."""
    arms = [a for a in run.arms if any(curve(run, a, measure, "step", **fixed) for fixed, _ in parts)]
    if not arms:
        return None
    fig, axes = panels(len(parts), 4, 2.3, width)
    for i, (ax, (fixed, title)) in enumerate(zip(axes, parts, strict=True)):
        for arm in arms:
            points = curve(run, arm, measure, "step", **fixed)
            if points:
                line(ax, points, style[arm.label])
        ax.set_title(title)
        ax.set_xlabel("training step")
        ax.set_ylabel("" if i % 4 else ylabel)
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    legend(fig, arms, style)
    return fig


def _log(ax: Axes, axis: Literal["x", "y"], text: Callable[[float], str]) -> None:
    """A log scale over lines and whiskers (a band may leave it below), and named so; linear where a value is not positive."""
    drawn = [float(v) for l in ax.lines for v in np.asarray(l.get_data()[axis == "y"])]
    values = [v for v in drawn if math.isfinite(v)]
    if not values or min(values) <= 0:
        return
    low, high = min(values) / 1.4, max(values) * 1.4
    few = high / low < 2000
    ax.set(**{f"{axis}scale": "log", f"{axis}lim": (low, high)})
    ax.set(**{f"{axis}label": f"{getattr(ax, f'get_{axis}label')()}, log scale"})
    side = ax.xaxis if axis == "x" else ax.yaxis
    side.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    side.set_major_formatter(FuncFormatter(lambda v, _: text(v)))
    side.set_minor_formatter(NullFormatter())


def _joule(value: float) -> str:
    return re.sub(r"\.0+ ", " ", si(value, "J"))  # a tick is exact: 10 µJ, not 10.0 µJ
