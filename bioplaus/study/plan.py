"""The plan of a study: its arms, checked before any of them is trained, their twins and folders."""

import functools
import hashlib
from pathlib import Path
from typing import NamedTuple

import jax
from jax.sharding import Mesh

from bioplaus import data as datasets
from bioplaus.data import Dataset
from bioplaus.data.dataset import PARTS, bounds_of, centred
from bioplaus.data.noisy import Flipped, with_noise
from bioplaus.measure.robustness import CURVES, Disturbance, disturbed
from bioplaus.net import init
from bioplaus.record import BACKPROP, Label, partners, short_names
from bioplaus.study import spec
from bioplaus.study.arm import Compiled, compiled_of, of_precision
from bioplaus.study.build import Built, hold_of, runnable, shape_of
from bioplaus.study.contrasts import check_contrasts
from bioplaus.study.costs import training_profiles
from bioplaus.study.images import source_of
from bioplaus.study.labels import label_of, told_apart
from bioplaus.study.schedules import Schedules, schedules_of
from bioplaus.study.sequences import in_moments
from bioplaus.study.settings import Arm, Study, StudyError
from bioplaus.study.sizes import check_size
from bioplaus.training.precision import in_float64
from bioplaus.training.program import Program
from bioplaus.training.seeds import seed_key
from bioplaus.types import Array, Batch, Key, Net


class Plan(NamedTuple):
    """An arm that has passed every check and is ready to run.

    built: its parts, at the final values of its schedules. flipped: training examples with a wrong
    label. name: of the arm, in reports. twin: position in the plan of the arm that is trained by
    backprop and otherwise alike; a backprop arm is its own twin; None if there is no twin. folder:
    the name of its folder in the folder `arms` of a run.
    """

    arm: Arm
    built: Built
    compiled: Compiled
    data: Dataset
    label: Label
    flipped: Flipped
    name: str = ""
    twin: int | None = None
    folder: str = ""

    def folder_in(self, out: Path) -> Path:
        """The folder of the arm in the folder `out` of a run."""
        return out / "arms" / self.folder


def plan(
    study: Study,
    net: Net | None = None,
    data: Dataset | None = None,
    mesh: Mesh | None = None,
    *,
    check: bool = True,
    many: bool = False,
) -> list[Plan]:
    """Every arm, checked as far as possible without training: names, data files, sizes, shapes.

    Arms of backprop come first, because they are the twins of the others. check: False if this
    study has been checked before, by another process or by an earlier run; most of the time goes
    into the check of shapes. many: allows more than `bioplaus.study.sizes.MAX_ARMS` arms.
    """
    training_profiles(study.profiles)
    found, programs = [], {}
    for arm, use, flipped in _with_data(study, net, data, mesh, check, many):
        example, classes = use.train.x[:1], use.train.y.shape[-1]
        hyper, shape = schedules_of(arm), (shape_of(arm), example.shape, classes)
        try:
            with of_precision(arm):
                built = runnable(arm, use, net, hyper.end)
                known = shape in programs
                programs.setdefault(shape, compiled_of(arm, example, classes, net, mesh))
                if check and not known:
                    _check_shapes(arm, built, programs[shape].program, hyper, use.train)
        except StudyError:
            raise
        except (ValueError, TypeError) as error:
            raise StudyError(f"{arm.rule} on {use.name} cannot be run: {error}") from error
        found.append(
            Plan(arm, built, programs[shape], use, label_of(arm, "own" if net else None), flipped)
        )
    labels = told_apart([(p.arm, p.label) for p in found])
    connected = zip(found, labels, short_names(labels), partners(BACKPROP, labels), strict=True)
    found = [p._replace(label=label, name=name, twin=twin) for p, label, name, twin in connected]
    check_contrasts(study.contrast, {p.name: p.arm for p in found})
    return [p._replace(folder=_folder(p, None if p.twin is None else found[p.twin])) for p in found]


def _with_data(
    study: Study, net: Net | None, data: Dataset | None, mesh: Mesh | None, check: bool, many: bool
) -> list[tuple[Arm, Dataset, Flipped]]:
    """(arm, its data, its training examples with a wrong label) for every arm.

    Epochs are converted to steps. All sizes are checked before any net is built.
    """
    found, loaded, prepared = [], {}, {}
    for arm in sorted(
        spec.arms(study, many=many, own_net=net is not None, check=check),
        key=lambda a: a.rule != BACKPROP,
    ):
        if arm.data not in loaded:
            loaded[arm.data] = data or datasets.load(arm.data)
        key = (arm.data, arm.inputs, arm.training_data, arm.precision)
        if key not in prepared:
            prepared[key] = _prepared(arm, loaded[arm.data])
        use, flipped = prepared[key]
        arm = in_moments(arm, use, net)
        source_of(arm, use)
        if arm.stream and mesh is not None:
            raise StudyError(
                "stream: works on one device only, and this run has a mesh; leave out --mesh or"
                " stream"
            )
        if arm.epochs:
            batches = max(1, round(arm.epochs * (len(use.train.x) // arm.batch_size)))
            arm = arm.model_copy(update={"steps": batches * hold_of(arm), "epochs": None})
        arm = arm.model_copy(update={"data": use.name})
        if check:
            check_size(arm, use, own_net=net is not None, devices=mesh.size if mesh else 1)
        found.append((arm, use, flipped))
    return found


def _check_shapes(arm: Arm, built: Built, program: Program, hyper: Schedules, data: Batch) -> None:
    """Trace one training step and every disturbance with shapes alone, to find errors early."""
    key = seed_key(0)
    jax.eval_shape(lambda d: program.advance(program.init(key, d, hyper), d, hyper, 1), data)
    for name in arm.curves if arm.robustness else ():
        jax.eval_shape(functools.partial(_disturbed, built.net, CURVES[name], key), data.x[:1])


def _disturbed(net: Net, by: Disturbance, key: Key, x: Array) -> tuple:
    disturbed(by, net, init(net, key, x), x, key)
    return ()  # the result may hold functions, which jax.eval_shape cannot return


def _prepared(arm: Arm, data: Dataset) -> tuple[Dataset, Flipped]:
    try:
        bounds_of(data)
    except ValueError as error:
        raise StudyError(f"data: {error}") from error
    try:
        use, flipped = with_noise(
            centred(data) if arm.inputs == "centred" else data, **arm.training_data.model_dump()
        )
    except ValueError as error:
        raise StudyError(f"training_data: {error}") from error
    if arm.precision == "float64":
        use = use._replace(
            **{name: in_float64(part) for name, part in use._asdict().items() if name in PARTS}
        )
    return use, flipped


def meets_twin(arm: Arm) -> bool:
    """Whether the measures of an arm depend on its twin."""
    return arm.robustness or arm.alignment


def _folder(p: Plan, twin: Plan | None) -> str:
    """The name of an arm's folder: the rule, and a hash of everything that its results depend on.

    These are its settings, its net, and the settings of its twin if its measures depend on the
    twin. A study to which arms were added therefore finds the finished ones.
    """
    other = twin.arm.model_dump_json() if twin and meets_twin(p.arm) else ""
    known = hashlib.sha256(f"{p.arm.model_dump_json()} {p.label.net} {other}".encode()).hexdigest()
    return f"{p.arm.rule}-{known[:12]}"
