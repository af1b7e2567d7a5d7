"""The section on representations: hidden layers of each arm compared with those of backprop."""

from bioplaus.record import Condition, Measure, measures_of
from bioplaus.record.measures import CKA, CKA_OF_SEEDS, PERCENT, RSA, RSA_OF_SEEDS
from bioplaus.report.markup import arm, blocks, figure, heading, listed, note, table
from bioplaus.report.read import ReportedArm, Run, Seeds, interval, levels, seeds_of
from bioplaus.report.text import NONE, spread, written

BETWEEN_SEEDS = {CKA: CKA_OF_SEEDS, RSA: RSA_OF_SEEDS}
"""Measure between an arm and its backprop twin -> the same between a backprop seed and the next."""


def likeness(run: Run, svgs: dict[str, str]) -> str:
    """A table of CKA and RSA between layers of equal depth, and a figure of CKA of all pairs."""
    depths = layers(run)
    shown = [
        a for a in run.arms if any(pair(run, a, m, l, l) for m in BETWEEN_SEEDS for l in depths)
    ]
    if not shown:
        return ""
    heads = [
        arm(run, a) + ("<small>with its next seed</small>" if alone(run, a) else "") for a in shown
    ]
    cells = [[_cell(run, a, m, l) for m in BETWEEN_SEEDS for l in depths] for a in shown]
    columns = [heading(m, f"layer {l}") for m in BETWEEN_SEEDS for l in depths]
    rest = [a.label for a in run.arms if a not in shown]
    text = (
        "CKA of each hidden layer (vertical axis) with each hidden layer of backprop (horizontal"
        " axis), mean over seeds. Each seed of backprop is compared with the next seed."
    )
    return (
        table(columns, heads, cells)
        + note(
            "Hidden layers compared with those of the arm that is trained by backprop from the same"
            " initial weights on the same batches, on test examples. CKA, centred kernel alignment:"
            " 1 for layers that are equal up to rotation and scale, 0 on average for independent"
            " layers (the estimate is unbiased, so it may be below 0). RSA, representational"
            " similarity analysis: the rank correlation of the distances between examples. Mean"
            " [95 % t interval over seeds].",
            "Two rows are references. The row of backprop compares two of its seeds, which start"
            " from different weights; it has no interval, because its pairs share nets. The row of"
            " the frozen baseline shows how similar nets are because of equal initial weights"
            " alone.",
            (
                f"Left out: {listed(rest)}. These arms do not answer by one forward pass of their"
                " net, or have no arm to be compared with."
                if rest
                else ""
            ),
        )
        + figure(svgs, "likeness", text)
        + _held(run, depths)
    )


def _held(run: Run, depths: list[int]) -> str:
    """A table of the measures of single hidden layers, as means over seeds."""
    measures = [m for m in measures_of("layers") if levels(run, m, "layer")]
    shown = [a for a in run.arms if any((a.label, m.key) in run.values for m in measures)]
    if not shown:
        return ""
    cells = [[_mean(run, a, m, l) for m in measures for l in depths] for a in shown]
    columns = [heading(m, f"layer {l}") for m in measures for l in depths]
    return blocks(columns, [arm(run, a) for a in shown], cells, 6) + note(
        "Means over seeds. Effective dimension: participation ratio of the units' covariance."
        " Sparsity: the share of outputs that are 0. Dead units: the share of units whose output is"
        " the same for all examples."
    )


def _mean(run: Run, of: ReportedArm, measure: Measure, layer: int) -> str:
    mean = interval(seeds_of(run, of, measure, Condition(layer=layer)).values()).mean
    return written(measure, mean) + (" %" if measure.form == PERCENT else "")


def layers(run: Run) -> list[int]:
    """The hidden layers that were compared, from 1."""
    return sorted({l for m in (CKA, CKA_OF_SEEDS) for l in levels(run, m, "layer")})


def alone(run: Run, of: ReportedArm) -> bool:
    """Whether seeds of the arm were compared with each other, as for backprop, not with a twin."""
    return (of.label, CKA_OF_SEEDS.key) in run.values


def pair(run: Run, of: ReportedArm, measure: Measure, layer: int, twin_layer: int) -> Seeds:
    """Seed -> CKA or RSA of a layer with a layer of the twin, or with one of the next seed."""
    return seeds_of(
        run,
        of,
        BETWEEN_SEEDS[measure] if alone(run, of) else measure,
        Condition(layer=layer, twin_layer=twin_layer),
    )


def _cell(run: Run, of: ReportedArm, measure: Measure, layer: int) -> str:
    x = interval(pair(run, of, measure, layer, layer).values(), measure.bounds)
    if not x.n:
        return NONE
    around = "" if alone(run, of) else spread(x, measure=measure) or "one seed"
    return f"<b>{written(measure, x.mean)}</b><small>{around}</small>"
