"""Run a study: check everything, train arm by arm, measure, and write what was found."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from bioplaus import data as datasets
from bioplaus.data import Dataset
from bioplaus.data.noisy import Flipped, with_noise
from bioplaus.devices import mesh_of
from bioplaus.rules import RULES
from bioplaus.study import spec
from bioplaus.study.arm import Label, Trained, label_of, partner, relabelled, told_apart, train_arm
from bioplaus.study.build import Built, build, hold_of
from bioplaus.study.contrasts import check_contrasts
from bioplaus.study.costs import Costs, cost_rows, costs_of
from bioplaus.study.defaults import defaults
from bioplaus.study.final import Deployed, final_rows
from bioplaus.study.images import Images, check_images, error_rows, images_of
from bioplaus.study.results import Row, read_rows, write_json, write_rows
from bioplaus.study.settings import Arm, Study, StudyError
from bioplaus.study.summary import short_names, summarise
from bioplaus.study.tune import LARGE
from bioplaus.train import make_train
from bioplaus.types import Net

FINISHED = "final.csv"
"""The file in an arm's folder that is written when all of it is done."""

CORE = ("bp", "fa", "kp", "usf", "dfa", "np", "pc", "ep")
"""The rules of the main job: one of each family that sends errors another way."""

EPOCHS = 5
"""Most that `compare` gives a rule on a data set that is downloaded."""


class Results(NamedTuple):
    """rows: one number each; summary: what the report says in words; folder: where they were written, if anywhere."""

    rows: list[Row]
    summary: dict[str, Any]
    folder: Path | None

    def __str__(self) -> str:
        from io import StringIO

        from rich.console import Console

        from bioplaus.report import table

        console = Console(file=StringIO(), width=120)
        console.print(table([row._asdict() for row in self.rows], self.summary))
        return console.file.getvalue()  # type: ignore[attr-defined]


class Plan(NamedTuple):
    """An arm that has passed every check and is ready to run."""

    arm: Arm
    built: Built
    data: Dataset
    label: Label
    flipped: Flipped
    """Training examples whose label is wrong."""


def compare(
    rules: Sequence[str] | str = CORE,
    *,
    net: Net | None = None,
    data: str | tuple[Any, Any] | Dataset = "digits",
    seeds: int | None = None,
    steps: int | None = None,
    own: bool = False,
    out: str | Path | None = None,
    show: bool = True,
) -> Results:
    """Train rules on the same net, data, batches and budget, with the frozen baseline beside them, and measure them.

    rules: keys of `bp.rules.RULES`, or 'all' for every one. net: see `comparison`. data: a name, (x, y), or a Dataset.
    seeds, steps: None for 5 and 1,000, on a data set that is downloaded for 3 and at most 5 epochs.
    own: each rule at its own tuned settings, rather than all at common ones.
    print(compare(...)) shows the table. Raises StudyError before any work starts if something does not fit.
    """
    names = [rules] if isinstance(rules, str) else rules
    study = comparison(names, data=data if isinstance(data, str) else "digits", seeds=seeds, steps=steps, own=own)
    arrays = None if isinstance(data, str) else data if isinstance(data, Dataset) else datasets.own(*data)
    return run_study(study, net=net, data=arrays, out=Path(out) if out else None, show=show)


