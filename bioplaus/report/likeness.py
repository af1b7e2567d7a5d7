"""The section on representations: how alike each arm's hidden layers are to those of backprop, and
what each holds.
"""

from html import escape

from bioplaus.report.markup import arm, blocks, figure, listed, note, table
from bioplaus.report.run import Arm, Run, interval, levels, number, seeds_of
from bioplaus.report.text import NONE

TWIN, SEEDS = "to backprop", "between seeds"
MEASURES = {"cka": "CKA", "rsa": "RSA"}


def likeness(run: Run, svgs: dict[str, str]) -> str:
    """CKA and RSA of layers at the same depth; of all pairs of layers, CKA as a figure."""
    depths = layers(run)
    shown = [a for a in run.arms if any(pair(run, a, m, l, l) for m in MEASURES for l in depths)]
    if not shown:
        return ""
    heads = [
        arm(run, a) + ("<small>its own next seed</small>" if compared(run, a) == SEEDS else "")
        for a in shown
    ]
    cells = [[_cell(run, a, m, l) for m in MEASURES for l in depths] for a in shown]
    columns = [
        f"{name}<small>layer {escape(l)}</small>" for name in MEASURES.values() for l in depths
    ]
    rest = [a.label for a in run.arms if a not in shown]
    text = (
        "CKA of each hidden layer (upwards) with each hidden layer of backprop (to the right), mean"
        " over seeds. Backprop itself: with its own next seed."
    )
    return (
        table(columns, heads, cells)
        + note(
            "Hidden layers against those of the arm trained by backprop from the same weights on"
            " the same batches, on test examples. CKA: 1 is the same up to rotation and scale, 0"
            " what independent layers have on average (unbiased estimate, so it may be below 0)."
            " RSA: rank correlation of the distances between examples. Mean [95 % t interval over"
            " seeds].",
            "Backprop's own row is the yardstick: two of its seeds, which begin apart, where the"
            " other rows begin at the same weights; its pairs share nets, so it has no interval."
            " The frozen baseline is the other one: what the start alone has in common.",
            (
                f"Left out: {listed(rest)} (no answer by one forward pass of the net, or nothing to"
                " be compared with)."
                if rest
                else ""
            ),
        )
        + figure(svgs, "likeness", text)
        + _alone(run, depths)
    )


def _alone(run: Run, depths: list[str]) -> str:
    """What each hidden layer holds: means over seeds."""
    measures = {
        "effective dimension": ("{:.1f}", 1),
        "sparsity": ("{:.1f} %", 100),
        "dead units": ("{:.1f} %", 100),
    }
    shown = [a for a in run.arms if (a.label, "effective dimension") in run.values]
    if not shown:
        return ""
    cells = [
        [
            form.format(scale * interval(seeds_of(run, a, m, f"layer={l}").values()).mean)
            for m, (form, scale) in measures.items()
            for l in depths
        ]
        for a in shown
    ]
    columns = [
        f"{m[0].upper()}{m[1:]}<small>layer {escape(l)}</small>" for m in measures for l in depths
    ]
    return blocks(columns, [arm(run, a) for a in shown], cells, 6) + note(
        "Means over seeds. Effective dimension: participation ratio of the units' covariance."
        " Sparsity: outputs that are 0. Dead units: the same for all examples."
    )


def layers(run: Run) -> list[str]:
    """The hidden layers, from 1."""
    found = {l for name in (TWIN, SEEDS) for l in levels(run, f"cka {name}", "layer")}
    return sorted(found, key=number)


def compared(run: Run, of: Arm) -> str:
    """What the arm was compared with: `TWIN`, or `SEEDS` for backprop itself."""
    return SEEDS if (of.label, f"cka {SEEDS}") in run.values else TWIN


def pair(run: Run, of: Arm, measure: str, layer: str, twin_layer: str) -> dict[str, float]:
    """seed -> likeness of one layer with one of the twin's."""
    return seeds_of(
        run, of, f"{measure} {compared(run, of)}", f"layer={layer} twin layer={twin_layer}"
    )


def _cell(run: Run, of: Arm, measure: str, layer: str) -> str:
    x = interval(pair(run, of, measure, layer, layer).values(), (-1.0, 1.0))
    if not x.n:
        return NONE
    alone = compared(run, of) == SEEDS
    spread = "" if alone else f"[{x.low:.2f}, {x.high:.2f}]" if x.n > 1 else "one seed"
    return f"<b>{x.mean:.2f}</b><small>{spread}</small>".replace("-", "−")
