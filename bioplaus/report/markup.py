"""Pieces of HTML. Arguments are plain text, escaped here, except where they are said to be HTML."""

import math
from html import escape

from bioplaus.report.headline import doubts
from bioplaus.report.look import looks
from bioplaus.report.run import Arm, Interval, Run
from bioplaus.report.text import NONE, percent, spread


def _cell(content: str) -> str:
    return content if content.startswith("<td") else f"<td>{content}</td>"


def table(
    columns: list[str],
    heads: list[str],
    cells: list[list[str]],
    corner: str = "",
    kind: str = "wide",
    caption: str = "",
) -> str:
    """A table that scrolls where the page is too narrow. heads: the first cell of each row. Every
    argument is HTML.
    """
    said = f"<caption>{caption}</caption>" if caption else ""
    top = "".join(f"<th scope='col'>{c}</th>" for c in (corner, *columns))
    rows = "\n".join(
        f"<tr><th scope='row'>{head}</th>{''.join(map(_cell, row))}</tr>"
        for head, row in zip(heads, cells, strict=True)
    )
    return (
        "<div class='scroll'><table"
        f" class='{kind}'>{said}<thead><tr>{top}</tr></thead>\n<tbody>{rows}</tbody></table></div>"
    )


def blocks(
    columns: list[str],
    heads: list[str],
    cells: list[list[str]],
    most: int,
    corner: str = "",
    caption: str = "",
) -> str:
    """Tables of at most so many columns, one below the other, so that they fit on the page and on
    paper.
    """
    if not columns:
        return ""
    size = math.ceil(len(columns) / math.ceil(len(columns) / most))
    parts = [slice(i, i + size) for i in range(0, len(columns), size)]
    return "".join(
        table(columns[part], heads, [row[part] for row in cells], corner, caption=caption)
        for part in parts
    )


def figure(svgs: dict[str, str], name: str, caption: str, kind: str = "") -> str:
    """A figure and its caption, '' where it was not drawn."""
    if name not in svgs:
        return ""
    text = escape(caption)
    svg = svgs[name].replace("<svg ", f'<svg role="img" aria-label="{text}" ', 1)
    return f"<figure class='{kind}'>{svg}<figcaption>{text}</figcaption></figure>"


def note(*parts: str) -> str:
    """A paragraph below a table. parts: HTML; empty ones are left out."""
    return f"<p class='note'>{' '.join(p for p in parts if p)}</p>"


def estimate(x: Interval | None, sign: bool = False) -> str:
    """A mean and its interval, in percent; '' for none."""
    if x is None or not x.n:
        return ""
    return f"<b>{percent(x.mean, sign)}</b><small>{spread(x, sign) or 'one seed'}</small>"


def arms(run: Run) -> list[str]:
    return [arm(run, a) for a in run.arms]


def arm(run: Run, of: Arm) -> str:
    """An arm's colour and name."""
    return (
        "<span class='chip'"
        f" style='background:{looks(run)[of.label].colour}'></span>{escape(of.label)}"
    )


def marks(run: Run, of: Arm) -> str:
    """What must stand beside an arm's numbers, and that its states settled."""
    settled = "<small>settled</small>" if of.about.get("settled") is True else ""
    return (
        "".join(f"<small class='mark'>{escape(text)}</small>" for text in doubts(run, of)) + settled
    )


def count(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else NONE


def plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"


def listed(texts: list[str]) -> str:
    """'a, b and c'."""
    texts = [escape(t) for t in texts if t]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
