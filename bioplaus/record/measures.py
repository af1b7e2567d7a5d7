"""All measures, a line each: their names and units in results.csv and in the report."""

import math
from typing import Literal, NamedTuple

from bioplaus.measure.statistics import FREE, SHARE

SI, PERCENT = "si", ".1%"
POSITIVE = (0.0, math.inf)


class Measure(NamedTuple):
    """A measured quantity.

    key, unit: in the columns `measure` and `unit` of results.csv. form: the format in the report, a
    Python format specification (.1% writes a fraction in percent), or SI for three digits with an
    SI prefix. better: the better direction; '' if neither is better. bounds: the smallest and the
    largest possible value, in `unit`. title, shown: name and unit in the report; '' for key and
    unit. table: the table of the report with a column for this measure, if the run has it:

        calibration    of outputs, on clean test images
        corruption     over all corruptions
        labels         of training examples with a wrong label
        layers         of each hidden layer
        learning       over all of training
        ''             no such table: sections of the report ask for the measure by name
    """

    key: str
    unit: str
    form: str = SI
    better: Literal["higher", "lower", ""] = ""
    bounds: tuple[float, float] = FREE
    title: str = ""
    shown: str = ""
    table: Literal["calibration", "corruption", "labels", "layers", "learning", ""] = ""

    @property
    def scale(self) -> float:
        """The factor of values in figures: fractions are drawn in percent."""
        return 100.0 if self.form == PERCENT else 1.0

    @property
    def axis(self) -> str:
        """Name and unit, as the label of an axis."""
        return f"{self.title or self.key} ({self.shown or self.unit})"


MEASURES: dict[str, Measure] = {}
"""Every measure of this file, by its key."""


def _listed(measure: Measure) -> Measure:
    if MEASURES.setdefault(measure.key, measure) is not measure:
        raise ValueError(f"measures: {measure.key!r} is listed twice; give one of them another key")
    return measure


def _share(
    key: str,
    better: Literal["higher", "lower", ""],
    title: str = "",
    table: Literal["calibration", "labels", ""] = "",
) -> Measure:
    """A fraction of the examples, which is written in percent."""
    return _listed(Measure(key, "fraction", PERCENT, better, SHARE, title, "%", table))


# outputs on the test set, clean and disturbed
ACCURACY = _share("accuracy", "higher", "test accuracy")
ECE = _share("ece", "lower", "ECE", "calibration")
NLL = _listed(Measure("nll", "nat", ".3f", "lower", POSITIVE, "NLL", table="calibration"))
BRIER = _listed(
    Measure(
        "brier", "squared probability", ".3f", "lower", (0.0, 2.0), "Brier", "0 to 2", "calibration"
    )
)
AURC = _share("aurc", "lower", "AURC", "calibration")
UNDER_CORRUPTION = _share("accuracy under corruption", "higher", "test accuracy")
MCE = _listed(
    Measure("mCE_BP", "percent", ".1f", "lower", POSITIVE, "mCE_BP", "%, bp is 100", "corruption")
)
RELATIVE_MCE = _listed(MCE._replace(key="relative mCE_BP", title="Relative mCE_BP"))
MEMORISED = _share("memorised", "", table="labels")
RECOVERED = _share("recovered", "higher", table="labels")

# the suite of attacks
ROBUST = _share("robust accuracy", "higher")
INPUT_BOUND = _listed(Measure("input bound", "input"))
CHECK_VALUE = _listed(Measure("check value", "", ".3f"))
CHECK_THRESHOLD = _listed(Measure("check threshold", "", "g"))
CHECK_PASSED = _listed(Measure("check passed", "", "g", "higher"))

# during training
AT_STEP = _share("accuracy at step", "higher", "test accuracy")
LOSS = _listed(Measure("loss", "nat", "g", "lower", title="training loss"))
RESIDUAL = _listed(Measure("residual", "relative", "g", "lower"))
ANGLE = _listed(Measure("angle to backprop", "degree", ".0f", "lower", shown="°"))
FEEDBACK_ANGLE = _listed(Measure("feedback angle", "degree", ".0f", "lower", shown="°"))
DIVERGED = _listed(Measure("diverged at", "step", "g"))

# hidden layers: single, and compared with those of the backprop twin or of backprop's next seed
DIMENSION = _listed(Measure("effective dimension", "dimension", ".1f", table="layers"))
SPARSITY = _listed(Measure("sparsity", "fraction", PERCENT, bounds=SHARE, table="layers"))
DEAD_UNITS = _listed(Measure("dead units", "fraction", PERCENT, "lower", SHARE, table="layers"))
RATE = _listed(Measure("spikes a moment", "spike/unit", ".3f", bounds=SHARE))
RATE_HZ = _listed(Measure("firing rate", "Hz", ".1f", bounds=POSITIVE))
CKA = _listed(Measure("cka to backprop", "ratio", ".2f", bounds=(-1.0, 1.0), title="CKA"))
CKA_OF_SEEDS = _listed(CKA._replace(key="cka between seeds"))
RSA = _listed(Measure("rsa to backprop", "correlation", ".2f", bounds=(-1.0, 1.0), title="RSA"))
RSA_OF_SEEDS = _listed(RSA._replace(key="rsa between seeds"))

# costs
MACS = _listed(Measure("macs", "MAC/sample", ",.0f", "lower", POSITIVE, "MAC / sample"))
EFFECTIVE_MACS = _listed(Measure("effective macs", "MAC/sample", ",.0f", "lower", POSITIVE))
CHANGED = _listed(Measure("synapses changed", "synapse/step", ",.0f", "lower", POSITIVE))
ENERGY_OP = _listed(Measure("energy op", "J/sample", better="lower", bounds=POSITIVE))
ENERGY_MEMORY = _listed(Measure("energy memory", "J/sample", better="lower", bounds=POSITIVE))
ENERGY = _listed(Measure("energy total", "J/sample", better="lower", bounds=POSITIVE))
M_ENERGY = _listed(
    Measure(
        "M-energy",
        "weight",
        better="lower",
        bounds=POSITIVE,
        shown="sum of |change|",
        table="learning",
    )
)
UPDATES = _listed(
    Measure(
        "synaptic updates",
        "update",
        better="lower",
        bounds=POSITIVE,
        shown="number",
        table="learning",
    )
)
MADE = _listed(Measure("synapses made", "synapse", ",.0f", "lower", POSITIVE, table="learning"))
REMOVED = _listed(
    Measure("synapses removed", "synapse", ",.0f", "lower", POSITIVE, table="learning")
)
INEFFICIENCY = _listed(
    Measure(
        "inefficiency",
        "ratio",
        better="lower",
        bounds=POSITIVE,
        title="M / least",
        table="learning",
    )
)
TO_ACCURACY = _listed(Measure("energy to accuracy", "J", better="lower", bounds=POSITIVE))
SHORT_OF_ACCURACY = _listed(Measure("energy short of accuracy", "J", bounds=POSITIVE))


def measure_of(key: str) -> Measure:
    """The measure with this key.

    An unknown key is that of a further number in a rule's info; its measure has no unit.
    """
    return MEASURES.get(key) or Measure(key, "")


def measures_of(table: str) -> list[Measure]:
    """The measures that are columns of a table of the report, in order."""
    return [m for m in MEASURES.values() if m.table == table]
