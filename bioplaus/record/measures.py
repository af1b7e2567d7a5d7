"""What is measured: a line for each measure. Columns `measure` and `unit` of results.csv, and all
names in the report, come from here.
"""

import math
from typing import Literal, NamedTuple

from bioplaus.measure.statistics import FREE, SHARE

SI, PERCENT = "si", ".1%"
POSITIVE = (0.0, math.inf)


class Measure(NamedTuple):
    """key, unit: as in the columns `measure` and `unit`.

    form: how the report writes one: a format of Python, of which .1% is a fraction in percent; or
    SI, three digits with a prefix.
    better: which direction is better; '' where neither is. bounds: the least and the largest that
    it can be, in `unit`.
    title, shown: the name and the unit in the report, where they are other than key and unit.
    table: the table of the report that has a column for it wherever it was measured; '' for what
    its sections ask for by name.
        calibration: of the answers, on clean test images. corruption: over all corruptions. labels:
            of training examples whose label
        is wrong. layers: of each hidden layer. learning: over all of training.
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
        """What a value is multiplied by where it is drawn: a share is drawn in percent."""
        return 100.0 if self.form == PERCENT else 1.0

    @property
    def axis(self) -> str:
        """Name and unit, for the axis of a figure."""
        return f"{self.title or self.key} ({self.shown or self.unit})"


MEASURES: dict[str, Measure] = {}
"""Every measure of this file, by its key."""


def _listed(measure: Measure) -> Measure:
    if MEASURES.setdefault(measure.key, measure) is not measure:
        raise ValueError(f"measures: {measure.key!r} is there twice; give one of them another key")
    return measure


def _share(
    key: str,
    better: Literal["higher", "lower", ""],
    title: str = "",
    table: Literal["calibration", "labels", ""] = "",
) -> Measure:
    """A share of examples, which is written in percent."""
    return _listed(Measure(key, "fraction", PERCENT, better, SHARE, title, "%", table))


# answers on the test set: as it is, and disturbed
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

# hidden layers, alone and beside those of the backprop twin, or of backprop's next seed
DIMENSION = _listed(Measure("effective dimension", "dimension", ".1f", table="layers"))
SPARSITY = _listed(Measure("sparsity", "fraction", PERCENT, bounds=SHARE, table="layers"))
DEAD_UNITS = _listed(Measure("dead units", "fraction", PERCENT, "lower", SHARE, table="layers"))
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
    """The measure of a key. A rule's info may hold numbers of its own, which have no unit here."""
    return MEASURES.get(key) or Measure(key, "")


def measures_of(table: str) -> list[Measure]:
    """The measures that a table of the report has columns for, in order."""
    return [m for m in MEASURES.values() if m.table == table]
