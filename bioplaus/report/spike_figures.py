"""The figures of spikes: for each layer a raster, and the states of a few neurons over time."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bioplaus.report.canvas import panels
from bioplaus.report.look import INK, Look
from bioplaus.report.read import ReportedArm

LINES = ("-", (0, (4, 1.5)), (0, (1.5, 1.2)))  # of units


def example(of: ReportedArm, look: Look) -> Figure:
    """Two panels a layer: its spikes, and the states of a few of its neurons."""
    about = of.about["spikes"]
    layers, dt = about["layers"], about["dt"]
    fig, axes = panels(2 * len(layers), 2, 1.7)
    for i, layer in enumerate(layers):
        left, right = axes[2 * i : 2 * i + 2]
        _raster(left, layer, dt, look)
        _traces(right, layer, dt, look)
        for ax in (left, right):
            ax.set_xlim(0, about["moments"] * dt)
            ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
            ax.set_xlabel("time (ms)" if i == len(layers) - 1 else "")
    return fig


def _raster(ax: Axes, layer: dict[str, Any], dt: float, look: Look) -> None:
    rows = layer["shown"]
    times = [(t + 1) * dt for t, _ in layer["events"]]
    ax.plot(
        times,
        [u + 1 for _, u in layer["events"]],
        linestyle="",
        marker="|",
        color=look.colour,
        markersize=max(2.0, min(6.0, 90 / max(rows, 1))),
    )
    more = f", the first {rows} shown" if 0 < rows < layer["units"] else ""
    ax.set_title(
        f"layer {layer['layer']}: {layer['units']} units{more if rows else ', do not fire'}"
    )
    ax.grid(visible=False)
    if rows:
        ax.set_ylabel("unit")
        ax.set_ylim(0.2, rows + 0.8)
        ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    else:
        ax.set_yticks([])


def _traces(ax: Axes, layer: dict[str, Any], dt: float, look: Look) -> None:
    names = list(layer["traces"])
    for n, name in enumerate(names):
        for line, trace in zip(LINES, layer["traces"][name], strict=False):
            ax.plot(
                [(t + 1) * dt for t in range(len(trace))],
                trace,
                color=(look.colour, INK)[n % 2],
                alpha=1.0 if n < 2 else 0.5,
                linestyle=line,
                linewidth=1.0,
                marker="o" if len(trace) == 1 else "",
                label=name if line == LINES[0] else None,
            )
    if len(names) > 1:
        ax.legend(loc="upper left", fontsize=6.5, handlelength=1.4)
    units = ", ".join(str(u + 1) for u in layer["traced"])
    ax.set_title(f"{', '.join(names)} of units {units}")
