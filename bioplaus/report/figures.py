"""The figures of the report: functions (run, looks) -> Figure, or None without data."""

import math
import textwrap

import matplotlib.style
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bioplaus.measure.robustness import CURVES
from bioplaus.record import CLEAN, Condition, Measure
from bioplaus.record.conditions import ATTACKS, PGD, RANDOM_SIGN, TRANSFER, in_words
from bioplaus.record.measures import (
    ACCURACY,
    ANGLE,
    AT_STEP,
    CKA,
    FEEDBACK_ANGLE,
    LOSS,
    RESIDUAL,
    UNDER_CORRUPTION,
)
from bioplaus.report import energy_figures, field_figures, fields, likeness, spike_figures, spiking
from bioplaus.report.canvas import SETTINGS, legend, line, log_axis, name_ends, panels, to_svg
from bioplaus.report.headline import kinds, severities
from bioplaus.report.look import INK, Look, looks
from bioplaus.report.read import (
    ReportedArm,
    Run,
    Seeds,
    conditions,
    curve,
    interval,
    levels,
    seeds_of,
)
from bioplaus.report.text import written

AXES = {in_words(name): d.unit for name, d in CURVES.items()} | {
    PGD: "attack size ε / range of the inputs"
}
PANELS_PER_FIGURE = 12  # the largest number of panels in a figure of robustness
DASHED, DOTTED = (0, (4, 2)), (0, (1, 2))
BLIND = {TRANSFER: (DASHED, "dashed on the bp twin"), RANDOM_SIGN: (DOTTED, "dotted random signs")}


def figures(run: Run) -> dict[str, str]:
    """Name -> SVG text, of the figures that the run has data for."""
    out = {}
    plots = {
        "learning": learning,
        "settling": settling,
        "angles": lambda run, style: angles(run, style, ANGLE),
        "feedback": lambda run, style: angles(run, style, FEEDBACK_ANGLE),
        **{
            name: lambda run, style, some=some: robustness(run, style, some)
            for name, some in pages(run).items()
        },
        **{
            name: lambda run, style, of=of: spike_figures.example(of, style[of.label])
            for name, of in spiking.pages(run).items()
        },
        **{
            name: lambda run, style, of=of: field_figures.drawing(of)
            for name, of in fields.pages(run).items()
        },
        "corruption": corruption,
        "likeness": matrices,
        "energy": energy_figures.energies,
        "frontier": energy_figures.frontier,
    }
    with matplotlib.style.context(["default", SETTINGS]):
        for name, plot in plots.items():
            fig = plot(run, looks(run))
            if fig is not None:
                out[name] = to_svg(fig, name)
    return out


def pages(run: Run) -> dict[str, list[str]]:
    """Name of a figure -> its kinds of robustness, as many as fit on a sheet of paper."""
    names = kinds(run)
    size = math.ceil(len(names) / max(1, math.ceil(len(names) / PANELS_PER_FIGURE)))
    starts = range(0, len(names), max(1, size))
    return {
        f"robustness-{i}" if i else "robustness": names[start : start + size]
        for i, start in enumerate(starts)
    }


def learning(run: Run, style: dict[str, Look]) -> Figure | None:
    """Test accuracy and training loss over steps: means over seeds with 95 % intervals."""
    shown = [m for m in (AT_STEP, LOSS) if any(curve(run, a, m, "step") for a in run.arms)]
    if not shown:
        return None
    fig, axes = panels(len(shown), 2, 3.2)
    for ax, measure in zip(axes, shown, strict=True):
        curves = {a.label: curve(run, a, measure, "step") for a in run.arms}
        ends = {
            label: line(ax, points, style[label], measure)
            for label, points in curves.items()
            if points
        }
        if measure == AT_STEP:
            # the axis is cut, so that the ends can be told apart; early steps may lie below it
            final = [y for _, y in ends.values()]
            ax.set_ylim(
                max(0.0, min(final) - max(10.0, max(final) - min(final))),
                min(101.0, max(final) + 3),
            )
        ax.set_xlabel("training step")
        ax.set_ylabel(measure.axis)
        if measure == LOSS:
            log_axis(ax, "y", "{:g}".format)
        name_ends(ax, ends, style)
    return fig


def settling(run: Run, style: dict[str, Look]) -> Figure | None:
    """The residual of the rules that settle, over steps."""
    fig = _multiples(run, style, RESIDUAL, [(Condition(), "")], 0.6)
    for ax in fig.axes if fig else ():
        log_axis(ax, "y", "{:g}".format)
    return fig


def angles(run: Run, style: dict[str, Look], measure: Measure) -> Figure | None:
    """Angles over training, with a panel for each layer and a line at 90 degrees."""
    layers = sorted(levels(run, measure, "layer"))
    fig = _multiples(run, style, measure, [(Condition(layer=l), f"layer {l}") for l in layers])
    for ax in fig.axes if fig else ():
        top = max(100.0, ax.get_ylim()[1])
        ax.axhline(90, color=INK, linewidth=0.8, linestyle=DASHED, zorder=1)
        ax.set_ylim(-3, top)
        ax.set_yticks(range(0, int(top) + 1, 30))
    return fig


