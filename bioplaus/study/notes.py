"""The note in a checkpoint of an arm: its measures and warnings up to that step."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bioplaus.record import Row
from bioplaus.study.settings import StudyError
from bioplaus.study.watch import Watch
from bioplaus.training.checkpoints import CheckpointError, latest
from bioplaus.training.program import TrainState


class Note(NamedTuple):
    """What a checkpoint holds beside the training state.

    seconds: of training, without interruptions. rows: measures so far. said: warnings so far.
    since: name -> history [S, steps] of S seeds since the last measurement. watch: see
    `bioplaus.study.watch`; None in a note of a version that had none.
    """

    seconds: float = 0.0
    rows: list[Row] = []  # noqa: RUF012
    said: list[str] = []  # noqa: RUF012
    since: dict[str, np.ndarray] = {}  # noqa: RUF012
    watch: Watch | None = None

    def plain(self) -> dict[str, Any]:
        """The note in types of JSON, without loss of precision."""
        return {
            **self._asdict(),
            "since": {name: [str(a.dtype), a.tolist()] for name, a in self.since.items()},
        }


def taken_up(folder: Path, like: TrainState, name: str) -> tuple[TrainState, int, Note] | None:
    """(state, steps done, note) of the last readable checkpoint in an arm's folder.

    None if there is no checkpoint. like: a state of the expected shapes. name: of the arm, for
    warnings. Raises StudyError if there are checkpoints and none can be read, or if the note is not
    in the form that a run writes.
    """
    try:
        found = latest(folder, like, owner=folder.name)
    except CheckpointError as error:
        raise StudyError(f"cannot be resumed: {error}") from error
    if found is None:
        return None
    refused = [f"{name}: {why}; continued from step {found.step}" for why in found.refused]
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
            f"{place} is not in the form that a run writes ({error!r}); delete {folder} to train"
            " this arm again"
        ) from error
