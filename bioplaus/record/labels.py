"""Labels and names of arms, and the arms that they are compared with."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BACKPROP = "bp"
"""The key of backprop, the rule of the twins with which other arms are compared."""

FROZEN = "frozen"
"""The key of the frozen baseline, whose hidden layers never learn."""


class Label(NamedTuple):
    """The columns of results.csv that identify an arm.

    rule: the key of the rule; if arms are otherwise equal, a space and the settings in which they
    differ follow.
    """

    data: str
    net: str
    rule: str
    neuron: str
    modulator: str

    @property
    def key(self) -> str:
        """The key of the rule."""
        return self.rule.partition(" ")[0]

    @property
    def settings(self) -> str:
        """The settings that follow the key of the rule; '' if there are none."""
        return self.rule.partition(" ")[2]


def short_names(labels: Sequence[Label]) -> list[str]:
    """Names of arms in one report: the rule, then the other columns in which they differ."""
    others = [i for i, field in enumerate(Label._fields) if field != "rule"]
    varied = [i for i in others if len({label[i] for label in labels}) > 1]
    return [" · ".join([label.rule, *(label[i] for i in varied)]) for label in labels]


def partners(key: str, labels: Sequence[Label]) -> list[int | None]:
    """For each arm, the position of the arm of rule `key` that it is compared with, or None.

    That arm has the same data, net, neuron and modulator; if there are several, also the same
    further settings. An arm of rule `key` is paired with itself.
    """
    places: dict[Label, list[int]] = {}
    for i, label in enumerate(labels):
        if label.key == key:
            places.setdefault(label._replace(rule=""), []).append(i)
    found: list[int | None] = []
    for label in labels:
        near = places.get(label._replace(rule=""), [])
        alike = [i for i in near if labels[i].settings == label.settings]
        found.append(next(iter(near if len(near) == 1 else alike), None))
    return found


def paired(a: Mapping[str, float], b: Mapping[str, float]) -> tuple[NDArray, NDArray]:
    """The values of two arms at the seeds that both have, as arrays in the same order of seeds.

    a, b: seed -> value.
    """
    seeds = [seed for seed in a if seed in b]
    return np.array([a[s] for s in seeds]), np.array([b[s] for s in seeds])
