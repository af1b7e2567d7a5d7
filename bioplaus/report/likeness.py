"""The section on representations: how alike each arm's hidden layers are to those of backprop, and
what each holds.
"""

from bioplaus.record import Condition, Measure, measures_of
from bioplaus.record.measures import CKA, CKA_OF_SEEDS, PERCENT, RSA, RSA_OF_SEEDS
from bioplaus.report.markup import arm, blocks, figure, heading, listed, note, table
from bioplaus.report.read import ReportedArm, Run, Seeds, interval, levels, seeds_of
from bioplaus.report.text import NONE, spread, written

BETWEEN_SEEDS = {CKA: CKA_OF_SEEDS, RSA: RSA_OF_SEEDS}
"""What an arm is compared by with its backprop twin -> what backprop itself is compared by with its
own next seed.
"""


def likeness(run: Run, svgs: dict[str, str]) -> str:
    """CKA and RSA of layers at the same depth; of all pairs of layers, CKA as a figure."""
    depths = layers(run)
    shown = [
        a for a in run.arms if any(pair(run, a, m, l, l) for m in BETWEEN_SEEDS for l in depths)
    ]
    if not shown:
        return ""
    heads = [
        arm(run, a) + ("<small>its own next seed</small>" if alone(run, a) else "") for a in shown
    ]
    cells = [[_cell(run, a, m, l) for m in BETWEEN_SEEDS for l in depths] for a in shown]
    columns = [heading(m, f"layer {l}") for m in BETWEEN_SEEDS for l in depths]
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
        + _held(run, depths)
    )


def _held(run: Run, depths: list[int]) -> str:
    """What each hidden layer holds: means over seeds."""
    measures = [m for m in measures_of("layers") if levels(run, m, "layer")]
    shown = [a for a in run.arms if any((a.label, m.key) in run.values for m in measures)]
    if not shown:
        return ""
    cells = [[_mean(run, a, m, l) for m in measures for l in depths] for a in shown]
    columns = [heading(m, f"layer {l}") for m in measures for l in depths]
    return blocks(columns, [arm(run, a) for a in shown], cells, 6) + note(
        "Means over seeds. Effective dimension: participation ratio of the units' covariance."
        " Sparsity: outputs that are 0. Dead units: the same for all examples."
    )


def _mean(run: Run, of: ReportedArm, measure: Measure, layer: int) -> str:
    mean = interval(seeds_of(run, of, measure, Condition(layer=layer)).values()).mean
    return written(measure, mean) + (" %" if measure.form == PERCENT else "")


def layers(run: Run) -> list[int]:
    """The hidden layers that were compared, from 1."""
    return sorted({l for m in (CKA, CKA_OF_SEEDS) for l in levels(run, m, "layer")})


def alone(run: Run, of: ReportedArm) -> bool:
    """Whether the arm was compared with its own next seed, as backprop is, and not with its
    twin.
    """
    return (of.label, CKA_OF_SEEDS.key) in run.values


def pair(run: Run, of: ReportedArm, measure: Measure, layer: int, twin_layer: int) -> Seeds:
    """seed -> likeness, CKA or RSA, of one layer with one of the twin's, or of the next seed's."""
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
