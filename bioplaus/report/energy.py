"""The section on energy: modelled joules over the profiles, the orders that all of them support,
what learning changed, and MACs.
"""

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
    """Energy, the orders that are robust to the assumptions, and MACs by phase."""
    text = (
        "Modelled energy of training on one sample, a panel a profile, each on its own scale:"
        " median and 90 % interval over the profile's assumptions. Arms share these, so their"
        " intervals move together: overlap does not leave an order open, the statements below do. A"
        " part that is not drawn has no price, or did not happen."
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
        out += note("Multiply-accumulates counted on each rule's own program, by phase.")
    return out


def _profiles(run: Run) -> str:
    """Total energy of a sample on every profile, with its two parts: the clocked machines, then the
    others.
    """
    names = list(run.summary.get("energy_profiles") or ())
    clocked = [n for n in names if n in run.summary.get("energy_clocked", ())]
    events = [n for n in names if n not in clocked]
    kinds = {
        "Clocked machines: all that is computed is paid for": ("operations", "memory", clocked),
        "Event-driven machines: what is zero costs nothing": (
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
            f"{said}. Below each: {first} + {second}.",
        )
        for said, (first, second, some) in kinds.items()
    )
    unpriced = run.summary.get("energy_unpriced") or {}
    without = [
        f"{escape(n)} is without {listed([u.replace('_', ' ') for u in missing])}"
        for n, missing in unpriced.items()
    ]
    return out and out + note(
        f"Median [90 % interval, in the unit of the median], and its two parts, {NONE} where one"
        " has no price.",
        "Counts are dense on clocked machines, and on event-driven ones of what was not zero after"
        " training.",
        f"No price is published for all that is done: {'; '.join(without)}." if without else "",
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
    """What training changed in all: a mean over seeds."""
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
        "Means over seeds. M-energy: all changes of all weights, added up; divided by the least"
        " that leads from the first weights to the last (Li and van Rossum 2020). Energy to an"
        " accuracy: mean of the seeds that reached it, on the headline's profile,"
        f" {escape(str(run.summary.get('energy_profile') or 'not named'))}."
    )


def _brain(run: Run) -> str:
    """What the operations of one training sample would take in brains and on chips, by published
    rates and powers.
    """
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
    """Which arm needs less energy than which, where that holds in almost every draw of the
    assumptions of every profile.
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
        ", in the profile where it is smallest"
        if len(run.summary.get("energy_profiles") or ()) > 1
        else ""
    )
    out = (
        f"<p>R: share of draws of the assumptions in which the order holds{where}. An order is"
        f" stated at R\xa0≥\xa0{MIN_SHARE_OF_DRAWS}.</p>"
    )
    out += f"<ul>{''.join(lines)}</ul>" if lines else ""
    if open_pairs:
        out += (
            f"<p>{plural(len(open_pairs), 'pair')} left open: which needs less depends on the"
            " assumptions.</p>"
        )
    return out
