"""Runs a study: checks everything, trains and measures arm by arm, and writes the results."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bioplaus.data import Dataset
from bioplaus.files import PART, replacing, seal
from bioplaus.record import BACKPROP, RESULTS, RESULTS_SUMS, Label, Row, write_rows
from bioplaus.study import spec
from bioplaus.study.arm import Trained, of_precision, train_arm
from bioplaus.study.costs import Costs, cost_rows, costs_of, training_profiles
from bioplaus.study.deployed import Deployed
from bioplaus.study.fields import fields_of
from bioplaus.study.final import final_rows
from bioplaus.study.images import Images, error_rows, images_of, source_of
from bioplaus.study.labels import relabelled
from bioplaus.study.lock import LOCK, RELEASE_SECONDS, held
from bioplaus.study.plan import Plan, plan
from bioplaus.study.progress import progress_bar
from bioplaus.study.results import Final, read_final, write_final, write_json
from bioplaus.study.settings import Study, StudyError
from bioplaus.study.spiking import example_of
from bioplaus.study.summary import summarise
from bioplaus.training.devices import mesh_of
from bioplaus.training.machines import by_first, first
from bioplaus.types import Net


class Results(NamedTuple):
    """The results of a study.

    rows: one number each. summary: the content of summary.json. folder: where they were written, or
    None.
    """

    rows: list[Row]
    summary: dict[str, Any]
    folder: Path | None

    def __str__(self) -> str:
        from io import StringIO

        from rich.console import Console

        from bioplaus.report import table

        console = Console(file=StringIO(), width=120)
        console.print(table(self.rows, self.summary))
        for text in self.summary["warnings"]:
            console.print(f"warning: {text}", markup=False, highlight=False)
        return console.file.getvalue()  # type: ignore[attr-defined]


def run_study(
    study: Study,
    *,
    net: Net | None = None,
    data: Dataset | None = None,
    out: Path | None = None,
    resume: bool = False,
    show: bool = True,
    mesh: str | None = None,
    many: bool = False,
) -> Results:
    """Run every arm of a study, arms of backprop first.

    net, data: replace those that the settings name. out: a new folder for the results. resume:
    continue in an existing folder. show: a progress bar. mesh: divides the work over several
    devices, as in 'data=4,model=2' or 'seeds=8', see `bioplaus.training.devices`; it changes
    results by rounding errors alone. many: allows more than 10,000 arms.

    Raises StudyError or DataError, before any work starts, for settings that are wrong.
    """
    began = time.perf_counter()
    try:
        devices = mesh_of(mesh) if mesh else None
    except ValueError as error:
        raise StudyError(str(error)) from error
    plans = plan(study, net, data, devices, many=many)
    with open_folder(out, spec.resolved(study), resume) if out else contextlib.nullcontext():
        return conduct(study, plans, out, show, began)


def conduct(study: Study, plans: list[Plan], out: Path | None, show: bool, began: float) -> Results:
    """Train and measure all arms that are not finished, and write the results.

    out: a folder from `open_folder`, or None. began: `time.perf_counter()` at the start of the run.
    """
    settings, machines = spec.resolved(study), training_profiles(study.profiles)
    rows: list[Row] = []
    warnings: list[str] = []
    seconds: dict[str, float] = {}
    twins: dict[Label, Deployed] = {}
    images: dict[tuple, Images | None] = {}
    done: list[tuple[Plan, Trained, Costs | None]] = []
    examples: dict[str, dict[str, Any]] = {}
    with progress_bar(sum(p.arm.steps for p in plans), show) as (say, tick):
        for p in plans:
            say(p.name)
            twin = None if p.twin is None else plans[p.twin]
            with of_precision(p.arm):
                trained, found, concerns = run_arm(
                    p, out and p.folder_in(out), twin, twins, images, tick
                )
                costs = (
                    costs_of(p.arm, p.built, p.data.train, trained, machines)
                    if p.arm.energy
                    else None
                )
                pictures = {"spikes": example_of(p, trained), "fields": fields_of(p, trained)}
                examples[p.name] = {name: of for name, of in pictures.items() if of}
            done.append((p, trained, costs))
            rows += (
                trained.rows
                + found
                + (cost_rows(costs, p.label, p.arm, trained.rows) if costs else [])
            )
            warnings += concerns
            seconds[p.name] = round(trained.seconds, 3)
    rows += error_rows([p.label for p in plans], rows)
    notes, chance = (
        {p.data.name: p.data.note for p in plans},
        1 / max(p.data.test.y.shape[-1] for p in plans),
    )
    source = ", ".join(sorted({source_of(p.arm, p.data) for p in plans} - {""}))
    summary = summarise(
        study, settings, done, rows, notes, chance, source, machines, warnings, examples
    )
    if out and first():
        _write_results(out, rows, summary, seconds, began)
    return Results(rows, summary, out)


def _write_results(
    out: Path, rows: list[Row], summary: dict[str, Any], seconds: dict[str, float], began: float
) -> None:
    """Write the files of a finished run, and its report. seconds: of each arm."""
    results_csv, summary_json, timing_json = (out / name for name in RESULTS)
    write_rows(results_csv, rows)
    write_json(summary_json, summary)
    write_json(timing_json, {"total_s": round(time.perf_counter() - began, 3), "arms": seconds})
    seal(out / RESULTS_SUMS, RESULTS)
    from bioplaus.report import report

    report(out)


def run_arm(
    p: Plan,
    folder: Path | None,
    twin: Plan | None,
    twins: dict[Label, Deployed],
    images: dict[tuple[Any, ...], Images | None],
    tick: Callable[[int], None],
) -> tuple[Trained, list[Row], list[str]]:
    """Train and measure an arm. Returns (trained, rows measured after training, warnings).

    twins: backprop arms that are trained; an arm of backprop is added to them. images: corrupted
    test sets, each computed once for all arms that share it.
    """
    with held(folder, RELEASE_SECONDS) if folder else contextlib.nullcontext():
        return _run_arm(p, folder, twin, twins, images, tick)


def _run_arm(p, folder, twin, twins, images, tick) -> tuple[Trained, list[Row], list[str]]:
    trained = train_arm(p.arm, p.compiled, p.data, p.label, folder, tick)
    deployed = Deployed(p.built, p.arm.neuron.evaluate, trained.state)
    if p.arm.rule == BACKPROP:
        twins[p.label] = deployed
    kept, why = by_first(lambda: read_final(folder)) if folder else (None, "")
    if kept:
        kept = Final(*kept)
        return (
            trained,
            relabelled([Row(*row) for row in kept.rows], p.label),
            trained.warnings + kept.warnings,
        )
    same, other = (p.arm.corruptions, id(p.data.test.x)), twins.get(twin.label) if twin else None
    if same not in images:
        images[same] = images_of(p.arm, p.data)
    found, concerns = final_rows(
        p.arm, deployed, trained, other, p.data, images[same], p.flipped, p.label
    )
    if why:
        concerns = [*concerns, f"{p.label.rule}, {p.label.neuron}: {why}; measured again"]
    if folder and first():
        write_final(folder, Final(found, concerns))
    return trained, found, trained.warnings + concerns


@contextlib.contextmanager
def open_folder(out: Path, settings: dict[str, Any], resume: bool) -> Iterator[None]:
    """Create and lock the folder of a study.

    Raises StudyError if another run is at work in it, or if it cannot be written to.
    """
    by_first(lambda: _write_study(out, settings, resume, write=False), StudyError)
    with held(out):
        by_first(lambda: _write_study(out, settings, resume), StudyError)
        yield


def share_folder(out: Path, settings: dict[str, Any]) -> None:
    """Create the folder of a study for its shares, which may run at the same time.

    Raises StudyError if it cannot be written to, or if it holds a study with an arm that this one
    lacks. So a study may gain arms, and keep its folder.
    """
    if (there := out / "study.toml").exists():
        known = spec.load(there)
        theirs, mine = (
            {arm.model_dump_json() for arm in spec.arms(study, many=True, check=False)}
            for study in (known, Study.model_validate(settings))
        )
        if missing := len(theirs - mine):
            raise StudyError(
                f"{out}: holds another study, {known.name!r}, and this one lacks {missing} of its"
                " arms; give another --out"
            )
    _write_study(out, settings, resume=True)


def _write_study(out: Path, settings: dict[str, Any], resume: bool, write: bool = True) -> None:
    """Write study.toml into the folder, and create the folder. write: False to check it only."""
    import tomli_w

    text = tomli_w.dumps(settings)
    try:
        if out.exists() and any(
            file.suffix != PART and file.name != LOCK for file in out.iterdir()
        ):
            if not resume:
                raise StudyError(
                    f"{out}: exists already; give another --out, or --resume to continue in it"
                )
            if not (out / "study.toml").exists():
                raise StudyError(
                    f"{out}: holds no study; --resume needs the folder of one, or give another"
                    " --out"
                )
        if not write:
            return
        out.mkdir(parents=True, exist_ok=True)
        with replacing(out / "study.toml") as part:
            part.write_text(text, encoding="utf-8")
        if not os.access(out, os.W_OK):
            raise PermissionError("no permission to write")
    except OSError as error:
        raise StudyError(f"{out}: cannot be written to ({error}); give another --out") from error
