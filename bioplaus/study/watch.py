"""Detects layers that never learned, and a loss that ended above its start.

The updates that a rule computes are watched in every step of training. The weights would not do:
weight decay changes them even if the rule's update is 0.
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
"""The history holds, under this text and the layer's number, whether its update was nonzero."""

# relative to the loss of the first step: a larger rise is not the noise of one batch
LOSS_RISE = 0.1

# a layer counts as untrained if its update was nonzero in no more than this share of the steps
UNTRAINED_SHARE = 0.1

Watch = dict[str, Any]
"""What training has shown so far, as JSON can hold it.

first: loss of the first step, by seed. steps: number of steps. updates: layer, from 1 -> number of
steps in which its update was nonzero, by seed.
"""


def watched(rule: Rule) -> Rule:
    """The rule, with a further entry in `info` for each layer: whether its update is nonzero.

    Layers without parameters have no entry.
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

    return rule._replace(grad=grad, stream=rule.stream and watched(rule.stream))


def without_watch(history: Mapping[str, T]) -> dict[str, T]:
    """The history without the entries of `watched`."""
    return {name: values for name, values in history.items() if not name.startswith(LEARNS)}


def after(watch: Watch | None, history: Mapping[str, ArrayLike]) -> Watch:
    """The watch after a chunk of training.

    watch: before the chunk; None at the start. history: arrays [S, n] of S seeds and n steps.
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
    """Layer -> the seeds in which its update was exactly 0 in almost all steps.

    Almost all: in all but the share UNTRAINED_SHARE. Of a baseline only the last layer is checked,
    because only that is meant to learn. lost: seeds that diverged, which are left out.
    """
    updates = {int(l): seeds for l, seeds in watch["updates"].items()} if watch else {}
    if rule in BASELINES:
        updates = {l: seeds for l, seeds in updates.items() if l == max(updates)}
    few = UNTRAINED_SHARE * watch["steps"] if watch else 0
    still = {
        l: [s for s, n in enumerate(seeds) if n <= few and s not in lost]
        for l, seeds in updates.items()
    }
    return {l: seeds for l, seeds in still.items() if seeds}


def risen(
    watch: Watch | None, rows: Sequence[Row], lost: Container[int]
) -> dict[int, tuple[float, float]]:
    """Seed -> (loss of the first step, mean loss of the last chunk of steps).

    Only seeds whose loss rose by more than LOSS_RISE. rows: of the arm's training. lost: seeds that
    diverged, which are left out.
    """
    last = {int(r.seed): r.value for r in rows if r.measure == LOSS.key}
    pairs = {
        s: (start, last[s])
        for s, start in enumerate(watch["first"] if watch else ())
        if s not in lost
    }
    return {
        s: (start, end) for s, (start, end) in pairs.items() if end > start + LOSS_RISE * abs(start)
    }
