"""The labels of a study's arms, and the settings that tell arms of equal columns apart."""

from collections.abc import Sequence
from typing import Any

from bioplaus.record import Label, Row
from bioplaus.study.settings import Arm


def label_of(arm: Arm, net: str | None = None) -> Label:
    """The columns that describe an arm. net: the name of a net that the user gave."""
    sizes = "-".join(map(str, arm.net.hidden))
    noise = "" if arm.neuron.noise == "none" else f" {arm.neuron.noise} {arm.neuron.level:g}"
    mode = "" if arm.neuron.evaluate == "on" else f" ({arm.neuron.evaluate} at test)"
    kind = f"recurrent {arm.net.kind}" if arm.net.recurrent else arm.net.kind
    built = "cnn" if arm.net.kind == "cnn" else f"{kind} {sizes}" if sizes else "linear"
    neuron = arm.neuron.kind + noise + mode
    return Label(arm.data, net or built, arm.rule, neuron, arm.modulator.kind)


def told_apart(arms: Sequence[tuple[Arm, Label]]) -> list[Label]:
    """The labels; where arms have equal ones, the settings in which they differ follow the rule."""
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


def relabelled(rows: list[Row], label: Label) -> list[Row]:
    """The rows of an arm under its present label.

    It may be longer than when the rows were written: a study that has more arms now may need more
    settings in its labels.
    """
    return [row._replace(**label._asdict()) for row in rows]


def _flat(settings: dict[str, Any], head: str = "") -> dict[str, Any]:
    """Nested tables of settings as one: dotted key -> value."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= _flat(value, f"{head}{key}.") if isinstance(value, dict) else {head + key: value}
    return found
