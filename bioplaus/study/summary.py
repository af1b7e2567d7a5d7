"""What a run says in words and in comparisons: summary.json."""

import importlib.metadata
import itertools
import math
from collections.abc import Sequence
from typing import Any

from bioplaus.measure.energy import Profile, surely_less
from bioplaus.measure.statistics import SHARE, paired_interval
from bioplaus.study.arm import Label, Trained, partner
from bioplaus.study.claims import attack_text, suite_text
from bioplaus.study.contrasts import contrasted
from bioplaus.study.costs import PROFILE, Costs
from bioplaus.study.images import retained
from bioplaus.study.results import Row
from bioplaus.study.settings import Arm, Study
from bioplaus.study.watch import FEW, risen, untrained

SETTLED = 0.1  # a relative change of a state in its last step, above which it is not called settled


def summarise(
    study: Study,
    settings: dict[str, Any],
    arms: Sequence[tuple[Arm, Label, Trained, Costs | None]],
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
    labels = [label for _, label, _, _ in arms]
    names = dict(zip(labels, short_names(labels), strict=True))
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
        "attack": attack_text([arm for arm, *_ in arms]),
        "suite": suite_text([arm for arm, *_ in arms]),
        "corruptions": source,
        "energy_profile": PROFILE,
        "energy_profiles": {name: profile.description for name, profile in machines.items()},
        "energy_clocked": [name for name, profile in machines.items() if profile.clocked],
        "energy_unpriced": _unpriced([costs for _, _, _, costs in arms if costs], list(machines)),
        "study": settings,
        "arms": [
            _arm(arm, label, names[label], trained, costs, rows, chance)
            for arm, label, trained, costs in arms
        ],
        "comparisons": _comparisons([(arm, label) for arm, label, _, _ in arms], names, rows),
        "contrasts": contrasted(
            study.contrast,
            {name: label for label, name in names.items()},
            rows,
            {names[label]: tuple(trained.diverged) for _, label, trained, _ in arms},
        ),
        "energy_ranks": _ranks([(names[label], costs) for _, label, _, costs in arms if costs]),
        "warnings": [
            *warnings,
            *itertools.chain(
                *(
                    _concerns(arm, label, names[label], trained, rows)
                    for arm, label, trained, _ in arms
                )
            ),
        ],
    }


def short_names(labels: Sequence[Label]) -> list[str]:
    """The rule, then the other parts in which arms differ."""
    varied = [
        i for i in range(len(Label._fields)) if len({label[i] for label in labels}) > 1 and i != 2
    ]
    return [" · ".join([label.rule, *(label[i] for i in varied)]) for label in labels]


def told_apart(arms: Sequence[tuple[Arm, Label]]) -> list[Label]:
    """The labels, with the settings in which arms of the same label differ written behind the
    rule.
    """
    flat, alike = [_flat(arm.model_dump()) for arm, _ in arms], dict[Label, list[dict[str, Any]]]()
    for (_, label), settings in zip(arms, flat, strict=True):
        alike.setdefault(label, []).append(settings)
    varied = {
        label: {
            k for k in set[str]().union(*group) if any(o.get(k) != group[0].get(k) for o in group)
        }
        for label, group in alike.items()
    }
    found = []
    for (arm, label), settings in zip(arms, flat, strict=True):
        differs = {k: v for k, v in settings.items() if k in varied[label]}
        found.append(
            label._replace(rule=arm.rule + "".join(f" {k}={v}" for k, v in differs.items()))
        )
    return found


def _flat(settings: dict[str, Any], head: str = "") -> dict[str, Any]:
    """Dotted key -> value."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= _flat(value, f"{head}{key}.") if isinstance(value, dict) else {head + key: value}
    return found


def _arm(
    arm: Arm,
    label: Label,
    name: str,
    trained: Trained,
    costs: Costs | None,
    rows: Sequence[Row],
    chance: float,
) -> dict[str, Any]:
    residual = _worst_residual(label, rows)
    return {
        "label": name,
        **label._asdict(),
        "parameters": costs.dense.parameters if costs else None,
        "settled": None if residual is None else residual < SETTLED,
        "untrained": sorted(untrained(arm.rule, trained.watch, trained.diverged)),
        "risen": sorted(risen(trained.watch, trained.rows, trained.diverged)),
        "diverged": sorted(trained.diverged),
        "card": costs.card if costs else [],
        "seeds": arm.seeds,
        "retained": retained(label, rows, chance, tuple(trained.diverged)),
    }


def _worst_residual(label: Label, rows: Sequence[Row]) -> float | None:
    """At the last moment of training; not a number counts as infinite."""
    found = [r for r in rows if r[:5] == label and r.measure == "residual"]
    if not found:
        return None
    last = found[-1].condition
    return max(math.inf if math.isnan(r.value) else r.value for r in found if r.condition == last)


def _concerns(
    arm: Arm, label: Label, name: str, trained: Trained, rows: Sequence[Row]
) -> list[str]:
    said = [
        f"{name}: seed {seed} diverged at step {step}; its numbers are left out of all means"
        for seed, step in sorted(trained.diverged.items())
    ]
    residual = _worst_residual(label, rows)
    if residual is not None and not residual < SETTLED:
        said.append(
            f"{name}: did not settle, its activities still moved by {residual:.0%} in the last"
            " step; take more steps, smaller weights or a bounded neuron"
        )
    for layer, seeds in untrained(arm.rule, trained.watch, trained.diverged).items():
        said.append(
            f"{name}: layer {layer} did not learn in {_seeds(seeds)}: the update that the rule gave"
            f" it was exactly 0 in at least {1 - FEW:.0%} of the steps, and the accuracy is that of"
            " the other layers"
        )
    if rose := risen(trained.watch, trained.rows, trained.diverged):
        start, end = max(rose.values(), key=lambda pair: pair[1] - pair[0])
        said.append(
            f"{name}: the loss ended above its start in {_seeds(list(rose))}, by most from"
            f" {start:.3g} to {end:.3g}: this is not learning; take a lower learning rate"
            " (optimiser.learning_rate)"
        )
    return said


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def _comparisons(
    arms: Sequence[tuple[Arm, Label]], names: dict[Label, str], rows: Sequence[Row]
) -> list[dict[str, Any]]:
    """Every arm against the frozen baseline that differs in the rule alone, paired by seed: the one
    comparison that was planned.
    """
    clean: dict[tuple, list[float]] = {}
    for row in rows:
        if (row.measure, row.condition) == ("accuracy", "clean"):
            clean.setdefault(tuple(row[:5]), []).append(row.value)
    found = []
    for arm, label in arms:
        i = partner("frozen", arm, label, arms)
        if i is not None and (base := arms[i][1]) != label:
            x = paired_interval(clean[label], clean[base], bounds=SHARE)
            numbers = {k: _number(getattr(x, k)) for k in ("mean", "low", "high")}
            found.append({"a": names[label], "b": names[base], "measure": "accuracy", **numbers})
    return found


def _unpriced(costs: Sequence[Costs], machines: Sequence[str]) -> dict[str, list[str]]:
    """profile -> what the arms do and it has no price for."""
    found = {name: {u for c in costs for u in c.energies[name].unpriced} for name in machines}
    return {name: sorted(missing) for name, missing in found.items() if missing}


def _ranks(arms: Sequence[tuple[str, Costs]]) -> list[dict[str, Any]]:
    return [
        {"a": a, "b": b, "r": surely_less(x.energies, y.energies)}
        for (a, x), (b, y) in itertools.permutations(arms, 2)
    ]


def _number(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)
