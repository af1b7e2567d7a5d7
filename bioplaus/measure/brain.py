"""Brain scale: a net's operations and joules beside estimates for the brain, and beside chips.

    joule per operation = power / operations per second

Estimates of what the brain computes differ by eight orders of magnitude, because they count
different things. `CAVEAT` belongs to every comparison.

Carlsmith, "How Much Computational Power Does It Take to Match the Human Brain?", 2020,
https://www.openphilanthropy.org/research/how-much-computational-power-does-it-take-to-match-the-human-brain/
(1e13 to 1e17 operations per second by what neurons do; 1e15 is more likely than not enough; more
than 1e21 is unlikely to be needed). 20 W: Attwell and Laughlin, 2001,
doi:10.1097/00004647-200110000-00001, as in van Rossum and Pache, 2024,
doi:10.1371/journal.pcbi.1012553.
"""

from typing import NamedTuple

BOLTZMANN = 1.380649e-23  # J/K
BODY = 310.0  # K
ATP = 8.3e-20  # J, 50 kJ/mol

CAVEAT = (
    "Operations are not the same thing in each line: a floating-point operation, a synaptic event,"
    " or what a model of neurons needs. At 20 W, 1e21 operations a second leave 2e-20 J each, 4.7"
    " kT at body temperature and a quarter of one ATP: too little for irreversible digital"
    " operations, so that this estimate cannot be of such operations. Chips are at full use, a"
    " lower bound."
)


class Place(NamedTuple):
    """A brain estimate or a chip. rate: operations per second. power: in W. unit: what counts as
    one operation. source: the source of rate and power.
    """

    name: str
    rate: float
    power: float
    unit: str
    source: str


CARLSMITH = "Carlsmith 2020"
PLACES = (
    Place(
        "brain, least by mechanism",
        1e13,
        20.0,
        "FLOP",
        f"{CARLSMITH}: standard neuron signalling, lower end",
    ),
    Place("brain, more likely than not enough", 1e15, 20.0, "FLOP", CARLSMITH),
    Place(
        "brain, most by mechanism",
        1e17,
        20.0,
        "FLOP",
        f"{CARLSMITH}: standard neuron signalling, upper end",
    ),
    Place("brain, unlikely to need more", 1e21, 20.0, "FLOP", f"{CARLSMITH}: below 10 % for more"),
    Place(
        "TrueNorth",
        46e9,
        1.0,
        "synaptic event",
        "46 billion a second and watt, quoted in several works after Merolla et al. 2014",
    ),
    Place(
        "TPU v4, bfloat16",
        275e12,
        192.0,
        "FLOP",
        "https://cloud.google.com/tpu/docs/v4: peak rate, maximum power",
    ),
    Place(
        "H200, bfloat16",
        989e12,
        700.0,
        "FLOP",
        "vendor's figures: dense peak rate, thermal design power",
    ),
    Place(
        "H200, float32",
        67e12,
        700.0,
        "FLOP",
        "vendor's figures: peak rate outside of the tensor cores",
    ),
)


class Placed(NamedTuple):
    """A net at one place. joule_per_operation: the place's. seconds, joules: what the net's
    operations would take there. ratio: the net's joules divided by those.
    """

    place: Place
    joule_per_operation: float
    seconds: float
    joules: float
    ratio: float


def joule_per_flop(power_W: float, flops: float) -> float:
    """J per operation of a machine that uses power_W and performs `flops` operations per second.
    Raises ValueError for 0 or less.
    """
    if not power_W > 0 or not flops > 0:
        raise ValueError(
            f"joule_per_flop: got {power_W} W and {flops} operations per second; give both above 0"
        )
    return power_W / flops


def beside_the_brain(operations: float, joules: float) -> list[Placed]:
    """A net's operations and joules, for all of training or for one answer, beside `PLACES`.

    operations: floating-point operations; a multiply-accumulate (MAC) is two. A synaptic event
    stands for one MAC, as in the published rates. Print `CAVEAT` beside the result. Raises
    ValueError for 0 or less.
    """
    if not operations > 0 or not joules > 0:
        raise ValueError(
            f"beside_the_brain: got {operations} operations and {joules} J; give both above 0"
        )
    found = []
    for place in PLACES:
        each = joule_per_flop(place.power, place.rate)
        count = operations / 2 if place.unit == "synaptic event" else operations
        found.append(Placed(place, each, count / place.rate, count * each, joules / (count * each)))
    return found
