"""Which arm a number is of, which arm it is compared with, and what both are called."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BACKPROP = "bp"
"""The key of the rule that the twins of all arms are trained by."""

FROZEN = "frozen"
"""The key of the baseline whose hidden layers never learn."""


class Label(NamedTuple):
    """The columns that name an arm. rule: its key; then, after a space, the settings in which arms
    of equal columns differ.
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
        """The settings behind the key of the rule, '' for none."""
        return self.rule.partition(" ")[2]


def short_names(labels: Sequence[Label]) -> list[str]:
    """What to call arms beside each other: the rule, then the other columns in which they
    differ.
    """
    others = [i for i, field in enumerate(Label._fields) if field != "rule"]
    varied = [i for i in others if len({label[i] for label in labels}) > 1]
    return [" · ".join([label.rule, *(label[i] for i in varied)]) for label in labels]


def partners(key: str, labels: Sequence[Label]) -> list[int | None]:
    """For each arm, the place of the arm of rule `key` to compare it with: it has the same data,
    net, neuron and modulator.

    Of several, the one with the same further settings; None if there is none. An arm of that rule
    is its own partner.
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
    """The values of two arms, seed -> value, at the seeds that both have, as arrays of the same
    order: to be compared seed by seed.
    """
    seeds = [seed for seed in a if seed in b]
    return np.array([a[s] for s in seeds]), np.array([b[s] for s in seeds])
