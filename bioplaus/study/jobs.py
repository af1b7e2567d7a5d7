"""Trains several arms at once, each in a separate process with its share of the cores.

Small nets train faster on one core each than one after the other on all cores.
"""

import multiprocessing
import os
import platform
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import jax

from bioplaus.study import spec
from bioplaus.study.plan import Plan, meets_twin, plan
from bioplaus.study.progress import progress_bar
from bioplaus.study.results import finished
from bioplaus.study.run import Results, conduct, open_folder
from bioplaus.study.settings import Study, StudyError
from bioplaus.study.share import ArmRunner
from bioplaus.study.stop import serve, starting_workers, working

# the largest number of jobs if the user gives none: each holds a copy of data and programs
MAX_DEFAULT_JOBS = 8


def run_jobs(
    study: Study,
    out: Path,
    *,
    jobs: int | None = None,
    resume: bool = False,
    show: bool = True,
    many: bool = False,
) -> Results:
    """`run_study` with several arms at once.

    jobs: number of arms that are trained at once; None for one per core and at most 8 on a CPU,
    and for 1 elsewhere. The number of jobs changes results by rounding errors alone. Raises
    StudyError as `run_study` does, and if a process dies; arms that are finished are kept.
    """
    began = time.perf_counter()
    cores = (
        sorted(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else list(range(os.cpu_count() or 1))
    )
    if jobs is None:
        jobs = min(MAX_DEFAULT_JOBS, len(cores)) if jax.default_backend() == "cpu" else 1
    if jobs < 1:
        raise StudyError(f"jobs: got {jobs}, expected 1 or more")
    plans = plan(study, many=many)
    with open_folder(out, spec.resolved(study), resume):
        _train_waiting(study, plans, out, jobs, cores, show)
        return conduct(study, plans, out, show, began)


def _train_waiting(
    study: Study, plans: list[Plan], out: Path, jobs: int, cores: list[int], show: bool
) -> None:
    """Train the arms that are not finished at once, if there are several and jobs > 1.

    Backprop twins come first, because the measures of other arms need them.
    """
    waiting = [i for i, p in enumerate(plans) if not finished(p.folder_in(out))]
    if min(jobs, len(waiting)) > 1:
        twins = {p.twin for p in plans if meets_twin(p.arm)}
        first = [i for i in waiting if i in twins]
        then = [i for i in waiting if i not in twins]
        _side_by_side(study, out, [first, then], plans, jobs, cores, show)


def _side_by_side(study, out, waves, plans, jobs, cores, show) -> None:
    """Train waves of arms, one wave after the other; the arms of a wave in any order."""
    context = multiprocessing.get_context("spawn")
    steps, shares = context.Queue(), context.Queue()
    # workers stop when the other end of this pipe, which this process alone holds, is closed
    theirs, lifeline = context.Pipe(duplex=False)
    for j in range(jobs):
        shares.put(cores[j::jobs] or cores)
    with progress_bar(sum(plans[i].arm.steps for wave in waves for i in wave), show) as (say, tick):
        listener = threading.Thread(
            target=lambda: [tick(n) for n in iter(steps.get, None)], daemon=True
        )
        listener.start()
        pool = ProcessPoolExecutor(jobs, context, _start, (study, out, steps, shares, theirs))
        try:
            for wave in waves:
                with starting_workers():
                    running = {pool.submit(_train, i): plans[i].name for i in wave}
                for done in as_completed(running):
                    done.result()
                    say(f"{running[done]} is done")
        except BrokenProcessPool as error:
            raise StudyError(
                f"a process died, perhaps because memory ran out; go on with --out {out} --resume"
                " and fewer --jobs"
            ) from error
        except BaseException:
            lifeline.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            steps.put(None)
            # a worker that was killed may have sent half a message, whose rest never comes
            listener.join(2.0)
            steps.cancel_join_thread()


_worker: dict[str, Any] = {}  # of a worker process, kept from arm to arm


def _start(study: Study, out: Path, steps, shares, lifeline) -> None:
    """Set up a worker: its signals, its cores (before JAX counts them), and the study's plan."""
    serve(lifeline)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, shares.get())
    keep_compilations()
    _worker.update(runner=ArmRunner(plan(study, check=False), out), steps=steps)


def keep_compilations() -> None:
    """Keep compiled programs in the user's cache folder, so that the next run starts at once.

    There is one folder per machine, because a program for one processor may not run on another.
    JAX's setting, such as the environment variable JAX_COMPILATION_CACHE_DIR, has precedence.
    """
    import pooch

    # if the disk is full, programs are compiled again
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        jax.config.update(
            "jax_compilation_cache_dir",
            str(Path(pooch.os_cache("bioplaus")) / f"compilations-{platform.node()}"),
        )


def _train(i: int) -> None:
    with working():
        _worker["runner"].train(i, _worker["steps"].put)
