"""What an arm costs and what it asks of a brain: counted on the program of one update, dense, and
effective after training.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.measure.card import card, describe
from bioplaus.measure.cost import cost, effective
from bioplaus.measure.counts import Cost, total
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
    SHORT_OF_ACCURACY,
    TO_ACCURACY,
    UPDATES,
)
from bioplaus.study.arm import Trained
from bioplaus.study.build import Built
from bioplaus.study.settings import Arm, StudyError
from bioplaus.training.seeds import seed_key
from bioplaus.types import Batch

PROFILE = "horowitz45"  # what the headline shows
TARGET = 0.9  # accuracy to which the energy spent is stated


def training_profiles(own: Sequence[str] = ()) -> dict[str, Profile]:
    """The machines that can train, by name. own: files with more. Raises StudyError, which names
    the key, for one that cannot be used.
    """
    try:
        found = profiles(*own)
    except ValueError as error:
        raise StudyError(f"profiles: {error}") from error
    if unfit := [name for name in found.keys() - profiles().keys() if found[name].inference_only]:
        raise StudyError(
            f"profiles: {sorted(unfit)} cannot train (inference_only), and a study prices training;"
            " leave them out"
        )
    return {name: profile for name, profile in found.items() if not profile.inference_only}


class Costs(NamedTuple):
    """dense, effective: counts an example. energies: by profile, joules an example. learning: a
    seed's; card: lines (item, text).
    """

    dense: Cost
    effective: Cost
    energies: dict[str, Energy]
    learning: list[Efficiency]
    card: list[tuple[str, str]]


def costs_of(
    arm: Arm, built: Built, train: Batch, trained: Trained, machines: dict[str, Profile]
) -> Costs:
    """Counted for one batch of the arm's size, effective as the first seed that did not diverge has
    left its net.
    """
    batch = jax.tree.map(lambda a: a[: arm.batch_size], train)
    rule, net = built.rule(built.net), built.net
    on_host = jax.tree.map(
        lambda a: a if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else np.asarray(a),
        trained.state,
    )
    seeds = [jax.tree.map(lambda a, s=s: a[s], on_host) for s in range(arm.seeds)]
    state = seeds[next((s for s in range(arm.seeds) if s not in trained.diverged), 0)]
    dense = cost(rule, net, batch, tx=built.tx)
    run = effective(
        rule, net, batch, seed_key(0), params=state.params, state=state.rule, tx=built.tx
    )
    energies = {name: energy(dense if p.clocked else run, p) for name, p in machines.items()}
    return Costs(
        dense,
        run,
        energies,
        [efficiency(s.opt, s.params) for s in seeds],
        describe(card(rule, net, batch)),
    )


def cost_rows(costs: Costs, label: Label, arm: Arm, trained: Sequence[Row]) -> list[Row]:
    """MACs by phase, energies with their 90 % intervals, which do not depend on the seed; M-energy
    and energy to an accuracy, which do.

    trained: rows that hold the accuracy on the way.
    """
    phases = {name: phase.macs for name, phase in costs.dense.phases.items() if name != "optimiser"}
    macs = {**phases, "training": total(costs.dense).macs, "inference": costs.dense.inference_macs}
    rows = [Row.of(label, "", Condition(name), MACS, count) for name, count in macs.items()]
    run = total(costs.effective)
    rows.append(Row.of(label, "", TRAINING, EFFECTIVE_MACS, run.macs + run.acs))
    rows.append(Row.of(label, "", TRAINING, CHANGED, float(run.synapse_updates) * arm.batch_size))
    for name, found in costs.energies.items():
        profile = None if name == PROFILE else name
        for measure, estimate in (
            (ENERGY_OP, found.E_op),
            (ENERGY_MEMORY, found.E_mem),
            (ENERGY, found.E_total),
        ):
            rows += [
                Row.of(label, "", Condition(q, profile=profile), measure, getattr(estimate, q))
                for q in QUANTILES
            ]
    step = costs.energies[PROFILE].E_total.median * arm.batch_size
    for seed, found in enumerate(costs.learning):
        for measure, value in (
            (M_ENERGY, found.energy),
            (UPDATES, found.updates),
            (INEFFICIENCY, found.inefficiency),
        ):
            rows.append(Row.of(label, seed, TRAINING, measure, value))
        own = [r for r in trained if (r.seed, r.measure) == (str(seed), AT_STEP.key)]
        seen = [(at, r.value) for r in own if (at := r.where.step) is not None]
        if seen:
            joules, censored = to_accuracy(
                TARGET, [s for s, _ in seen], np.array([a for _, a in seen]), step
            )
            rows.append(
                Row.of(
                    label,
                    seed,
                    Condition(accuracy=TARGET),
                    SHORT_OF_ACCURACY if censored else TO_ACCURACY,
                    joules,
                )
            )
    return rows
