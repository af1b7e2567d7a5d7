"""The note beside the state in a checkpoint of an arm: what the arm has measured and said up to
there.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bioplaus.record import Row
from bioplaus.study.settings import StudyError
from bioplaus.study.watch import Watch
from bioplaus.training.checkpoints import CheckpointError, latest
from bioplaus.training.program import TrainState


class Note(NamedTuple):
    """seconds: of training, over all interruptions. said: warnings. since: the history [S, steps]
    after the last moment of measurement.

    watch: see `bioplaus.study.watch`; None in a note of a version that had none.
    """

    seconds: float = 0.0
    rows: list[Row] = []  # noqa: RUF012
    said: list[str] = []  # noqa: RUF012
    since: dict[str, np.ndarray] = {}  # noqa: RUF012
    watch: Watch | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON holds it, to the last bit."""
        return {
            **self._asdict(),
            "since": {name: [str(a.dtype), a.tolist()] for name, a in self.since.items()},
        }


def taken_up(folder: Path, like: TrainState, name: str) -> tuple[TrainState, int, Note] | None:
    """(state, steps done, note) of the last checkpoint in an arm's folder that can be read, None
    where there is none.

    name: what warnings call the arm. Raises StudyError if there are checkpoints and none can be
    read, or a note is of another form.
    """
    try:
        found = latest(folder, like, owner=folder.name)
    except CheckpointError as error:
        raise StudyError(f"cannot be resumed: {error}") from error
    if found is None:
        return None
    refused = [f"{name}: {why}; went on from step {found.step}" for why in found.refused]
    try:
        since = {
            key: np.array(values, dtype)
            for key, (dtype, values) in found.note.get("since", {}).items()
        }
        rows, said = [Row(*row) for row in found.note["rows"]], [*found.note["said"], *refused]
        return (
            found.state,
            found.step,
            Note(float(found.note["seconds"]), rows, said, since, found.note.get("watch")),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        place = folder / f"checkpoint-{found.step}" / "note.json"
        raise StudyError(
            f"{place} is not what a run writes ({error!r}); delete {folder} to train this arm again"
        ) from error
