"""Numbers as text, for the page and the terminal alike."""

import math

from bioplaus.record import Measure
from bioplaus.record.measures import ACCURACY, SI
from bioplaus.report.read import SeedInterval

PREFIXES = {
    -18: "a",
    -15: "f",
    -12: "p",
    -9: "n",
    -6: "µ",
    -3: "m",
    0: "",
    3: "k",
    6: "M",
    9: "G",
    12: "T",
    15: "P",
}
NONE = "–"


def si(value: float, unit: str = "") -> str:
    """Three digits with an SI prefix: 1.6e6 -> '1.60 M'."""
    if not math.isfinite(value):
        return NONE
    if value == 0:
        return f"0 {unit}".rstrip()
    # the value is rounded first, so that 999.9 becomes 1.00 k
    exponent = 3 * math.floor(math.log10(abs(float(f"{value:.2e}"))) / 3)
    exponent = min(max(exponent, min(PREFIXES)), max(PREFIXES))
    return f"{format(value / 10**exponent, '#.3g').rstrip('.')} {PREFIXES[exponent]}{unit}".rstrip()


def written(measure: Measure, value: float, sign: bool = False) -> str:
    """A value in the format of its measure, without a unit. sign: write a plus sign as well."""
    if measure.form == SI:
        return si(value)
    return (
        NONE
        if not math.isfinite(value)
        else format(value, f"{'+' * sign}{measure.form}").rstrip("%").replace("-", "−")
    )


def percent(value: float, sign: bool = False) -> str:
    """A fraction in percent, in the format of accuracies."""
    return written(ACCURACY, value, sign)


def spread(interval: SeedInterval, sign: bool = False, measure: Measure = ACCURACY) -> str:
    """The interval as '[low, high]'; '' if there is none."""
    if not math.isfinite(interval.low):
        return ""
    return f"[{written(measure, interval.low, sign)}, {written(measure, interval.high, sign)}]"


def joules(energy: tuple[float, float, float]) -> tuple[str, str]:
    """(median with its unit, '[low, high]' in the same unit, or '' without an interval)."""
    median, low, high = energy
    name = si(median, "J")
    if not (math.isfinite(low) and math.isfinite(high) and median):
        return name, ""
    unit = 10.0 ** next(e for e, prefix in PREFIXES.items() if f"{prefix}J" == name.split()[-1])
    # two digits, and 1400 rather than 1.4e+03
    ends = (f"{float(f'{x / unit:.2g}'):.10g}" for x in (low, high))
    return name, f"[{', '.join(ends)}]"
