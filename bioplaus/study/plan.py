"""The arms of a study, checked before any of them is trained, and what connects them: twins, and folders."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
from jax.sharding import Mesh

from bioplaus import data as datasets
from bioplaus.data import Dataset
from bioplaus.data.dataset import centred
from bioplaus.data.noisy import Flipped, with_noise
from bioplaus.study import spec
from bioplaus.study.arm import Label, label_of, partner, told_apart, train_of
from bioplaus.study.build import Built, build, hold_of
from bioplaus.study.contrasts import check_contrasts
from bioplaus.study.images import source_of
from bioplaus.study.settings import Arm, Study, StudyError
from bioplaus.study.summary import short_names
from bioplaus.types import Net


class Plan(NamedTuple):
    """An arm that has passed every check and is ready to run."""

    arm: Arm
    built: Built
    data: Dataset
    label: Label
    flipped: Flipped
    """Training examples whose label is wrong."""


def plan(study: Study, net: Net | None = None, data: Dataset | None = None, mesh: Mesh | None = None) -> list[Plan]:
    """Every arm, checked as far as it can be without training: names, data files, shapes. Backprop first, it is the twin of the rest."""
    found, loaded, prepared = [], {}, {}
    every = spec.arms(study)
    for arm in sorted(every, key=lambda a: a.rule != "bp"):
        if arm.data not in loaded:
            loaded[arm.data] = data or datasets.load(arm.data)
        asked = (arm.data, arm.inputs, arm.training_data)
        if asked not in prepared:
            prepared[asked] = _prepared(arm, loaded[arm.data])
        use, flipped = prepared[asked]
        source_of(arm, use)
        if arm.epochs:
            batches = max(1, round(arm.epochs * (len(use.train.x) // arm.batch_size)))
            arm = arm.model_copy(update={"steps": batches * hold_of(arm), "epochs": None})
        arm = arm.model_copy(update={"data": use.name})
        example, classes = use.train.x[:1], use.train.y.shape[-1]
        built = build(arm, example, classes, net)
        try:
            train = train_of(arm, built, use, mesh)
            jax.eval_shape(lambda key, d, t=train: t.program.advance(t.program.init(key, d), d, 1), jax.random.key(0), use.train)
        except (ValueError, TypeError) as error:
            raise StudyError(f"{arm.rule} on {use.name} cannot be run: {error}") from error
        found.append(Plan(arm, built, use, label_of(arm, "own" if net else None), flipped))
    labels = told_apart([(p.arm, p.label) for p in found])
    check_contrasts(study.contrast, dict(zip(short_names(labels), [p.arm for p in found], strict=True)))
    return [p._replace(label=label) for p, label in zip(found, labels, strict=True)]


def _prepared(arm: Arm, data: Dataset) -> tuple[Dataset, Flipped]:
    try:
        return with_noise(centred(data) if arm.inputs == "centred" else data, **arm.training_data.model_dump())
    except ValueError as error:
        raise StudyError(f"training_data: {error}") from error


def twin_of(p: Plan, plans: Sequence[Plan]) -> Plan | None:
    """The arm that was trained by backprop otherwise alike, from which p is attacked: p itself if it is one."""
    i = partner("bp", p.arm, p.label, [(q.arm, q.label) for q in plans])
    return None if i is None else plans[i]


def folder_of(p: Plan, plans: Sequence[Plan], out: Path) -> Path:
    """An arm's folder, named by what it depends on: its settings, its net, and the twin that it is attacked from, if it is.

    So a study that has grown finds the arms that are finished.
    """
    twin = twin_of(p, plans)
    other = twin.arm.model_dump_json() if twin and p.arm.robustness else ""
    return (
        out
        / "arms"
        / f"{p.arm.rule}-{hashlib.sha256(f'{p.arm.model_dump_json()} {p.label.net} {other}'.encode()).hexdigest()[:12]}"
    )
