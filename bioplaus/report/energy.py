"""The section on energy: energies on every profile, their order, learning costs, and MACs."""

import math
from html import escape

from bioplaus.measure.brain import CAVEAT, beside_the_brain
from bioplaus.record import TRAINING, measures_of
from bioplaus.record.measures import (
    ENERGY,
    ENERGY_MEMORY,
    ENERGY_OP,
    MACS,
    SHORT_OF_ACCURACY,
    TO_ACCURACY,
)
from bioplaus.report.headline import energy as price
from bioplaus.report.markup import arms, blocks, figure, heading, listed, note, plural, table
from bioplaus.report.read import ReportedArm, Run, conditions, interval, number, seeds_of
from bioplaus.report.text import NONE, joules, si, written

MIN_SHARE_OF_DRAWS = (
    0.95  # share of draws in which an order of energies must hold before it is stated
)
MAX_LISTED_ORDERS = 6  # orders that are listed one by one; of more, the exceptions are
MAX_COLUMNS = 5  # profiles in a table, so that it fits on paper


def energy(run: Run, svgs: dict[str, str]) -> str:
    """The section: the figure, then the tables of energies, orders, learning, brains and MACs."""
    text = (
        "Modelled energy of training on one sample, with a panel for each hardware profile: median"
        " and 90 % interval over the profile's assumptions. Scales differ between panels. All arms"
        " share the assumptions, so that their intervals move together, and the order of two arms"
        " can be certain although their intervals overlap: see the statements below. A missing"
        " marker means that the profile has no price for that part, or that its count is zero."
    )
    out = (
        figure(svgs, "energy", text) + _profiles(run) + _orders(run) + _learning(run) + _brain(run)
    )
    phases = conditions(run, MACS)
    if phases:
        cells = [
            [written(MACS, seeds_of(run, a, MACS, p).get("", math.nan)) for p in phases]
            for a in run.arms
        ]
        out += table([escape(str(p)) for p in phases], arms(run), cells, corner=MACS.title)
        out += note(
            "MAC: multiply-accumulate operations, counted on the compiled program of each rule, for"
            " each phase of an update."
        )
    return out


def _profiles(run: Run) -> str:
    """Energy of a sample on every profile, with its two parts.

    Clocked machines are in one table, and event-driven ones in another.
    """
    names = list(run.summary.get("energy_profiles") or ())
    clocked = [n for n in names if n in run.summary.get("energy_clocked", ())]
    events = [n for n in names if n not in clocked]
    kinds = {
        "Clocked machines: every operation costs energy": ("operations", "memory", clocked),
        "Event-driven machines: operations on zeros cost nothing": (
            "events",
            "spikes sent and synapses changed",
            events,
        ),
    }
    out = "".join(
        blocks(
            [_titled(run, n) for n in some],
            arms(run),
            [[_priced(run, a, n) for n in some] for a in run.arms],
            MAX_COLUMNS,
            "J / sample",
            f"{title}. Below each: {first} + {second}.",
        )
        for title, (first, second, some) in kinds.items()
    )
    unpriced = run.summary.get("energy_unpriced") or {}
    without = [
        f"{escape(n)} leaves out {listed([u.replace('_', ' ') for u in missing])}"
        for n, missing in unpriced.items()
    ]
    return out and out + note(
        "Median [90 % interval, in the unit of the median], and below it the two parts;"
        f" {NONE}: the profile has no price for this part.",
        "On clocked machines all operations are counted; on event-driven machines only those on"
        " values that are not zero, in the trained net.",
        f"Some operations have no published price: {'; '.join(without)}." if without else "",
    )


def _titled(run: Run, name: str) -> str:
    return escape(name) + (
        "<small>in part</small>" if name in (run.summary.get("energy_unpriced") or {}) else ""
    )


def _priced(run: Run, a: ReportedArm, name: str) -> str:
    """Median, interval and parts of one arm on one profile."""
    total, *parts = (price(run, a, part, name) for part in (ENERGY, ENERGY_OP, ENERGY_MEMORY))
    if total is None:
        return NONE
    median, spread = joules(total)
    each = " + ".join(si(p[0], "J") if p and p[0] else NONE for p in parts)
    return f"<b>{median}</b> <span>{spread}</span><small>{each}</small>"