def matrices(run: Run, style: dict[str, Look]) -> Figure | None:
    """CKA of all pairs of hidden layers of an arm and of backprop, with a panel for each arm."""
    del style
    depths = likeness.layers(run)
    arms = [
        a for a in run.arms if any(likeness.pair(run, a, CKA, l, m) for l in depths for m in depths)
    ]
    if not arms or len(depths) < 2:
        return None
    fig, axes = panels(len(arms), 5, 1.75)
    for i, (ax, arm) in enumerate(zip(axes, arms, strict=True)):
        each = [
            [interval(likeness.pair(run, arm, CKA, l, m).values()).mean for m in depths]
            for l in depths
        ]
        ends = [l - 0.5 for l in range(len(depths) + 1)]
        ax.set_aspect("equal")
        # no shade too dark for the number
        ax.pcolormesh(ends, ends, each, cmap="Blues", vmin=0, vmax=1.7, edgecolor="white")
        for l, row in enumerate(each):
            for m, value in enumerate(row):
                ax.text(m, l, written(CKA, value), ha="center", va="center", fontsize=7.5)
        ax.set_title(arm.label)
        ax.grid(visible=False)
        ax.set_xticks(range(len(depths)), [*map(str, depths)])
        ax.set_yticks(range(len(depths)), [*map(str, depths)])
        ax.tick_params(length=0)
        ax.set_xlabel("layer of backprop")
        ax.set_ylabel("" if i % 5 else "layer of the arm")
    return fig


def robustness(run: Run, style: dict[str, Look], names: list[str]) -> Figure:
    """Accuracy against severity, with a panel for each kind of disturbance.

    Attacks that do not use the gradient of the net are dashed or dotted.
    """
    columns = 2 if len(names) < 5 else 3
    fig, axes = panels(len(names), columns, 2.6 if columns == 2 else 2.05)
    blind = [name for name in BLIND if any(_disturbed(run, a, name) for a in run.arms)]
    for ax, kind in zip(axes, names, strict=True):
        attack = kind == PGD
        for arm in run.arms:
            look = style[arm.label]._replace(dash="-")
            for other in blind if attack else ():
                points = _disturbed(run, arm, other)
                if points:
                    line(
                        ax,
                        points,
                        look._replace(marker="", dash=BLIND[other][0]),
                        ACCURACY,
                        band=False,
                    )
            points = severities(run, arm, kind)
            if points:
                line(ax, points, look, ACCURACY)
        ax.set_title(
            "\n".join(["attack: solid PGD", ", ".join(BLIND[name][1] for name in blind)]).strip()
            if attack
            else kind
        )
        ax.set_xlabel(textwrap.fill(AXES.get(kind, "severity"), 99 if columns == 2 else 40))
        ax.set_ylim(0, 101)
        ax.set_xlim(left=0)
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    for ax in axes[::columns]:
        ax.set_ylabel(ACCURACY.axis)
    drawn = [a for a in run.arms if any(_disturbed(run, a, k) for k in (*names, *ATTACKS))]
    legend(fig, drawn, {k: s._replace(dash="-") for k, s in style.items()})
    return fig


def corruption(run: Run, style: dict[str, Look]) -> Figure | None:
    """Accuracy against severity, with a panel for each corruption; clean images are severity 0."""
    names = list(dict.fromkeys(c.name for c in conditions(run, UNDER_CORRUPTION)))
    if not names:
        return None
    fig, axes = panels(len(names), 4, 1.7)
    for i, (ax, name) in enumerate(zip(axes, names, strict=True)):
        for arm in run.arms:
            points = curve(run, arm, UNDER_CORRUPTION, "severity", Condition(name))
            if points:
                line(
                    ax,
                    {0.0: seeds_of(run, arm, ACCURACY, CLEAN), **points},
                    style[arm.label],
                    ACCURACY,
                )
        ax.set_title(name)
        ax.set_ylim(0, 101)
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.set_ylabel("" if i % 4 else ACCURACY.axis)
        if i >= len(names) - 4:
            ax.set_xlabel("severity (0: clean)")
    legend(fig, [a for a in run.arms if (a.label, UNDER_CORRUPTION.key) in run.values], style)
    return fig


def _disturbed(run: Run, arm: ReportedArm, kind: str) -> dict[float, Seeds]:
    """Severity of a disturbance or an attack -> accuracy by seed."""
    return curve(run, arm, ACCURACY, "severity", Condition(kind))


def _multiples(
    run: Run,
    style: dict[str, Look],
    measure: Measure,
    parts: list[tuple[Condition, str]],
    width: float = 1.0,
) -> Figure | None:
    """A measure over steps, with a panel for each of `parts` and one legend above.

    parts: (the condition apart from the step, title of the panel).
    """
    arms = [a for a in run.arms if any(curve(run, a, measure, "step", fixed) for fixed, _ in parts)]
    if not arms:
        return None
    fig, axes = panels(len(parts), 4, 2.3, width)
    for i, (ax, (fixed, title)) in enumerate(zip(axes, parts, strict=True)):
        for arm in arms:
            points = curve(run, arm, measure, "step", fixed)
            if points:
                line(ax, points, style[arm.label], measure)
        ax.set_title(title)
        ax.set_xlabel("training step")
        ax.set_ylabel("" if i % 4 else measure.axis)
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    legend(fig, arms, style)
    return fig
