"""Costs of an arm: operations, memory traffic and energy of one update, and the plausibility card.

They are counted on the compiled program of an update. Dense counts include every operation;
effective ones, counted after training, leave out operations on zeros.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.measure.card import card, describe
from bioplaus.measure.cost import cost, effective
from bioplaus.measure.counts import Cost, Count, per, repeated, total
from bioplaus.measure.energy import Energy, Profile, energy, profiles, to_accuracy
from bioplaus.optim.economy import Efficiency, efficiency
from bioplaus.record import TRAINING, Condition, Label, Row
from bioplaus.record.conditions import QUANTILES
from bioplaus.record.measures import (
    AT_STEP,
    CHANGED,
    EFFECTIVE_MACS,
    ENERGY,
    ENERGY_MEMORY,
    ENERGY_OP,
    INEFFICIENCY,
    M_ENERGY,
    MACS,
    MADE,
    REMOVED,
    SHORT_OF_ACCURACY,
    TO_ACCURACY,
    UPDATES,
)
from bioplaus.structure import Rebuilt, rebuilt
from bioplaus.study.arm import Trained
from bioplaus.study.build import Built
from bioplaus.study.settings import Arm, StudyError
from bioplaus.training.seeds import seed_key
from bioplaus.training.steps import in_the_middle
from bioplaus.types import Batch

HEADLINE_PROFILE = "horowitz45"  # the energy profile of the headline table
TARGET_ACCURACY = 0.9  # the energy that training spends until this accuracy is reported


def training_profiles(files: Sequence[str] = ()) -> dict[str, Profile]:
    """Name -> energy profile, for all profiles of machines that can train.

    files: with further profiles. Raises StudyError for a file that cannot be used.
    """
    try:
        found = profiles(*files)
    except ValueError as error:
        raise StudyError(f"profiles: {error}") from error
    if unfit := [name for name in found.keys() - profiles().keys() if found[name].inference_only]:
        raise StudyError(
            f"profiles: {sorted(unfit)} cannot train (inference_only), and a study reports the"
            " energy of training; leave them out"
        )
    return {name: profile for name, profile in found.items() if not profile.inference_only}


class Costs(NamedTuple):
    """The costs of an arm.

    dense, effective: counts per example. energies: profile -> joules per example. learning: for
    each seed, how much all of training changed the weights. structure: for each seed, the synapses
    made and removed; empty if the arm changes none. card: lines (item, text).
    """

    dense: Cost
    effective: Cost
    energies: dict[str, Energy]
    learning: list[Efficiency]
    structure: list[Rebuilt]
    card: list[tuple[str, str]]


def costs_of(
    arm: Arm, built: Built, train: Batch, trained: Trained, machines: dict[str, Profile]
) -> Costs:
    """The costs of training on a batch of the arm's size: of one update or, of an arm that learns
    online, of one for each piece of the sequences.

    Effective counts are those of the trained net of the first seed that did not diverge; online, of
    the piece in the middle.
    """
    batch = jax.tree.map(lambda a: a[: arm.batch_size], train)
    rule, net = built.rule(built.net), built.net
    on_host = jax.tree.map(
        lambda a: a if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else np.asarray(a),
        trained.state,
    )
    seeds = [jax.tree.map(lambda a, s=s: a[s], on_host) for s in range(arm.seeds)]
    state = seeds[next((s for s in range(arm.seeds) if s not in trained.diverged), 0)]
    described = describe(card(rule, net, batch))
    pieces: Count = 1
    if arm.online:
        pieces = per(batch.x.shape[1], min(arm.online, batch.x.shape[1]))
        rule, state, batch = in_the_middle(rule, state, batch, seed_key(0), arm.online)
    dense = repeated(cost(rule, net, batch, tx=built.tx), pieces)
    run = effective(
        rule, net, batch, seed_key(0), params=state.params, state=state.rule, tx=built.tx
    )
    run = repeated(run, pieces)
    energies = {name: energy(dense if p.clocked else run, p) for name, p in machines.items()}
    return Costs(
        dense,
        run,
        energies,
        [efficiency(s.opt, s.params) for s in seeds],
        [rebuilt(s.opt) for s in seeds] if arm.structure.kind != "none" else [],
        described,
    )


def cost_rows(costs: Costs, label: Label, arm: Arm, trained: Sequence[Row]) -> list[Row]:
    """Costs as rows.

    MACs by phase, and energies with their 90 % intervals, do not depend on the seed. M-energy (the
    sum of all changes of all weights), and the energy until training reached an accuracy, do.
    trained: rows of the arm that hold the accuracy during training.
    """
    phases = {name: phase.macs for name, phase in costs.dense.phases.items() if name != "optimiser"}
    macs = {**phases, "training": total(costs.dense).macs, "inference": costs.dense.inference_macs}
    rows = [Row.of(label, "", Condition(name), MACS, count) for name, count in macs.items()]
    run = total(costs.effective)
    rows.append(Row.of(label, "", TRAINING, EFFECTIVE_MACS, run.macs + run.acs))
    rows.append(Row.of(label, "", TRAINING, CHANGED, float(run.synapse_updates) * arm.batch_size))
    for name, found in costs.energies.items():
        profile = None if name == HEADLINE_PROFILE else name
        for measure, estimate in (
            (ENERGY_OP, found.E_op),
            (ENERGY_MEMORY, found.E_mem),
            (ENERGY, found.E_total),
        ):
            rows += [
                Row.of(label, "", Condition(q, profile=profile), measure, getattr(estimate, q))
                for q in QUANTILES
            ]
    for seed, found in enumerate(costs.structure):
        for measure, count in ((MADE, found.made), (REMOVED, found.removed)):
            rows.append(Row.of(label, seed, TRAINING, measure, float(count)))
    step = costs.energies[HEADLINE_PROFILE].E_total.median * arm.batch_size
    for seed, found in enumerate(costs.learning):
        for measure, value in (
            (M_ENERGY, found.energy),
            (UPDATES, found.updates),
            (INEFFICIENCY, found.inefficiency),
        ):
            rows.append(Row.of(label, seed, TRAINING, measure, value))
        of_seed = [r for r in trained if (r.seed, r.measure) == (str(seed), AT_STEP.key)]
        points = [(at, r.value) for r in of_seed if (at := r.where.step) is not None]
        if points:
            joules, censored = to_accuracy(
                TARGET_ACCURACY, [s for s, _ in points], np.array([a for _, a in points]), step
            )
            rows.append(
                Row.of(
                    label,
                    seed,
                    Condition(accuracy=TARGET_ACCURACY),
                    SHORT_OF_ACCURACY if censored else TO_ACCURACY,
                    joules,
                )
            )
    return rows
