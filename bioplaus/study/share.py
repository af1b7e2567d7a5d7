"""A share of a study's arms, for many machines under any queue: each trains its own, and one run collects them."""

from pathlib import Path

from bioplaus.study import spec
from bioplaus.study.arm import Label, train_arm
from bioplaus.study.final import Deployed
from bioplaus.study.plan import folder_of, plan, twin_of
from bioplaus.study.run import FINISHED, open_folder, progress_bar, run_arm
from bioplaus.study.settings import Study, StudyError
from bioplaus.study.summary import short_names


def run_share(study: Study, share: str, out: Path, *, show: bool = True) -> list[str]:
    """Train arms k, k + n, k + 2 n, ... of a study, where share is 'k/n', each into its folder. Returns the names of all unfinished arms.

    Arms are independent: one that is finished is skipped, one that was stopped goes on, and none is trained by two shares. When all
    are done, `run_study(..., resume=True)` on the same folder collects them and writes the report. An arm that is attacked from its
    twin takes the twin from its folder if it is finished there, and otherwise trains one for itself, which it does not write.
    Raises StudyError for a share that makes no sense, and what `run_study` raises.
    """
    k, n = share_of(share)
    plans = plan(study)
    open_folder(out, spec.resolved(study), resume=True)
    folders = [folder_of(p, plans, out) for p in plans]
    mine = [i for i in range(k - 1, len(plans), n) if not (folders[i] / FINISHED).exists()]
    names, twins, images = short_names([p.label for p in plans]), dict[Label, Deployed](), {}
    with progress_bar(sum(plans[i].arm.steps for i in mine), show) as (say, tick):
        for i in mine:
            p, twin = plans[i], twin_of(plans[i], plans)
            if twin and twin.label not in (p.label, *twins) and p.arm.robustness:
                say(f"{names[i]}: its twin")
                where = folder_of(twin, plans, out)
                folder = where if (where / FINISHED).exists() else None
                trained = train_arm(twin.arm, twin.built, twin.data, twin.label, folder, lambda steps: None)
                twins[twin.label] = Deployed(twin.built, twin.arm.neuron.evaluate, trained.state)
            say(names[i])
            run_arm(p, folders[i], twin, twins, images, tick)
    return [name for name, folder in zip(names, folders, strict=True) if not (folder / FINISHED).exists()]


def share_of(text: str) -> tuple[int, int]:
    """(k, n) of 'k/n'."""
    k, _, n = text.partition("/")
    if not (k.isdigit() and n.isdigit() and 1 <= int(k) <= int(n)):
        raise StudyError(f"arms: got {text!r}; give k/n with 1 <= k <= n, as in 3/16 for the third of sixteen shares")
    return int(k), int(n)
