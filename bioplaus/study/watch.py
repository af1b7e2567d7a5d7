"""What a training run must not hide: layers that never learned, and a loss that ended above its
start.

Weight decay changes weights that a rule leaves alone, so that it is the rule's updates that are
watched, in every step of training.
"""

from collections.abc import Container, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from bioplaus.record import Row
from bioplaus.record.measures import LOSS
from bioplaus.rules import BASELINES
from bioplaus.types import Rule

T = TypeVar("T")

LEARNS = "learns: layer "
"""Head of the names in a history that say, step by step, whether a layer's updates were other than
exactly 0.
"""

RISE = 0.1  # a loss this much above its start, relative to it, is not the noise of one batch

FEW = 0.1  # share of the steps: a layer that had an update in no more of them is not called trained

Watch = dict[str, Any]
"""first: loss of the first step, by seed. steps: how many were seen. updates: layer, from 1 -> in
how many of them it had an update that is not 0, by seed. JSON holds it.
"""


def watched(rule: Rule) -> Rule:
    """The rule, whose info says of every layer that has parameters whether its update is other than
    0.
    """

    def grad(params, state, batch, key, gate=None):
        grads, state, info = rule.grad(params, state, batch, key, gate)
        layers = {l: jax.tree.leaves(g) for l, g in enumerate(grads, 1)}
        found = {
            f"{LEARNS}{l}": jnp.stack([(g != 0).any() for g in leaves]).any()
            for l, leaves in layers.items()
            if leaves
        }
        return grads, state, info | found

    return rule._replace(grad=grad)


def without_watch(history: Mapping[str, T]) -> dict[str, T]:
    """A history without what is watched: the loss, and whatever else the rule itself gives."""
    return {name: values for name, values in history.items() if not name.startswith(LEARNS)}


def after(watch: Watch | None, history: Mapping[str, ArrayLike]) -> Watch:
    """What is known after a chunk of training. history: [S, n] each; watch: before it, None at the
    start.
    """
    losses = np.asarray(history["loss"])
    found = {
        name.removeprefix(LEARNS): np.asarray(h).sum(1)
        for name, h in history.items()
        if name.startswith(LEARNS)
    }
    before = watch or {
        "first": losses[:, 0].tolist(),
        "steps": 0,
        "updates": dict.fromkeys(found, 0),
    }
    updates = {l: (n + np.array(before["updates"][l])).tolist() for l, n in found.items()}
    return {
        "first": before["first"],
        "steps": before["steps"] + losses.shape[1],
        "updates": updates,
    }


def untrained(rule: str, watch: Watch | None, lost: Container[int]) -> dict[int, list[int]]:
    """Layer -> the seeds in which its update was exactly 0 in all steps but a few (FEW). A baseline
    is to train its last layer alone.

    lost: seeds that diverged, which are reported as that.
    """
    updates = {int(l): seeds for l, seeds in watch["updates"].items()} if watch else {}
    if rule in BASELINES:
        updates = {l: seeds for l, seeds in updates.items() if l == max(updates)}
    few = FEW * watch["steps"] if watch else 0
    still = {
        l: [s for s, n in enumerate(seeds) if n <= few and s not in lost]
        for l, seeds in updates.items()
    }
    return {l: seeds for l, seeds in still.items() if seeds}


def risen(
    watch: Watch | None, rows: Sequence[Row], lost: Container[int]
) -> dict[int, tuple[float, float]]:
    """Seed -> loss of its first step, and mean loss of the last chunk of steps, where that is above
    it by more than RISE.

    rows: of the arm's training.
    """
    last = {int(r.seed): r.value for r in rows if r.measure == LOSS.key}
    pairs = {
        s: (start, last[s])
        for s, start in enumerate(watch["first"] if watch else ())
        if s not in lost
    }
    return {s: (start, end) for s, (start, end) in pairs.items() if end > start + RISE * abs(start)}
