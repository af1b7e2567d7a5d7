"""From counts to joules, with the uncertainty of the constants.

Energies are per example, of one update or one answer.

A clocked machine, on dense counts:
    E_op  = macs (e_mul + e_add) + muls e_mul
            + (acs + adds + compares + transcendentals + random) e_add
    E_mem = 1/2 sum_tensors words e(level)       e(level): for 64 bits, while a word has 32
An event-driven machine, on effective counts:
    E_op  = (macs + acs) e_synop + neuron_updates e_neuron + t (P_static + neurons e_rest)
    E_mem = synapse_updates e_synapse + (spikes + broadcast) e_spike
Both: E_total = E_op + E_mem.

e: energy constants of the profile. Counts: see `Counts`. t: seconds per example. level: the
smallest memory of the profile that holds the tensor, without interpolation between sizes. A
comparison, a function such as exp and a random number are charged as one addition, which is a lower
bound. The memory access of a synaptic event cannot be separated from its arithmetic, and is in
E_op. Clocks, wires and control are included only as far as a profile's constants include them: the
model compares rules, it does not predict the consumption of a device.

Horowitz, "Computing's energy problem (and what we can do about it)", 2014,
doi:10.1109/ISSCC.2014.6757323.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bioplaus.measure.cost import cost
from bioplaus.measure.counts import Cost, Count, Counts, total
from bioplaus.measure.energy.profiles import MEMORIES, Constant, Profile
from bioplaus.types import Batch, Net, Rule

WORD = 4  # bytes

EVENTS = {
    "neuron_updates": "neuron_update",
    "synapse_updates": "synapse_update",
    "spikes": "spike",
    "broadcast": "spike",
}
"""Counts that an event-driven profile may price, and the name of the constant that prices each."""


class Estimate(NamedTuple):
    """Joules per example.

    The median and the 90 % interval over draws of the constants, and the draws [n].
    """

    median: float
    p05: float
    p95: float
    draws: np.ndarray


class Energy(NamedTuple):
    """Energy of arithmetic, of memory and their sum. setting: (profile, number of draws, seed).

    unpriced: nonzero counts for which the profile has no price; the energies do not include them.
    """

    E_op: Estimate
    E_mem: Estimate
    E_total: Estimate
    setting: tuple[str, int, int]
    unpriced: tuple[str, ...] = ()


class Reached(NamedTuple):
    """joules: energy spent until the target was reached. censored: whether it was never reached;
    then joules is all that was spent.
    """

    joules: float
    censored: bool


def training_macs(rule: Rule, net: Net, batch: Batch) -> Count:
    """Multiply-accumulates (MACs) of one update per example, summed over phases."""
    return total(cost(rule, net, batch)).macs


def energy(
    cost: Cost,
    profile: Profile,
    *,
    seconds: float = 0.0,
    mirrored: bool = False,
    draws: int = 1000,
    seed: int = 0,
) -> Energy:
    """Energy of one update or answer per example. Constants are drawn log-uniformly from [low,
    high]; at a given seed the draws are the same for all rules.

    cost: `measure.cost` for a clocked profile, `measure.effective` for an event-driven one, or
    `inference`, with numbers for an event-driven one.
    seconds: time per example, for the static power of a machine or a neuron at rest.
    mirrored: whether a separate feedback array is kept equal to the forward weights, so that
    `transport` words are sent to it; otherwise the weights are read from either side.
    Raises ValueError for counts of the other kind, and for training on a machine that cannot train.
    """
    if draws < 1:
        raise ValueError(f"energy: draws is {draws}; give 1 or more")
    if cost.trains and profile.inference_only:
        raise ValueError(
            f"energy: {profile.name} cannot train: {profile.inference_only}; give the counts of"
            " `measure.inference`"
        )
    if cost.effective == profile.clocked:
        wanted = (
            "clocked: give the dense counts of `measure.cost`"
            if profile.clocked
            else "event-driven: give effective counts"
        )
        raise ValueError(f"energy: {profile.name} is {wanted}")
    e, counts = _sample(profile, draws, seed), total(cost)
    op, mem = (_clocked if profile.clocked else _event)(counts, cost, e, seconds, mirrored)
    missing = (
        ()
        if profile.clocked
        else tuple(n for n, key in EVENTS.items() if getattr(counts, n) and key not in e)
    )
    return Energy(
        _estimate(op), _estimate(mem), _estimate(op + mem), (profile.name, draws, seed), missing
    )


def level(words: int, names: Collection[str] = tuple(MEMORIES)) -> str:
    """The smallest of the memories that holds a tensor of so many 32-bit words."""
    return next(
        n for n in MEMORIES if n in names and (MEMORIES[n] is None or words * WORD <= MEMORIES[n])
    )


def rank_robustness(a: Energy, b: Energy) -> float:
    """R(a < b): the fraction of draws in which a uses less in total than b. Raises ValueError
    unless both saw the same draws.
    """
    if a.setting != b.setting:
        raise ValueError(
            f"rank_robustness: the draws differ, {a.setting} and {b.setting}; use one profile,"
            " draws and seed"
        )
    return float((a.E_total.draws < b.E_total.draws).mean())


def surely_less(a: dict[str, Energy], b: dict[str, Energy]) -> float:
    """R(a < b) in the profile in which it is smallest.

    If it is 0.95 or more, one may say that a needs less energy than b.

    a, b: profile -> energy. Raises ValueError unless they have the same profiles, one or more, and
    the same draws in each.
    """
    if not a or a.keys() != b.keys():
        raise ValueError(
            f"surely_less: got the profiles {sorted(a)} and {sorted(b)}; give both the same"
        )
    return min(rank_robustness(a[name], b[name]) for name in a)


def to_accuracy(target: float, steps: ArrayLike, accuracy: ArrayLike, joules: float) -> Reached:
    """Energy until a test accuracy is first reached.

    steps: [K] rising, the steps at which accuracy [K] was measured. joules: energy of one step,
    which is that of an example times the batch size. Raises ValueError if the arrays do not match.
    """
    steps, accuracy = np.asarray(steps), np.asarray(accuracy, np.float64)
    if (
        steps.ndim != 1
        or steps.shape != accuracy.shape
        or not len(steps)
        or (np.diff(steps) <= 0).any()
    ):
        raise ValueError(
            f"to_accuracy: got steps {steps.tolist()} and accuracy {accuracy.shape}; give rising"
            " steps, one accuracy each"
        )
    hit = np.flatnonzero(accuracy >= target)
    return Reached(float(joules * steps[hit[0] if len(hit) else -1]), not len(hit))


def _clocked(c: Counts, cost: Cost, e: dict[str, np.ndarray], seconds: float, mirrored: bool):
    del seconds
    simple = float(c.acs + c.adds + c.compares + c.transcendentals + c.random)
    op = (
        float(c.macs) * (e["fp32_mul"] + e["fp32_add"])
        + float(c.muls) * e["fp32_mul"]
        + simple * e["fp32_add"]
    )
    # a word that is copied to the mirror is read once and written once
    moved = [*cost.traffic, (cost.parameters, 2 * c.transport if mirrored else 0)]
    return op, np.sum([float(words) * e[level(tensor, e)] for tensor, words in moved], axis=0) / 2


def _event(c: Counts, cost: Cost, e: dict[str, np.ndarray], seconds: float, mirrored: bool):
    def priced(*names: str):
        return sum(float(getattr(c, n)) * e.get(EVENTS[n], 0.0) for n in names)

    op = float(c.macs + c.acs) * e["synop"] + priced("neuron_updates")
    op = op + seconds * (e.get("static", 0.0) + cost.neurons * e.get("rest", 0.0))
    mem = np.zeros_like(op) + priced("synapse_updates", "spikes", "broadcast")
    return op, mem + (float(c.transport) * e.get("spike", 0.0) if mirrored else 0.0)


def _sample(profile: Profile, draws: int, seed: int) -> dict[str, np.ndarray]:
    """[draws] of every constant, in joules.

    static is in watts, rest in watts per neuron. Constants are drawn in the order of their names.
    """
    rng = np.random.default_rng(seed)

    def drawn(c: Constant) -> np.ndarray:
        return np.exp(rng.uniform(np.log(c.low), np.log(c.high), draws))

    found = {k: drawn(c) for k, c in sorted(profile.constants.items())}
    scale = {"pJ": 1e-12, "pJ/64b": 1e-12, "W": 1.0, "J": 1.0} | dict.fromkeys(
        ("ATP", "ATP/s"), found.get("atp", 1.0)
    )
    return {k: x * scale[profile.constants[k].unit] for k, x in found.items()}


def _estimate(joules: np.ndarray) -> Estimate:
    p05, median, p95 = np.quantile(joules, [0.05, 0.5, 0.95])
    return Estimate(float(median), float(p05), float(p95), joules)
