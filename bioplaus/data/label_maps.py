"""A data set in several contexts, which alone decide what its labels mean.

Each example is in it once in every context j = 0 .. k-1, one after the other, with the label (c +
j) mod C of its class c. So an input has k labels that are all different: an answer without the
context is right for 1 / k of the examples at most, and one that follows a wrong context for none.
"""

import numpy as np

from bioplaus.data import digits
from bioplaus.data.dataset import PARTS, Dataset, one_hot
from bioplaus.types import Batch


def in_contexts(data: Dataset, contexts: int = 3) -> Dataset:
    """The data set in `contexts` contexts, k; its parts have k times as many examples.

    The context of each Batch tells them: "task", its number j [N], as `context_gating` reads it,
    and "cue", the same as one-hot rows [N, k], as `contextual` does. Raises ValueError for fewer
    than two contexts, more than there are classes, and for answers at each moment.

        data = in_contexts(bp.data.load("digits"), 3)
        data.train.context["cue"]
    """
    if data.train.y.ndim != 2:
        raise ValueError(
            f"in_contexts: {data.name} has answers at each moment, y {list(data.train.y.shape)};"
            " expected a class for each example, [N, C]"
        )
    classes = data.train.y.shape[1]
    if not 2 <= contexts <= classes:
        raise ValueError(
            f"in_contexts: got {contexts} contexts of {classes} classes; give 2 to {classes}, so"
            " that a class has another label in each"
        )

    def part(of: Batch) -> Batch:
        labels, task = np.asarray(of.y).argmax(1), np.tile(np.arange(contexts), len(of.y))
        y = one_hot((np.repeat(labels, contexts) + task) % classes, classes)
        context = {"cue": one_hot(task, contexts), "task": task.astype(np.int32)}
        return of._replace(x=np.repeat(of.x, contexts, 0), y=y, context=context)  # type: ignore[arg-type]

    parts = {name: part(b) for name, b in data._asdict().items() if name in PARTS}
    note = f"{data.note} Each example in {contexts} contexts; the label of class c is (c + j) mod C"
    return data._replace(**parts, name=f"{data.name}-in-contexts", note=f"{note} in context j.")


def load_digits() -> Dataset:
    """Handwritten digits in three contexts, told beside each, that alone decide the labels.

    3,774 train, 540 validation and 1,077 test examples: those of `digits`, once in each context.
    """
    return in_contexts(digits.load())
