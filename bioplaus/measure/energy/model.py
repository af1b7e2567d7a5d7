"""From counts to joules, with the uncertainty of the constants.

    E_op    = macs (e_mul + e_add) + (ops + random) e_add + (P / B) flops (e_mul + e_add) / 2
    E_mem   = 1/2 [sum_tensors words e(level) + (P / B) words_opt e(level of P)]        e: a 64-bit access, a word is 32 bits
    E_total = E_op + E_mem                                                              joules an example and update
level: the smallest of 8 kB, 32 kB and 1 MB SRAM that holds the tensor, else DRAM; in steps, without interpolation. An
elementwise operation and a random number are charged as one addition, which is a lower bound for tanh, exp and the draw.
Static power, clocks, wires and control are not in the model: it compares rules, it does not predict a bill.

Horowitz, "Computing's energy problem (and what we can do about it)", 2014, doi:10.1109/ISSCC.2014.6757323.
"""

from typing import NamedTuple

import numpy as np

from bioplaus.measure.cost import Cost, Count, cost, total
from bioplaus.measure.energy.profiles import Profile
from bioplaus.types import Batch, Net, Rule

LEVELS = (("sram_8kB", 8 * 1024), ("sram_32kB", 32 * 1024), ("sram_1MB", 1024 * 1024), ("dram", np.inf))
"""Memories and how many bytes they hold."""

WORD = 4  # bytes


class Optimiser(NamedTuple):
    """What an optimiser does for each parameter and update: words read and written, and floating-point operations."""

    words: float
    flops: float


SGD = Optimiser(words=2, flops=1)
MOMENTUM = Optimiser(words=4, flops=2)
ADAM = Optimiser(words=6, flops=10)


class Estimate(NamedTuple):
    """Joules an example: the median and the 90 % interval over the draws, and the draws themselves [n]."""

    median: float
    p05: float
    p95: float
    draws: np.ndarray


class Energy(NamedTuple):
    """Arithmetic, memory and their sum, always together; setting: (profile, number of draws, seed)."""

    E_op: Estimate
    E_mem: Estimate
    E_total: Estimate
    setting: tuple[str, int, int]


def training_macs(rule: Rule, net: Net, batch: Batch) -> Count:
    """MACs an example of one update: all phases."""
    return total(cost(rule, net, batch)).macs


def energy(cost: Cost, profile: Profile, *, optimiser: Optimiser = ADAM, draws: int = 1000, seed: int = 0) -> Energy:
    """Energy of one update, an example. Constants are drawn log-uniformly on [low, high], the same for every rule at a seed."""
    if draws < 1:
        raise ValueError(f"energy: draws is {draws}; give 1 or more")
    e, all_phases = _sample(profile, draws, seed), total(cost)
    mac, share = e["fp32_mul"] + e["fp32_add"], cost.parameters / cost.batch
    op = (
        float(all_phases.macs) * mac
        + float(all_phases.ops + all_phases.random) * e["fp32_add"]
        + share * optimiser.flops * mac / 2
    )
    moved = [*cost.traffic, (cost.parameters, share * optimiser.words)]
    mem = np.sum([float(words) * e[level(tensor)] for tensor, words in moved], axis=0) / 2
    return Energy(_estimate(op), _estimate(mem), _estimate(op + mem), (profile.name, draws, seed))


def level(words: int) -> str:
    """The smallest memory that holds a tensor of so many 32-bit words."""
    return next(name for name, holds in LEVELS if words * WORD <= holds)


def rank_robustness(a: Energy, b: Energy) -> float:
    """R(a < b): the fraction of draws in which a uses less in total than b. Raises ValueError unless both saw the same draws."""
    if a.setting != b.setting:
        raise ValueError(f"rank_robustness: the draws differ, {a.setting} and {b.setting}; use one profile, draws and seed")
    return float((a.E_total.draws < b.E_total.draws).mean())


def _sample(profile: Profile, draws: int, seed: int) -> dict[str, np.ndarray]:
    """Joules: [draws] of every constant, in the order of their names."""
    rng = np.random.default_rng(seed)
    return {k: 1e-12 * np.exp(rng.uniform(np.log(c.low), np.log(c.high), draws)) for k, c in sorted(profile.constants.items())}


def _estimate(joules: np.ndarray) -> Estimate:
    p05, median, p95 = np.quantile(joules, [0.05, 0.5, 0.95])
    return Estimate(float(median), float(p05), float(p95), joules)
