"""Training speed and memory against other libraries, each in an environment of its own.

    python experiments/benchmarks/against_peers.py [--rounds 7] [--repos DIR] [--out peers.json]
        [--tasks "T1,T2,T2 conv,T3,T4,T5,T5 online,T6,T7"]

T1 backprop, T2 feedback alignment (and LeNet-5), T3 predictive coding, T4 equilibrium propagation,
T5 spiking nets (online: learning forward in time), T6 forward-forward and SoftHebb, T7 eight seeds
of T1; see peers/tasks.py. The environments are made with pip in --cache and kept. A peer that
cannot be installed or run is left out, and the reason is printed. Peers that the package index does
not have are run from clones of their repositories in --repos.

Every program is a process that trains on request. All are warmed up (which compiles) and given a
number of steps that takes about --seconds. They then run in turn, round after round, never two at
once. A ratio compares samples per second within a round: median [min, max]. If a turn takes much
less than a second, ours looks slower than it is, because it shuffles all examples in each turn. Run
it on an idle machine and quote ratios, not samples per second; differences below 1.2 are noise.
"""

import argparse
import json
import os
import platform
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from peers.environments import PEERS, Missing, clone_of, commit_of, python_of
from peers.processes import Worker, command_of, go, start, stop
from peers.tasks import TASKS, Entry, Group
from timing import ratio, rounds

LIMIT = 600.0  # seconds that a worker may take to start, or over a turn


class Timed(NamedTuple):
    """Timing of one program.

    samples: samples per second, in each round. peak_mib: peak memory of the process. versions,
    device: as reported by the process.
    """

    samples: list[float]
    peak_mib: float
    versions: dict[str, str]
    device: str


def begun(entry: Entry, task: dict[str, Any], cache: Path, repos: Path | None) -> Worker:
    """The entry's worker, ready. Raises Missing."""
    peer = PEERS[entry.peer]
    clone = clone_of(entry.peer, peer, repos)
    python = python_of(entry.peer, peer, cache, clone)
    told = task | entry.extra | ({"clone": str(clone)} if clone else {})
    worker = start(entry.name, command_of(python, f"with_{entry.peer}.py", told), LIMIT)
    if clone:
        worker.ready["versions"][clone.name] = commit_of(clone)
    return worker


def steps_for(worker: Worker, seconds: float) -> int:
    """Steps that take about `seconds`; the worker is warm for that number afterwards."""
    go(worker, 10, LIMIT)  # compiles
    steps = max(1, round(10 * seconds / go(worker, 10, LIMIT)["seconds"]))
    go(worker, steps, LIMIT)
    return steps


def timed(
    entries: list[Entry], size: int, begin: Callable[[Entry], Worker], count: int, seconds: float
) -> tuple[dict[str, Timed], list[str]]:
    """Timing of each entry, and one line for each that is missing.

    size: samples per step. The first entry is ours: if it fails, nothing is timed.
    """
    workers: dict[str, tuple[Worker, int]] = {}
    missing: list[str] = []
    try:
        for i, entry in enumerate(entries):
            try:
                worker = begin(entry)
                workers[entry.name] = worker, 0
                workers[entry.name] = worker, steps_for(worker, seconds)
            except Missing as why:
                workers.pop(entry.name, None)
                missing.append(str(why))
                if i == 0:
                    return {}, missing
        if len(workers) == 1:
            return {}, missing
        last: dict[str, dict[str, float]] = {}

        def turn(name: str) -> float:
            worker, steps = workers[name]
            last[name] = go(worker, steps, LIMIT)
            return last[name]["seconds"]

        took = rounds({name: lambda name=name: turn(name) for name in workers}, count)
        return {
            name: Timed(
                [steps * size / s for s in took[name]],
                last[name]["peak_mib"],
                worker.ready["versions"],
                worker.ready["device"],
            )
            for name, (worker, steps) in workers.items()
        }, missing
    except Missing as why:  # in the midst of the rounds
        return {}, [*missing, f"{why}; its group is left out"]
    finally:
        for worker, _ in workers.values():
            stop(worker)


def compared(group: Group, found: dict[str, Timed]) -> list[dict[str, Any]]:
    """One row per timed program, ours first; no ratio if it ran on another device than ours."""
    ours, rows = found[group.ours.name], []
    for entry in (group.ours, *group.peers):
        if entry.name not in found:
            continue
        it = found[entry.name]
        row: dict[str, Any] = {
            "program": entry.name,
            **it._asdict(),
            "median": statistics.median(it.samples),
        }
        if entry is not group.ours and it.device == ours.device:
            row |= {"ours/peer": ratio(ours.samples, it.samples)._asdict(), "aim": entry.aim}
        rows.append(row)
    return rows


def shown(rows: list[dict[str, Any]]) -> str:
    """The table of a group."""
    lines = []
    for row in rows:
        line = f"  {row['program']:22} {row['median']:10,.0f} samples/s {row['peak_mib']:8,.0f} MiB"
        if "ours/peer" in row:
            r, aim = row["ours/peer"], row["aim"]
            line += f"   ours / peer {r['median']:6.2f} [{r['min']:.2f}, {r['max']:.2f}]"
            line += (
                ""
                if aim is None
                else f"   aim {aim:4.2f}: {'met' if r['median'] >= aim else 'MISSED'}"
            )
        elif row is not rows[0]:
            line += f"   on {row['device']}: not compared"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn, for each seed")
    parser.add_argument("--peers", default=",".join(PEERS), help="the peers to run")
    parser.add_argument(
        "--repos",
        type=Path,
        default=None,
        help="folder of clones, of peers that are run from their repository",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path.home() / ".cache" / "bioplaus" / "peers",
        help="where environments are kept",
    )
    parser.add_argument("--out", type=Path, default=None, help="also write the figures as JSON")
    args = parser.parse_args()
    tasks, peers = args.tasks.split(","), args.peers.split(",")
    for given, known, what in ((tasks, TASKS, "--tasks"), (peers, PEERS, "--peers")):
        if unknown := set(given) - set(known):
            parser.error(f"{what} {', '.join(sorted(unknown))}: expected of {', '.join(known)}")

    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(
        f"{machine}; {args.rounds} rounds of {args.seconds:g} s; ours / peer within a round: median"
        " [min, max]"
    )
    report: dict[str, Any] = {"machine": machine, "groups": []}
    versions: dict[str, str] = {}
    for task in tasks:
        for group in TASKS[task]:
            print(f"{task} {group.title}, batch {group.task['batch']}", flush=True)
            entries = [group.ours, *(entry for entry in group.peers if entry.peer in peers)]
            seeds = group.task.get("seeds", 1)
            found, missing = timed(
                entries,
                group.task["batch"] * seeds,
                lambda entry, task=group.task: begun(entry, task, args.cache, args.repos),
                args.rounds,
                args.seconds * seeds,
            )
            rows = compared(group, found) if found else []
            print(
                "\n".join(
                    [*filter(None, [shown(rows)]), *(f"  left out: {why}" for why in missing)]
                ),
                flush=True,
            )
            report["groups"].append(
                {"task": task, "title": group.title, "rows": rows, "missing": missing}
            )
            for it in found.values():
                versions |= {f"{name} {number}": "" for name, number in it.versions.items()}
            if args.out:
                args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print("versions: " + ", ".join(sorted(versions)))


if __name__ == "__main__":
    main()
