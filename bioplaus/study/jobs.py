"""Arms side by side, in processes of their own: small nets use one core each better than all cores
together.
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
from bioplaus.study.share import Workshop
from bioplaus.study.stop import serve, starting_workers, working

MOST = 8  # jobs where no number is given: each holds the data, and its own programs


def run_jobs(
    study: Study,
    out: Path,
    *,
    jobs: int | None = None,
    resume: bool = False,
    show: bool = True,
    many: bool = False,
) -> Results:
    """`run_study` with several arms at a time, each with its share of the cores. Arms that are
    attacked from another one follow it.

    jobs: how many; None: one a core on a CPU, at most 8, else 1. Results differ from those of one
    job by rounding, as from those of a machine with other cores. Raises StudyError as `run_study`
    does, and if a process dies: what is finished stays.
    """
    began = time.perf_counter()
    cores = (
        sorted(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else list(range(os.cpu_count() or 1))
    )
    if jobs is None:
        jobs = min(MOST, len(cores)) if jax.default_backend() == "cpu" else 1
    if jobs < 1:
        raise StudyError(f"jobs: got {jobs}, expected 1 or more")
    plans = plan(study, many=many)
    with open_folder(out, spec.resolved(study), resume):
        _train_waiting(study, plans, out, jobs, cores, show)
        return conduct(study, plans, out, show, began)


def _train_waiting(
    study: Study, plans: list[Plan], out: Path, jobs: int, cores: list[int], show: bool
) -> None:
    """Train the arms that are not finished side by side, where there are several: first those that
    others are attacked from.
    """
    waiting = [i for i, p in enumerate(plans) if not finished(p.folder_in(out))]
    if min(jobs, len(waiting)) > 1:
        twins = {p.twin for p in plans if meets_twin(p.arm)}
        first = [i for i in waiting if i in twins]
        then = [i for i in waiting if i not in twins]
        _side_by_side(study, out, [first, then], plans, jobs, cores, show)


def _side_by_side(study, out, waves, plans, jobs, cores, show) -> None:
    """Train waves of arms, one wave after the other; a wave's arms in any order."""
    context = multiprocessing.get_context("spawn")
    told, shares = context.Queue(), context.Queue()
    # workers stop when its other end, which this process alone holds, is closed
    theirs, lifeline = context.Pipe(duplex=False)
    for j in range(jobs):
        shares.put(cores[j::jobs] or cores)
    with progress_bar(sum(plans[i].arm.steps for wave in waves for i in wave), show) as (say, tick):
        listener = threading.Thread(
            target=lambda: [tick(n) for n in iter(told.get, None)], daemon=True
        )
        listener.start()
        pool = ProcessPoolExecutor(jobs, context, _start, (study, out, told, shares, theirs))
        try:
            for wave in waves:
                with starting_workers():
                    running = {pool.submit(_train, i): plans[i].name for i in wave}
                for done in as_completed(running):
                    done.result()
                    say(f"{running[done]} is done")
        except BrokenProcessPool as error:
            raise StudyError(
                f"a process died, perhaps for want of memory; go on with --out {out} --resume and"
                " fewer --jobs"
            ) from error
        except BaseException:
            lifeline.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            told.put(None)
            # a worker that was killed may have left half a word, on which it would wait for ever
            listener.join(2.0)
            told.cancel_join_thread()


_own: dict[str, Any] = {}  # what a process keeps from arm to arm


def _start(study: Study, out: Path, told, shares, lifeline) -> None:
    """Set up a process: how it is stopped, its cores, before JAX counts them, and the plan of the
    study.
    """
    serve(lifeline)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, shares.get())
    keep_compilations()
    _own.update(work=Workshop(plan(study, check=False), out), told=told)


def keep_compilations() -> None:
    """Compiled programs go to the user's cache folder, and the next run of the same study starts at
    once. JAX's own setting, for instance the variable JAX_COMPILATION_CACHE_DIR, stands over it. By
    machine: a program for one processor may not run on another.
    """
    import pooch

    # on a full disk: compiled again
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        jax.config.update(
            "jax_compilation_cache_dir",
            str(Path(pooch.os_cache("bioplaus")) / f"compilations-{platform.node()}"),
        )


def _train(i: int) -> None:
    with working():
        _own["work"].train(i, _own["told"].put)
