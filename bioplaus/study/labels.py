"""The labels of a study's arms: what the columns say of each, and how arms are told apart."""

from collections.abc import Sequence
from typing import Any

from bioplaus.record import Label, Row
from bioplaus.study.settings import Arm


def label_of(arm: Arm, net: str | None = None) -> Label:
    """What the columns say of an arm. net: what to call a net that the arm did not make."""
    sizes = "-".join(map(str, arm.net.hidden))
    noise = "" if arm.neuron.noise == "none" else f" {arm.neuron.noise} {arm.neuron.level:g}"
    mode = "" if arm.neuron.evaluate == "on" else f" ({arm.neuron.evaluate} at test)"
    own = "cnn" if arm.net.kind == "cnn" else f"mlp {sizes}" if sizes else "linear"
    return Label(arm.data, net or own, arm.rule, arm.neuron.kind + noise + mode, arm.modulator.kind)


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


def relabelled(rows: list[Row], label: Label) -> list[Row]:
    """The rows of an arm under the label that it has now: a study that has grown may need more
    words to tell its arms apart.
    """
    return [row._replace(**label._asdict()) for row in rows]


def _flat(settings: dict[str, Any], head: str = "") -> dict[str, Any]:
    """Dotted key -> value."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= _flat(value, f"{head}{key}.") if isinstance(value, dict) else {head + key: value}
    return found