def comparison(
    rules: Sequence[str], *, data: str, seeds: int | None = None, steps: int | None = None, own: bool = False
) -> Study:
    """The study that `compare` runs: these rules (or 'all') and the frozen baseline, at the common settings of `Arm`.

    Digits and arrays: hidden layers 128-128, 5 seeds, 1,000 steps. Data sets that are downloaded: 256-256, batches of 128,
    3 seeds, and each rule's default epochs, at most 5. own: at the settings that tuning found for each rule.
    """
    keys = [*dict.fromkeys([*(RULES if list(rules) == ["all"] else rules), "frozen"])]
    large, tuned = data != "digits", {key: found for key, found in defaults().items() if key in keys}
    base: dict[str, Any] = {"data": data, "seeds": (3 if large else 5) if seeds is None else seeds} | (LARGE if large else {})
    budget: dict[str, dict[str, Any]] = {}
    if steps is None and large:
        budget = {key: {"epochs": min(tuned[key]["epochs"], EPOCHS)} for key in tuned}
        base["epochs"] = EPOCHS
    else:
        base["steps"] = 1000 if steps is None else steps
    if own:
        budget = {key: {k: v for k, v in tuned[key].items() if k != "epochs"} | budget.get(key, {}) for key in tuned}
    return Study(name=f"compare {data}", base=base, rules=budget, grid={"rule": keys})


def run_study(
    study: Study,
    *,
    net: Net | None = None,
    data: Dataset | None = None,
    out: Path | None = None,
    resume: bool = False,
    show: bool = True,
    mesh: str | None = None,
) -> Results:
    """Run every arm of a study, backprop first. out: a new folder for the results; resume: go on in an existing one.

    mesh: several devices, as in 'data=4,model=2' or 'seeds=8', see `bioplaus.devices`; results agree to rounding.

    Raises StudyError, and DataError, before any work starts.
    """
    began = time.perf_counter()
    try:
        devices = mesh_of(mesh) if mesh else None
    except ValueError as error:
        raise StudyError(str(error)) from error
    plans = plan(study, net, data, devices)
    settings = spec.resolved(study)
    if out:
        open_folder(out, settings, resume)
    rows: list[Row] = []
    warnings: list[str] = []
    seconds: dict[str, float] = {}
    twins: dict[Label, Deployed] = {}
    images: dict[tuple, Images | None] = {}
    done: list[tuple[Arm, Label, Trained, Costs | None]] = []
    with progress_bar(sum(p.arm.steps for p in plans), show) as (say, tick):
        for p, name in zip(plans, short_names([p.label for p in plans]), strict=True):
            say(name)
            folder = out and folder_of(p, plans, out)
            trained, found, said = run_arm(p, folder, twin_of(p, plans), twins, images, tick, devices)
            costs = costs_of(p.arm, p.built, p.data.train) if p.arm.energy else None
            done.append((p.arm, p.label, trained, costs))
            rows += trained.rows + found + (cost_rows(costs, p.label) if costs else [])
            warnings += said
            seconds[name] = round(trained.seconds, 3)
    rows += error_rows([(p.arm, p.label) for p in plans], rows)
    notes, chance = {p.data.name: p.data.note for p in plans}, 1 / max(p.data.test.y.shape[-1] for p in plans)
    source = ", ".join(sorted({made.source for made in images.values() if made}))
    summary = summarise(study, settings, done, rows, notes, chance, source, warnings)
    if out:
        write_rows(out / "results.csv", rows)
        write_json(out / "summary.json", summary)
        write_json(out / "timing.json", {"total_s": round(time.perf_counter() - began, 3), "arms": seconds})
        from bioplaus.report import report

        report(out)
    return Results(rows, summary, out)


