"""What a run says in words and in comparisons: summary.json."""

import importlib.metadata
import itertools
import math
from collections.abc import Sequence
from typing import Any

from bioplaus.measure.energy import Profile, surely_less
from bioplaus.record import Row, by_label
from bioplaus.record.measures import RESIDUAL
from bioplaus.study.arm import Trained
from bioplaus.study.claims import attack_text, suite_text
from bioplaus.study.contrasts import contrasted
from bioplaus.study.costs import PROFILE, Costs
from bioplaus.study.images import retained
from bioplaus.study.plan import Plan
from bioplaus.study.settings import Study
from bioplaus.study.watch import FEW, risen, untrained

SETTLED = 0.1  # a relative change of a state in its last step, above which it is not called settled


def summarise(
    study: Study,
    settings: dict[str, Any],
    arms: Sequence[tuple[Plan, Trained, Costs | None]],
    rows: Sequence[Row],
    notes: dict[str, str],
    chance: float,
    source: str,
    machines: dict[str, Profile],
    warnings: Sequence[str],
) -> dict[str, Any]:
    """notes: data set -> what its test set is. chance: accuracy of a guess. source: of the
    corrupted images. machines: energy profiles.
    """
    of, asked = by_label(rows), [p.arm for p, _, _ in arms]
    return {
        "name": study.name,
        "version": importlib.metadata.version("bioplaus"),
        "data_note": " ".join(dict.fromkeys(notes.values())),
        "settings": (
            "own"
            if any(rule.keys() - {"epochs"} for rule in settings["rules"].values())
            else "common"
        ),
        "chance": chance,
        "attack": attack_text(asked),
        "suite": suite_text(asked),
        "corruptions": source,
        "energy_profile": PROFILE,
        "energy_profiles": {name: profile.description for name, profile in machines.items()},
        "energy_clocked": [name for name, profile in machines.items() if profile.clocked],
        "energy_unpriced": _unpriced([costs for _, _, costs in arms if costs], list(machines)),
        "study": settings,
        "arms": [_arm(p, trained, costs, of[p.label], chance) for p, trained, costs in arms],
        "contrasts": contrasted(
            study.contrast,
            {p.name: p.label for p, _, _ in arms},
            rows,
            {p.name: tuple(trained.diverged) for p, trained, _ in arms},
        ),
        "energy_ranks": _ranks([(p.name, costs) for p, _, costs in arms if costs]),
        "warnings": [
            *warnings,
            *itertools.chain(*(_concerns(p, trained, of[p.label]) for p, trained, _ in arms)),
        ],
    }


def _arm(
    p: Plan, trained: Trained, costs: Costs | None, rows: Sequence[Row], chance: float
) -> dict[str, Any]:
    """What is said of one arm. rows: its own."""
    residual = _worst_residual(rows)
    return {
        "label": p.name,
        **p.label._asdict(),
        "parameters": costs.dense.parameters if costs else None,
        "settled": None if residual is None else residual < SETTLED,
        "untrained": sorted(untrained(p.arm.rule, trained.watch, trained.diverged)),
        "risen": sorted(risen(trained.watch, trained.rows, trained.diverged)),
        "diverged": sorted(trained.diverged),
        "card": costs.card if costs else [],
        "seeds": p.arm.seeds,
        "retained": retained(rows, chance, trained.diverged),
    }


def _worst_residual(rows: Sequence[Row]) -> float | None:
    """Of an arm's rows, at the last moment of training; not a number counts as infinite."""
    found = [r for r in rows if r.measure == RESIDUAL.key]
    if not found:
        return None
    last = found[-1].condition
    return max(math.inf if math.isnan(r.value) else r.value for r in found if r.condition == last)


def _concerns(p: Plan, trained: Trained, rows: Sequence[Row]) -> list[str]:
    said = [
        f"{p.name}: seed {seed} diverged at step {step}; its numbers are left out of all means"
        for seed, step in sorted(trained.diverged.items())
    ]
    residual = _worst_residual(rows)
    if residual is not None and not residual < SETTLED:
        said.append(
            f"{p.name}: did not settle, its activities still moved by {residual:.0%} in the last"
            " step; take more steps, smaller weights or a bounded neuron"
        )
    for layer, seeds in untrained(p.arm.rule, trained.watch, trained.diverged).items():
        said.append(
            f"{p.name}: layer {layer} did not learn in {_seeds(seeds)}: the update that the rule"
            f" gave it was exactly 0 in at least {1 - FEW:.0%} of the steps, and the accuracy is"
            " that of the other layers"
        )
    if rose := risen(trained.watch, trained.rows, trained.diverged):
        start, end = max(rose.values(), key=lambda pair: pair[1] - pair[0])
        said.append(
            f"{p.name}: the loss ended above its start in {_seeds(list(rose))}, by most from"
            f" {start:.3g} to {end:.3g}: this is not learning; take a lower learning rate"
            " (optimiser.learning_rate)"
        )
    return said


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def _unpriced(costs: Sequence[Costs], machines: Sequence[str]) -> dict[str, list[str]]:
    """profile -> what the arms do and it has no price for."""
    found = {name: {u for c in costs for u in c.energies[name].unpriced} for name in machines}
    return {name: sorted(missing) for name, missing in found.items() if missing}


def _ranks(arms: Sequence[tuple[str, Costs]]) -> list[dict[str, Any]]:
    return [
        {"a": a, "b": b, "r": surely_less(x.energies, y.energies)}
        for (a, x), (b, y) in itertools.permutations(arms, 2)
    ]
