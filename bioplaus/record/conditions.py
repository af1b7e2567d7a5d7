"""The conditions under which numbers are measured, as the column `condition` of results.csv.

The text in that column is built and parsed here, and nowhere else.

    text                        Condition
    clean                       CLEAN
    input noise=0.1             Condition("input noise", 0.1)
    step=100 layer=2            Condition(step=100, layer=2)
    layer=1 twin layer=2        Condition(layer=1, twin_layer=2)
    epsilon=0.1 attack=worst    Condition(EPSILON, 0.1, attack="worst")
    h200 p95                    Condition("p95", profile="h200")
    accuracy=0.9                Condition(accuracy=0.9)

They are, in this order: the test set without changes; a disturbance, an attack or a corruption of a
given severity; a layer during training; a layer of the arm compared with a layer of its backprop
twin; an attack of the suite of attacks at a given radius (with `bound` and `check` likewise); a
quantile of an energy over the assumptions of a profile; training until it reached an accuracy.

Numbers are written with six digits, and without trailing zeros.
"""

import functools
import re
from typing import NamedTuple

PGD, TRANSFER, RANDOM_SIGN = "pgd", "transfer", "random sign"
ATTACKS = (PGD, TRANSFER, RANDOM_SIGN)
"""Names of conditions under attack: first by the gradient of the net, then two controls.

The controls, an attack made for the backprop twin and random signs, do not use that gradient.
"""

EPSILON = "epsilon"
"""The name of the conditions of the suite of attacks; the severity is the radius."""

QUANTILES = ("median", "p05", "p95")
"""Names of the conditions of an energy: quantiles over the assumptions of a profile.

Without a profile they belong to the profile of the headline table.
"""


class Condition(NamedTuple):
    """The condition of a measurement. Fields that do not apply are None.

    name: in words; '' if the other fields are enough. severity: of a disturbance, attack or
    corruption. step: of training. layer, twin_layer: counted from 1, of the arm and of its twin.
    attack, bound, check: names in the suite of attacks. accuracy: that training has reached.
    profile: of energy; None for that of the headline table.
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
"""The fields that are written as field=value, in this order, and the types of their values."""

CLEAN = Condition("clean")
TRAINING = Condition("training")
FLIPPED = Condition("flipped labels")
ALL_CORRUPTIONS = Condition("all corruptions")


@functools.lru_cache(maxsize=1 << 16)
def parse(text: str) -> Condition:
    """The condition that is written as `text`; str(parse(text)) == text.

    Text in none of the forms above becomes the name of the condition.
    """
    try:
        found = _parsed(text)
    except ValueError:  # text where a number is expected
        return Condition(text)
    return found if str(found) == text else Condition(text)


def in_words(key: str) -> str:
    """The name in conditions of a disturbance, an attack or a corruption, from its key.

    For example: input_noise -> input noise.
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
