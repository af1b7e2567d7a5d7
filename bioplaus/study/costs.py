"""What an arm costs and what it asks of a brain: counted on the program of one update, before training."""

from typing import NamedTuple

import jax

from bioplaus.measure.card import card, describe
from bioplaus.measure.cost import Cost, cost, total
from bioplaus.measure.energy import ADAM, MOMENTUM, SGD, Energy, energy, profiles
from bioplaus.study.arm import Label
from bioplaus.study.build import Built
from bioplaus.study.results import Row
from bioplaus.study.settings import Arm
from bioplaus.types import Batch

PROFILE = "horowitz45"
OPTIMISERS = {"sgd": SGD, "momentum": MOMENTUM, "adam": ADAM}


class Costs(NamedTuple):
    """cost: counts an example; energy: joules an example; card: lines (item, text)."""

    cost: Cost
    energy: Energy
    card: list[tuple[str, str]]


def costs_of(arm: Arm, built: Built, train: Batch) -> Costs:
    """Counted for one batch of the arm's size."""
    batch = jax.tree.map(lambda a: a[: arm.batch_size], train)
    rule = built.rule(built.net)
    counted = cost(rule, built.net, batch)
    spent = energy(counted, profiles()[PROFILE], optimiser=OPTIMISERS[arm.optimiser.kind])
    return Costs(counted, spent, describe(card(rule, built.net, batch)))


def cost_rows(costs: Costs, label: Label) -> list[Row]:
    """MACs by phase, and energy with its 90 % interval. They do not depend on the seed."""
    phases = {name: phase.macs for name, phase in costs.cost.phases.items()}
    macs = {**phases, "training": total(costs.cost).macs, "inference": costs.cost.inference_macs}
    rows = [Row(*label, "", name, "macs", float(count), "MAC/sample") for name, count in macs.items()]
    for name, estimate in (("op", costs.energy.E_op), ("memory", costs.energy.E_mem), ("total", costs.energy.E_total)):
        for condition in ("median", "p05", "p95"):
            rows.append(Row(*label, "", condition, f"energy {name}", getattr(estimate, condition), "J/sample"))
    return rows