def plan(study: Study, net: Net | None = None, data: Dataset | None = None, mesh: Mesh | None = None) -> list[Plan]:
    """Every arm, checked as far as it can be without training: names, data files, shapes. Backprop first, it is the twin of the rest."""
    found, loaded, worse = [], {}, {}
    every = spec.arms(study)
    for arm in sorted(every, key=lambda a: a.rule != "bp"):
        if arm.data not in loaded:
            loaded[arm.data] = data or datasets.load(arm.data)
        if (arm.data, arm.training_data) not in worse:
            worse[arm.data, arm.training_data] = _worsened(arm, loaded[arm.data])
        use, flipped = worse[arm.data, arm.training_data]
        check_images(arm, use)
        if arm.epochs:
            batches = max(1, round(arm.epochs * (len(use.train.x) // arm.batch_size)))
            arm = arm.model_copy(update={"steps": batches * hold_of(arm), "epochs": None})
        arm = arm.model_copy(update={"data": use.name})
        example, classes = use.train.x[:1], use.train.y.shape[-1]
        built = build(arm, example, classes, net)
        try:
            rule, hold = built.rule(built.net), built.hold
            train = make_train(built.net, rule, built.tx, use.train, batch_size=arm.batch_size, hold=hold, mesh=mesh)
            jax.eval_shape(lambda key, d, t=train: t.program.advance(t.program.init(key, d), d, 1), jax.random.key(0), use.train)
        except (ValueError, TypeError) as error:
            raise StudyError(f"{arm.rule} on {use.name} cannot be run: {error}") from error
        found.append(Plan(arm, built, use, label_of(arm, "own" if net else None), flipped))
    labels = told_apart([(p.arm, p.label) for p in found])
    check_contrasts(study.contrast, dict(zip(short_names(labels), [p.arm for p in found], strict=True)))
    return [p._replace(label=label) for p, label in zip(found, labels, strict=True)]


def _worsened(arm: Arm, data: Dataset) -> tuple[Dataset, Flipped]:
    try:
        return with_noise(data, **arm.training_data.model_dump())
    except ValueError as error:
        raise StudyError(f"training_data: {error}") from error


def run_arm(
    p: Plan,
    folder: Path | None,
    twin: Plan | None,
    twins: dict[Label, Deployed],
    images: dict[tuple, Images | None],
    tick,
    mesh: Mesh | None = None,
) -> tuple[Trained, list[Row], list[str]]:
    """Train an arm and measure it. twins: arms trained by backprop, to which it adds itself if it is one.

    images: corrupted test sets, each made once for all arms that share it.
    """
    trained = train_arm(p.arm, p.built, p.data, p.label, folder, tick, mesh)
    deployed = Deployed(p.built, p.arm.neuron.evaluate, trained.state)
    if p.arm.rule == "bp":
        twins[p.label] = deployed
    same, other = (p.arm.corruptions, id(p.data.test.x)), twins.get(twin.label) if twin else None
    if same not in images:
        images[same] = images_of(p.arm, p.data)
    finished = folder / FINISHED if folder else None
    if finished and finished.exists():
        return trained, relabelled(read_rows(finished), p.label), json.loads((finished.with_suffix(".json")).read_text())
    found, said = final_rows(p.arm, deployed, trained, other, p.data, images[same], p.flipped, p.label)
    if finished:
        write_json(finished.with_suffix(".json"), said)
        write_rows(finished, found)
    return trained, found, said


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


def open_folder(out: Path, settings: dict[str, Any], resume: bool) -> None:
    import tomli_w

    text = tomli_w.dumps(settings)
    try:
        if out.exists() and any(out.iterdir()):
            if not resume:
                raise StudyError(f"{out}: exists already; give another --out, or --resume to go on with it")
            if not (out / "study.toml").exists():
                raise StudyError(f"{out}: holds no study; --resume needs the folder of one, or give another --out")
        out.mkdir(parents=True, exist_ok=True)
        (out / "study.toml").write_text(text)
        if not os.access(out, os.W_OK):
            raise PermissionError("no permission to write")
    except OSError as error:
        raise StudyError(f"{out}: cannot be written to ({error}); give another --out") from error


@contextlib.contextmanager
def progress_bar(total: int, show: bool):
    """-> say(what is being done), tick(steps done), on a rich progress bar with the rate and the time left."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task) -> Text:
            return Text(f"{task.speed:,.0f} steps/s" if task.speed else "")

    columns = (TextColumn("{task.description:24.24s}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, disable=not show, transient=True) as bar:
        task = bar.add_task("compiling", total=total)
        yield (lambda text: bar.update(task, description=text)), (lambda n: bar.advance(task, n))
