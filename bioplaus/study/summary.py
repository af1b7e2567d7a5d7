"""The summary of a run, summary.json: texts, warnings and comparisons for the report."""

import importlib.metadata
import itertools
import math
from collections.abc import Sequence
from typing import Any

from bioplaus.measure.energy import Profile, surely_less
from bioplaus.record import Row, by_label
from bioplaus.record.measures import RESIDUAL
from bioplaus.study.arm import Trained
from bioplaus.study.attack_suite import attack_text, suite_text
from bioplaus.study.contrasts import contrasted
from bioplaus.study.costs import HEADLINE_PROFILE, Costs
from bioplaus.study.images import retained
from bioplaus.study.plan import Plan
from bioplaus.study.settings import Study
from bioplaus.study.watch import UNTRAINED_SHARE, risen, untrained

# a rule has settled if the last step changes its state, relative to its size, by less than this
RESIDUAL_TOLERANCE = 0.1


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
    examples: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """The content of summary.json.

    settings: the study with all defaults written out. notes: data set -> a sentence on its test
    set. chance: accuracy of guessing. source: name of the corrupted images. machines: energy
    profiles. examples: name of an arm -> what its pictures show, under "spikes" or "fields".
    """
    rows_of, settings_of_arms = by_label(rows), [p.arm for p, _, _ in arms]
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
        "attack": attack_text(settings_of_arms),
        "suite": suite_text(settings_of_arms),
        "corruptions": source,
        "energy_profile": HEADLINE_PROFILE,
        "energy_profiles": {name: profile.description for name, profile in machines.items()},
        "energy_clocked": [name for name, profile in machines.items() if profile.clocked],
        "energy_unpriced": _unpriced([costs for _, _, costs in arms if costs], list(machines)),
        "study": settings,
        "arms": [
            _arm(p, trained, costs, rows_of[p.label], chance) | examples[p.name]
            for p, trained, costs in arms
        ],
        "contrasts": contrasted(
            study.contrast,
            {p.name: p.label for p, _, _ in arms},
            rows,
            {p.name: tuple(trained.diverged) for p, trained, _ in arms},
        ),
        "energy_ranks": _ranks([(p.name, costs) for p, _, costs in arms if costs]),
        "warnings": [
            *warnings,
            *itertools.chain(*(_concerns(p, trained, rows_of[p.label]) for p, trained, _ in arms)),
        ],
    }


def _arm(
    p: Plan, trained: Trained, costs: Costs | None, rows: Sequence[Row], chance: float
) -> dict[str, Any]:
    """The entry of one arm. rows: of this arm."""
    residual = _worst_residual(rows)
    return {
        "label": p.name,
        **p.label._asdict(),
        "parameters": costs.dense.parameters if costs else None,
        "settled": None if residual is None else residual < RESIDUAL_TOLERANCE,
        "untrained": sorted(untrained(p.arm.rule, trained.watch, trained.diverged)),
        "risen": sorted(risen(trained.watch, trained.rows, trained.diverged)),
        "diverged": sorted(trained.diverged),
        "card": costs.card if costs else [],
        "seeds": p.arm.seeds,
        "retained": retained(rows, chance, trained.diverged),
    }


def _worst_residual(rows: Sequence[Row]) -> float | None:
    """The largest residual over seeds at the end of training, from the rows of an arm.

    NaN counts as infinite. None for a rule that reports no residual.
    """
    found = [r for r in rows if r.measure == RESIDUAL.key]
    if not found:
        return None
    last = found[-1].condition
    return max(math.inf if math.isnan(r.value) else r.value for r in found if r.condition == last)


def _concerns(p: Plan, trained: Trained, rows: Sequence[Row]) -> list[str]:
    """Warnings about one arm. rows: of this arm."""
    found = [
        f"{p.name}: seed {seed} diverged at step {step}; its numbers are left out of all means"
        for seed, step in sorted(trained.diverged.items())
    ]
    residual = _worst_residual(rows)
    if residual is not None and not residual < RESIDUAL_TOLERANCE:
        found.append(
            f"{p.name}: did not settle: its activities still changed by {residual:.0%} in the last"
            " step; take more steps, smaller weights or a bounded neuron"
        )
    for layer, seeds in untrained(p.arm.rule, trained.watch, trained.diverged).items():
        found.append(
            f"{p.name}: layer {layer} did not learn in {_seeds(seeds)}: the update that the rule"
            f" gave it was exactly 0 in at least {1 - UNTRAINED_SHARE:.0%} of the steps, so that"
            " only the other layers account for the accuracy"
        )
    if rose := risen(trained.watch, trained.rows, trained.diverged):
        start, end = max(rose.values(), key=lambda pair: pair[1] - pair[0])
        found.append(
            f"{p.name}: the loss ended above its start in {_seeds(list(rose))}, at worst going from"
            f" {start:.3g} to {end:.3g}: this is not learning; take a lower learning rate"
            " (optimiser.learning_rate)"
        )
    return found


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def _unpriced(costs: Sequence[Costs], machines: Sequence[str]) -> dict[str, list[str]]:
    """Profile -> the operations of the arms for which it has no price."""
    found = {name: {u for c in costs for u in c.energies[name].unpriced} for name in machines}
    return {name: sorted(missing) for name, missing in found.items() if missing}


def _ranks(arms: Sequence[tuple[str, Costs]]) -> list[dict[str, Any]]:
    return [
        {"a": a, "b": b, "r": surely_less(x.energies, y.energies)}
        for (a, x), (b, y) in itertools.permutations(arms, 2)
    ]
