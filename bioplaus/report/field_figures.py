"""The figures of receptive fields: a picture for each unit, without and under the modulator."""

from matplotlib.figure import Figure

from bioplaus.report.canvas import panels
from bioplaus.report.read import ReportedArm

TOP = 99  # the largest number in a picture, as `bioplaus.study.fields` makes it


def drawing(of: ReportedArm) -> Figure:
    """A picture for each unit; under a modulator a second row."""
    about = of.about["fields"]
    rows = [about["before"], *([about["under"]] if about["under"] else [])]
    units = len(about["before"])
    fig, axes = panels(len(rows) * units, units, 1.15)
    for ax, picture in zip(axes, [unit for row in rows for unit in row], strict=True):
        ax.imshow(picture, cmap="RdBu_r", vmin=-TOP, vmax=TOP)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.grid(visible=False)
    for u in range(units):
        axes[u].set_title(f"unit {u + 1}")
    return fig
