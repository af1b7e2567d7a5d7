"""A share of a study's arms, for many machines under any queue: each trains its own, and one run
collects them.
"""

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
    Returns the names of all unfinished arms.

    Arms are independent: one that is finished is skipped, one that was stopped goes on, and none is
    trained by two shares. When all are done, `run_study(..., resume=True)` on the same folder
    collects them and writes the report. An arm that is compared with its twin takes the twin from
    its folder if it is finished there, and otherwise trains one for itself, which it does not
    write. Raises StudyError for a share that makes no sense, and what `run_study` raises.
    """
    k, n = share_of(share)
    work = ArmRunner(plan(study, many=many), out)
    share_folder(out, spec.resolved(study))
    mine = [i for i in range(k - 1, len(work.plans), n) if not work.finished(i)]
    with progress_bar(sum(work.plans[i].arm.steps for i in mine), show) as (say, tick):
        for i in mine:
            say(work.names[i])
            work.train(i, tick)
    return [name for i, name in enumerate(work.names) if not work.finished(i)]


class ArmRunner:
    """What trains single arms of a study, in any order. It keeps twins and corrupted images from
    arm to arm.
    """

    def __init__(self, plans: list[Plan], out: Path):
        self.plans: list[Plan] = plans
        self.names: list[str] = [p.name for p in plans]
        self.folders: list[Path] = [p.folder_in(out) for p in plans]
        self.twins: dict[Label, Deployed] = {}
        self.images: dict[tuple[Any, ...], Images | None] = {}

    def finished(self, i: int) -> bool:
        return finished(self.folders[i])

    def train(self, i: int, tick: Callable[[int], None]) -> None:
        """Train arm i into its folder, after its twin if it is attacked from one that is not here
        yet.
        """
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
    """(k, n) of 'k/n'."""
    found = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", text)
    k, n = map(int, found.groups()) if found else (0, 0)
    if not 1 <= k <= n:
        raise StudyError(
            f"arms: got {text!r}; give k/n with 1 <= k <= n, as in 3/16 for the third of sixteen"
            " shares"
        )
    return k, n
