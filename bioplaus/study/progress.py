"""Progress of a run: a bar on a terminal, or a line per minute in a log."""

import contextlib
import math
import sys
from time import perf_counter

from bioplaus.training.machines import first

LOG_SECONDS = 60.0
"""Seconds between two lines in a log."""


@contextlib.contextmanager
def progress_bar(total: int, show: bool):
    """Show progress; gives the functions say(name of the arm) and tick(number of new steps).

    total: the steps of all arms. On a terminal this is a rich progress bar with the rate and the
    time left. Where the output is not a terminal (a batch job, a file), a line goes to standard
    error every LOG_SECONDS seconds instead.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task) -> Text:
            return Text(_rate(task.speed) if task.speed else "compiling")

    class Left(TimeRemainingColumn):
        def render(self, task) -> Text:
            return super().render(task) if task.speed else Text("")

    columns = (
        TextColumn("{task.description:24.24s}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        Left(),
    )
    console, shown = Console(), show and first()
    alive = console.is_terminal or console.is_jupyter
    with Progress(*columns, console=console, disable=not (shown and alive), transient=True) as bar:
        task = bar.add_task("compiling", total=total)
        # since: the time after the first steps, and their number; the time before was compiling
        last, since = perf_counter(), None

        def update(steps: int = 0, **changes) -> None:
            nonlocal last, since
            bar.update(task, advance=steps, **changes)
            now, done = perf_counter(), bar.tasks[task].completed
            since = since or ((now, done) if done else None)
            if shown and not alive and done and now - last >= LOG_SECONDS:
                last, speed = (
                    now,
                    (done - since[1]) / (now - since[0]) if since and now > since[0] else 0.0,
                )
                what = f"{bar.tasks[task].description}: {done:,.0f} of {total:,} steps"
                how = (
                    f"{_rate(speed)}, about {math.ceil((total - done) / speed / 60)} min left"
                    if speed
                    else "compiling"
                )
                print(f"{what}, {how}", file=sys.stderr, flush=True)

        yield (lambda text: update(description=text)), update


def _rate(speed: float) -> str:
    return f"{speed:,.0f} steps/s" if speed >= 10 else f"{speed:.2g} steps/s"
