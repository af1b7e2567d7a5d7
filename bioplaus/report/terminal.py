"""The headline table for the terminal: the same numbers as on the page."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bioplaus.record import Row
from bioplaus.report.headline import doubts, headlines
from bioplaus.report.read import collect
from bioplaus.report.text import NONE, joules, percent, si, spread

if TYPE_CHECKING:
    from rich.table import Table


def table(
    rows: Iterable[Row | Mapping[str, Any]], summary: dict[str, Any] | None = None
) -> "Table":
    """The headline table of a run, for `rich.print`.

    rows: of the run, or lines of its results.csv as mappings from columns. summary: the content of
    summary.json, if there is one.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    run = collect([row if isinstance(row, Row) else Row.read(row) for row in rows], summary)
    out = Table(
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        caption=(
            "mean [95 % interval over seeds], differences in points; energy: median [90 % interval"
            " over the profile's assumptions]"
        ),
    )
    out.add_column("")
    for name in (
        "test accuracy, %",
        "above frozen",
        "robustness, %",
        "MAC/sample",
        "energy/sample",
    ):
        out.add_column(name, justify="right")
    for h in headlines(run):
        cells = [f"{percent(h.accuracy.mean)} {spread(h.accuracy)}"]
        cells.append(
            f"{percent(h.difference.mean, True)} {spread(h.difference, True)}"
            if h.difference
            else NONE
        )
        cells.append(f"{percent(h.retention.mean)} {spread(h.retention)}" if h.retention else NONE)
        cells.append(si(h.macs))
        cells.append(" ".join(joules(h.energy)) if h.energy else NONE)
        notes = "".join(f"\n  {text}" for text in doubts(run, h.arm))
        # Text: brackets in a name are not markup
        out.add_row(*(Text(c.strip()) for c in (h.arm.label + notes, *cells)))
    return out
