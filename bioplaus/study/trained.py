"""Loads the trained nets of a run."""

import warnings
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.data import Dataset
from bioplaus.study import spec
from bioplaus.study.arm import of_all_seeds, of_precision
from bioplaus.study.plan import Plan, plan
from bioplaus.study.settings import StudyError
from bioplaus.training.checkpoints import CheckpointError, latest
from bioplaus.training.seeds import seed_keys
from bioplaus.types import Net, PyTree, Rule


class Model(NamedTuple):
    """A trained net: `rule.predict(params, state, x, key)` is its output [B, C].

    state: of the rule. step: the number of training steps.
    """

    net: Net
    rule: Rule
    params: PyTree
    state: PyTree
    step: int


def load(
    folder: str | Path,
    arm: str | None = None,
    *,
    seed: int = 0,
    net: Net | None = None,
    data: Dataset | None = None,
) -> Model:
    """Load one seed of an arm from the folder of a run, from its last readable checkpoint.

    arm: its name in the run's table, for instance its rule; None if the run has one arm only. net,
    data: those that the user gave the run, if any. Raises StudyError if there is no such arm or
    seed, or no readable checkpoint.
    """
    folder = Path(folder)
    try:
        study = spec.load(folder / "study.toml")
    except OSError as error:
        raise StudyError(
            f"{folder}: holds no run ({error}); give the folder that a run wrote, with its"
            " study.toml"
        ) from error
    plans = plan(study, net, data, check=False)
    names = [p.name for p in plans]
    name = names[0] if arm is None and len(names) == 1 else arm
    if name not in names:
        raise StudyError(f"{folder}: arm is {arm!r}, expected one of {', '.join(map(repr, names))}")
    p = plans[names.index(name)]
    if not 0 <= seed < p.arm.seeds:
        raise StudyError(f"{folder}: seed is {seed}, expected 0 to {p.arm.seeds - 1}")
    where = p.folder_in(folder)
    with of_precision(p.arm):
        return _restored(p, where, name, seed)


def _restored(p: Plan, where: Path, name: str, seed: int) -> Model:
    like = jax.eval_shape(of_all_seeds(p.arm, p.compiled, p.data).init, seed_keys(p.arm.seeds))
    try:
        found = latest(where, like, owner=where.name)
    except CheckpointError as error:
        raise StudyError(f"arm {name!r}: {error}") from error
    if found is None:
        raise StudyError(f"{where}: arm {name!r} has no checkpoint yet")
    for refused in found.refused:
        warnings.warn(f"arm {name!r}: {refused}; this is step {found.step}", stacklevel=2)
    params, held = jax.tree.map(
        lambda a: jnp.asarray(a)[seed], (found.state.params, found.state.rule)
    )
    return Model(p.built.net, p.built.rule(p.built.net), params, held, found.step)
