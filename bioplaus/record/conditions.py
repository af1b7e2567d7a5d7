"""Under what a number was measured: the column `condition` of results.csv is built and parsed here,
and nowhere else.

    text                        Condition                                    measured
    clean                       CLEAN                                        on the test set as it
        is
    input noise=0.1             Condition("input noise", 0.1)
        under a disturbance, an attack or a corruption
    step=100 layer=2            Condition(step=100, layer=2)
        during training, of one layer
    layer=1 twin layer=2        Condition(layer=1, twin_layer=2)
        a layer against one of the backprop twin
    epsilon=0.1 attack=worst    Condition(EPSILON, 0.1, attack="worst")
        by the suite of attacks; so with bound and check
    h200 p95                    Condition("p95", profile="h200")
        of an energy model: a quantile over its assumptions
    accuracy=0.9                Condition(accuracy=0.9)
        until training reached an accuracy

Numbers are written with six digits, and without trailing zeros.
"""

import functools
import re
from typing import NamedTuple

PGD, TRANSFER, RANDOM_SIGN = "pgd", "transfer", "random sign"
ATTACKS = (PGD, TRANSFER, RANDOM_SIGN)
"""Attacks as names of conditions: by the gradient of the net itself, then the two controls that do
not see it.
"""

EPSILON = "epsilon"
"""The name of conditions of the suite of attacks; their severity is the radius."""

QUANTILES = ("median", "p05", "p95")
"""Names of conditions of an energy model. Without a profile they are of the profile that headlines
show.
"""


class Condition(NamedTuple):
    """name: in words, '' where the other fields say all. severity: how much of it. layers count
    from 1.
    """

    name: str = ""
    severity: float | None = None
    step: int | None = None
    layer: int | None = None
    twin_layer: int | None = None
    attack: str | None = None
    bound: str | None = None
    check: str | None = None
    accuracy: float | None = None
    profile: str | None = None

    def __str__(self) -> str:
        """The text of the column `condition`."""
        head = self.name if self.severity is None else f"{self.name}={self.severity:g}"
        given = ((field, getattr(self, field)) for field in FIELDS)
        parts = [
            f"{field.replace('_', ' ')}={_written(value)}"
            for field, value in given
            if value is not None
        ]
        return " ".join(part for part in (self.profile, head, *parts) if part)


FIELDS = {
    "step": int,
    "layer": int,
    "twin_layer": int,
    "attack": str,
    "bound": str,
    "check": str,
    "accuracy": float,
}
"""Fields that are written as field=value, in this order, and the type of their values."""

CLEAN = Condition("clean")
TRAINING = Condition("training")
FLIPPED = Condition("flipped labels")
ALL_CORRUPTIONS = Condition("all corruptions")


@functools.lru_cache(maxsize=1 << 16)
def parse(text: str) -> Condition:
    """The condition that is written as `text`. What is not of the forms above is taken as a name,
    so that str(parse(text)) == text.
    """
    try:
        found = _parsed(text)
    except ValueError:  # no number where one is expected
        return Condition(text)
    return found if str(found) == text else Condition(text)


def in_words(key: str) -> str:
    """What a disturbance, an attack or a corruption is called in conditions, by its key:
    input_noise -> input noise.
    """
    return key.replace("_", " ")


def _parsed(text: str) -> Condition:
    pairs = [(key, value) for key, value in re.findall(r"([^=]+)=(\S+)\s*", text)]
    if not pairs:
        profile, _, name = text.rpartition(" ")
        return Condition(name, profile=profile or None) if name in QUANTILES else Condition(text)
    found = Condition()
    for key, value in pairs:
        field = key.replace(" ", "_")
        fields = (
            {field: FIELDS[field](value)}
            if field in FIELDS
            else {"name": key, "severity": float(value)}
        )
        found = found._replace(**fields)
    return found


def _written(value: int | float | str) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
