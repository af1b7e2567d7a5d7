"""Pieces of HTML. Arguments are plain text, and escaped here, unless a docstring says HTML."""

import math
import re
from html import escape

from bioplaus.record import Condition, Measure
from bioplaus.record.measures import ACCURACY
from bioplaus.report.headline import doubts
from bioplaus.report.look import looks
from bioplaus.report.read import ReportedArm, Run, SeedInterval, interval, seeds_of
from bioplaus.report.text import spread, written


def table(
    columns: list[str],
    heads: list[str],
    cells: list[list[str]],
    corner: str = "",
    kind: str = "wide",
    caption: str = "",
) -> str:
    """A table, which scrolls if the page is too narrow. All arguments are HTML.

    heads: the first cell of each row. corner: the first cell of the header.
    """
    title = f"<caption>{caption}</caption>" if caption else ""
    top = "".join(f"<th scope='col'>{c}</th>" for c in (corner, *columns))
    rows = "\n".join(
        f"<tr><th scope='row'>{head}</th>{''.join(map(_cell, row))}</tr>"
        for head, row in zip(heads, cells, strict=True)
    )
    return (
        "<div class='scroll'><table"
        f" class='{kind}'>{title}<thead><tr>{top}</tr></thead>\n<tbody>{rows}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    return text if text.startswith("<td") else f"<td>{text}</td>"


def blocks(
    columns: list[str],
    heads: list[str],
    cells: list[list[str]],
    most: int,
    corner: str = "",
    caption: str = "",
) -> str:
    """A table, split into several of at most `most` columns, so that each fits on paper."""
    if not columns:
        return ""
    size = math.ceil(len(columns) / math.ceil(len(columns) / most))
    parts = [slice(i, i + size) for i in range(0, len(columns), size)]
    return "".join(
        table(columns[part], heads, [row[part] for row in cells], corner, caption=caption)
        for part in parts
    )


def figure(svgs: dict[str, str], name: str, caption: str, kind: str = "") -> str:
    """A figure and its caption; '' if the figure was not drawn."""
    if name not in svgs:
        return ""
    text = escape(caption)
    svg = svgs[name].replace("<svg ", f'<svg role="img" aria-label="{text}" ', 1)
    return f"<figure class='{kind}'>{svg}<figcaption>{text}</figcaption></figure>"


def note(*parts: str) -> str:
    """A paragraph below a table. parts: HTML; empty ones are left out."""
    return f"<p class='note'>{' '.join(p for p in parts if p)}</p>"


def estimate(x: SeedInterval | None, sign: bool = False, measure: Measure = ACCURACY) -> str:
    """A mean and its interval, in the format of the measure; '' if it was not measured."""
    if x is None or not x.n:
        return ""
    around = spread(x, sign, measure) or "one seed"
    return f"<b>{written(measure, x.mean, sign)}</b><small>{around}</small>"


def stated(run: Run, of: ReportedArm, measure: Measure, condition: Condition) -> str:
    """The mean over seeds and 95 % interval of a measure of an arm; '' if it was not measured."""
    return estimate(
        interval(seeds_of(run, of, measure, condition).values(), measure.bounds), measure=measure
    )


def heading(measure: Measure, where: str = "") -> str:
    """The head of a column: the name of a measure, and below it `where`, or else the unit.

    Letters after an underscore become a subscript.
    """
    name = re.sub("_([A-Za-z]+)", r"<sub>\1</sub>", escape(measure.title or measure.key))
    name = name if measure.title else name[:1].upper() + name[1:]
    return f"{name}<small>{escape(where or measure.shown or measure.unit)}</small>"


def arms(run: Run) -> list[str]:
    return [arm(run, a) for a in run.arms]


def arm(run: Run, of: ReportedArm) -> str:
    """The colour and the name of an arm."""
    return (
        "<span class='chip'"
        f" style='background:{looks(run)[of.label].colour}'></span>{escape(of.label)}"
    )


def marks(run: Run, of: ReportedArm) -> str:
    """The warnings beside an arm's numbers, and whether its states settled."""
    settled = "<small>settled</small>" if of.about.get("settled") is True else ""
    return (
        "".join(f"<small class='mark'>{escape(text)}</small>" for text in doubts(run, of)) + settled
    )


def plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"


def listed(texts: list[str]) -> str:
    """A list in words: 'a, b and c'."""
    texts = [escape(t) for t in texts if t]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
