"""The page report.html of a run: self-contained, and byte-identical for equal runs."""

from html import escape
from pathlib import Path

from bioplaus.report import energy, method, referee, sections
from bioplaus.report.claims import claims
from bioplaus.report.fields import fields
from bioplaus.report.likeness import likeness
from bioplaus.report.read import Run, read_run
from bioplaus.report.spiking import spikes

SECTIONS = (
    ("result", "Result", sections.result),
    ("learning", "Learning curves", sections.learning),
    ("alignment", "Alignment with backprop", sections.alignment),
    ("representations", "Similarity of representations", likeness),
    ("spikes", "Spikes", spikes),
    ("fields", "Receptive fields", fields),
    ("robustness", "Robustness", sections.robustness),
    ("claims", "Adversarial robustness", claims),
    ("corruption", "Common corruptions and calibration", referee.corruption),
    ("memory", "Wrong labels", referee.memory),
    ("contrasts", "Planned contrasts", referee.contrasts),
    ("energy", "Energy", energy.energy),
    ("together", "Accuracy, robustness and energy", sections.together),
    ("plausibility", "Plausibility", sections.plausibility),
    ("method", "How it was measured", method.method),
    ("warnings", "Warnings", method.warnings),
    ("again", "Run it again", method.again),
)


def report(folder: str | Path) -> Path:
    """Write report.html into a finished run's folder and return its path.

    Sections without data are left out. Raises ValueError if the folder holds no finished run.
    """
    run = read_run(folder)
    from bioplaus.report.figures import figures  # imports matplotlib, which is slow

    file = Path(folder) / "report.html"
    file.write_text(render(run, figures(run)), encoding="utf-8", newline="\n")
    return file


def render(run: Run, svgs: dict[str, str]) -> str:
    """The page as text. svgs: name -> SVG, as `figures` returns them."""
    shown = [(id, title, body) for id, title, part in SECTIONS if (body := part(run, svgs))]
    links = "".join(f'<a href="#{id}">{title}</a>' for id, title, _ in shown)
    main = "".join(
        f'<section><h2 id="{id}">{title}</h2>\n{body}</section>\n' for id, title, body in shown
    )
    title = escape(str(run.summary.get("name") or "Learning rules compared"))
    version = escape(str(run.summary.get("version") or ""))
    count = len(method.warned(run))
    many = "one warning" if count == 1 else f"{count} warnings"
    notice = f'<p class="notice">This run has <a href="#warnings">{many}</a>.</p>' if count else ""
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<div class="frame">
<nav aria-label="Contents">{links}</nav>
<main>
<h1>{title}</h1>
<p class="by">bioplaus {version}</p>
{sections.compared(run)}
{notice}
{main}</main>
</div>
</body>
</html>
"""
