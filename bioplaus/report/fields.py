"""Receptive fields: pictures of a few units of each convolutional arm, and under its modulator.

Such an arm has an entry "fields" in summary.json, which `bioplaus.study.fields.fields_of` makes.
"""

from bioplaus.report.markup import figure, note
from bioplaus.report.read import ReportedArm, Run

MOST = 4  # arms whose fields are drawn


def pages(run: Run) -> dict[str, ReportedArm]:
    """Name of a figure -> the arm whose fields it shows."""
    shown = [a for a in run.arms if a.about.get("fields")]
    return {f"fields-{i}" if i else "fields": a for i, a in enumerate(shown[:MOST])}


def fields(run: Run, svgs: dict[str, str]) -> str:
    """The section: a figure for each arm."""
    drawn = {name: a for name, a in pages(run).items() if name in svgs}
    left = len([a for a in run.arms if a.about.get("fields")]) - len(drawn)
    pictures = [figure(svgs, name, caption(a)) for name, a in drawn.items()]
    return "".join(pictures + [note(f"{left} more arms are not drawn.")] * (left > 0))


def caption(of: ReportedArm) -> str:
    about = of.about["fields"]
    row, column = about["position"]
    second = (
        " Below: the same units under the modulator, at the gains of the first test example."
        if about["under"]
        else ""
    )
    return (
        f"{of.label}: receptive fields of the first units at row {row}, column {column} of layer"
        f" {about['layer']}, the mean gradient of their outputs by the image, over test images."
        " Red raises the output, blue lowers it; a unit's pictures share their scale. A blank"
        f" picture is a unit that no image moves.{second}"
    )
