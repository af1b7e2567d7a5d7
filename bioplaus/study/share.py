"""Trains a share of a study's arms, so that many machines can work on one study under any queue."""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bioplaus.record import Label
from bioplaus.study import spec
from bioplaus.study.arm import of_precision, train_arm
from bioplaus.study.deployed import Deployed
from bioplaus.study.images import Images
from bioplaus.study.lock import held
from bioplaus.study.plan import Plan, meets_twin, plan
from bioplaus.study.progress import progress_bar
from bioplaus.study.results import finished
from bioplaus.study.run import run_arm, share_folder
from bioplaus.study.settings import Study, StudyError


def run_share(
    study: Study, share: str, out: Path, *, show: bool = True, many: bool = False
) -> list[str]:
    """Train arms k, k + n, k + 2 n, ... of a study, where share is 'k/n', each into its folder.

    Returns the names of all arms of the study that are not finished. Arms that are finished are
    skipped, and arms that were stopped are resumed. When all are finished,
    `run_study(..., resume=True)` on the same folder collects them and writes the report. An arm
    whose measures depend on its backprop twin reads the twin from its folder if the twin is
    finished there; otherwise the twin is trained again for this arm, and not written. Raises
    StudyError for a share that is not k/n with 1 <= k <= n, and the errors of `run_study`.
    """
    k, n = share_of(share)
    runner = ArmRunner(plan(study, many=many), out)
    share_folder(out, spec.resolved(study))
    unfinished = [i for i in range(k - 1, len(runner.plans), n) if not runner.finished(i)]
    with progress_bar(sum(runner.plans[i].arm.steps for i in unfinished), show) as (say, tick):
        for i in unfinished:
            say(runner.names[i])
            runner.train(i, tick)
    return [name for i, name in enumerate(runner.names) if not runner.finished(i)]


class ArmRunner:
    """Trains single arms of a study in any order, and reuses twins and corrupted images."""

    def __init__(self, plans: list[Plan], out: Path):
        self.plans: list[Plan] = plans
        self.names: list[str] = [p.name for p in plans]
        self.folders: list[Path] = [p.folder_in(out) for p in plans]
        self.twins: dict[Label, Deployed] = {}
        self.images: dict[tuple[Any, ...], Images | None] = {}

    def finished(self, i: int) -> bool:
        return finished(self.folders[i])

    def train(self, i: int, tick: Callable[[int], None]) -> None:
        """Train and measure arm i in its folder, after its twin if its measures need the twin."""
        p, t = self.plans[i], self.plans[i].twin
        twin = None if t is None else self.plans[t]
        if (
            t is not None
            and twin
            and twin.label not in (p.label, *self.twins)
            and meets_twin(p.arm)
        ):
            folder = self.folders[t] if self.finished(t) else None
            with (
                of_precision(twin.arm),
                held(folder, wait=-1) if folder else contextlib.nullcontext(),
            ):
                trained = train_arm(
                    twin.arm, twin.compiled, twin.data, twin.label, folder, lambda steps: None
                )
            self.twins[twin.label] = Deployed(twin.built, twin.arm.neuron.evaluate, trained.state)
        with of_precision(p.arm):
            run_arm(p, self.folders[i], twin, self.twins, self.images, tick)


def share_of(text: str) -> tuple[int, int]:
    """(k, n) from the text 'k/n'. Raises StudyError unless 1 <= k <= n."""
    found = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", text)
    k, n = map(int, found.groups()) if found else (0, 0)
    if not 1 <= k <= n:
        raise StudyError(
            f"arms: got {text!r}; give k/n with 1 <= k <= n, as in 3/16 for the third of sixteen"
            " shares"
        )
    return k, n
