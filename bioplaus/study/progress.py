"""How far a run has come: a bar on a terminal, a line now and then in a log."""

import contextlib
import sys
from time import perf_counter

from bioplaus.machines import first

EVERY = 60.0
"""Seconds between two lines in a log."""


@contextlib.contextmanager
def progress_bar(total: int, show: bool):
    """-> say(what is being done), tick(steps done), on a rich progress bar with the rate and the time left.

    Where the output is not a terminal (a batch job, a file), the same as lines on standard error instead, one every EVERY seconds.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task) -> Text:
            return Text(f"{task.speed:,.0f} steps/s" if task.speed else "")

    columns = (TextColumn("{task.description:24.24s}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    console, shown = Console(), show and first()
    alive = console.is_terminal or console.is_jupyter
    with Progress(*columns, console=console, disable=not (shown and alive), transient=True) as bar:
        task = bar.add_task("compiling", total=total)
        began = told = perf_counter()

        def tell(steps: int = 0, **changes) -> None:
            nonlocal told
            bar.update(task, advance=steps, **changes)
            now, done = perf_counter(), bar.tasks[task].completed
            if shown and not alive and done and now - told >= EVERY:
                told, left = now, (total - done) * (now - began) / done
                what = f"{bar.tasks[task].description}: {done:,.0f} of {total:,} steps"
                print(f"{what}, {done / (now - began):,.0f} steps/s, about {left / 60:.0f} min left", file=sys.stderr, flush=True)

        yield (lambda text: tell(description=text)), tell