def _learning(run: Run) -> str:
    """The changes of weights over all of training, as means over seeds."""
    measures = [m for m in measures_of("learning") if conditions(run, m)]
    if not measures:
        return ""
    reached = {a.label: _reached(run, a) for a in run.arms}
    cells = [
        [written(m, interval(seeds_of(run, a, m, TRAINING).values()).mean) for m in measures]
        + [reached[a.label]]
        for a in run.arms
    ]
    return table(
        [*map(heading, measures), "Energy to an accuracy<small>J, all training</small>"],
        arms(run),
        cells,
    ) + note(
        "Means over seeds. M-energy M: the sum of the absolute changes of all weights over all"
        " updates. M / least: M divided by the smallest sum that leads from the initial to the"
        " final weights (Li and van Rossum 2020). Energy to an accuracy: the energy of training"
        " until this accuracy was reached, as a mean over the seeds that reached it, on the profile"
        f" {escape(str(run.summary.get('energy_profile') or 'not named'))}."
    )


def _brain(run: Run) -> str:
    """The energy of as many operations in brains and on chips, by published rates and powers."""
    macs = {a.label: seeds_of(run, a, MACS, TRAINING).get("", math.nan) for a in run.arms}
    counted = [a for a in run.arms if macs[a.label] > 0]
    if not counted:
        return ""
    places = [beside_the_brain(2 * macs[a.label], 1.0) for a in counted]
    heads = [
        f"{escape(p.place.name)}<small>{si(p.joule_per_operation, 'J')} a"
        f" {escape(p.place.unit)}</small>"
        for p in places[0]
    ]
    cells = [[si(found[i].joules, "J") for found in places] for i in range(len(heads))]
    return blocks([escape(a.label) for a in counted], heads, cells, 8, "J / sample, there") + note(
        "The multiply-accumulates of training on one sample, two operations each, at the"
        f" operations a second and the power of each place. {escape(CAVEAT)}"
    )


def _reached(run: Run, of: ReportedArm) -> str:
    target = next(iter([*conditions(run, TO_ACCURACY), *conditions(run, SHORT_OF_ACCURACY)]), None)
    if target is None or target.accuracy is None:
        return NONE
    hits, misses = (
        seeds_of(run, of, measure, target) for measure in (TO_ACCURACY, SHORT_OF_ACCURACY)
    )
    if not hits and not misses:
        return NONE
    where = f"{100 * target.accuracy:g} %"
    n = len(hits) + len(misses)
    mean = (
        f"<b>{si(interval(hits.values()).mean, 'J')}</b>"
        if hits
        else f"more than {si(min(misses.values()), 'J')}"
    )
    return f"{mean}<small>{where}, {len(hits)} of {plural(n, 'seed')}</small>"


def _orders(run: Run) -> str:
    """Pairs of arms of which one needs less energy, in almost all draws of the assumptions.

    This must hold on every profile.
    """
    ranks = [
        (str(r["a"]), str(r["b"]), number(r["r"])) for r in run.summary.get("energy_ranks", ())
    ]
    if not ranks:
        return ""
    sure = [(a, b, r) for a, b, r in ranks if r >= MIN_SHARE_OF_DRAWS]
    names = list(dict.fromkeys(a for a, _, _ in ranks))
    lines = []
    for a in dict.fromkeys(a for a, _, _ in sure):
        # never rounded up
        less = {
            b: f"{b} (R = {math.floor(100 * r + 1e-9) / 100:.2f})" for x, b, r in sure if x == a
        }
        rest = [b for b in names if b != a and b not in less]
        exceptions = "all others" + (f" but {listed(rest)}" if rest else "")
        lines.append(
            f"<li>{escape(a)} needs less energy than"
            f" {listed([*less.values()]) if len(less) <= MAX_LISTED_ORDERS else exceptions}.</li>"
        )
    open_pairs = {frozenset(r[:2]) for r in ranks} - {frozenset(r[:2]) for r in sure}
    where = (
        ", on the profile where this share is smallest"
        if len(run.summary.get("energy_profiles") or ()) > 1
        else ""
    )
    out = (
        "<p>R: the share of draws of the assumptions in which one arm needs less energy than the"
        f" other{where}. Pairs with R\xa0≥\xa0{MIN_SHARE_OF_DRAWS} are listed.</p>"
    )
    out += f"<ul>{''.join(lines)}</ul>" if lines else ""
    if open_pairs:
        out += (
            f"<p>{plural(len(open_pairs), 'pair')} left open: which needs less depends on the"
            " assumptions.</p>"
        )
    return out
