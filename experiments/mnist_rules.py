"""The table of experiments/mnist_rules.toml: each rule is tuned, trained at its settings and
written down, one rule after the other.

    python experiments/mnist_rules.py --plan           (which rules are left, and about how long
        each takes)
    python experiments/mnist_rules.py                  (about 7 hours of one core; a run that was
        stopped goes on)
    python experiments/mnist_rules.py --rules bp,fa    (these, in this order)
    python experiments/mnist_rules.py --show           (writes the page again, from the figures that
        are there)

A rule is tuned as `make tune` does (bioplaus/defaults.toml gets its settings and scores), then
every arm of the study that has this rule is trained on all seeds and measured on the test set.
Beside this file, mnist_rules.results.toml gets the figures, and mnist_rules.md is the page made of
them: both after each rule, so that each can be committed by itself. A rule is done when its figures
are of the settings in defaults.toml. Checkpoints lie in --out. For one core:
XLA_FLAGS=--xla_cpu_multi_thread_eigen=false.

Noise floor: zil and fpa are backprop by other means, and the best of 16 trials on one seed gave the
three of them different learning rates. Backprop at these three is what luck in tuning is worth.
Rules closer to one another than the three are not ranked.
"""

import argparse
import importlib.metadata
import time
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import tomli_w

from bioplaus import data as datasets
from bioplaus.measure import cost, total
from bioplaus.measure.statistics import interval, paired_interval
from bioplaus.study import Arm, Study, defaults, load, run_study
from bioplaus.study.build import build, hold_of
from bioplaus.study.jobs import keep_compilations
from bioplaus.study.results import replacing
from bioplaus.study.spec import arms
from bioplaus.study.tune import FINAL_SEEDS, FINALISTS, SAME_ALGORITHM, tune
from bioplaus.study.tuned import Scores, read

HERE = Path(__file__).parent
STUDY, RESULTS, PAGE = (
    HERE / "mnist_rules.toml",
    HERE / "mnist_rules.results.toml",
    HERE / "mnist_rules.md",
)
TRIALS, STEPS = 16, 860
PERCENT = (0.0, 100.0)  # the bounds of an accuracy
FLOOR = {"bp": 0.00863, "zil": 0.0156, "fpa": 0.0049}
"""Learning rates of one algorithm, backprop, that the best of 16 trials on seed 0 gave under three
names.
"""


class Figures(NamedTuple):
    """before: arm -> what was printed of it by the method before; arms: arm -> its figures now,
    accuracies in %, one a seed.
    """

    before: dict[str, dict[str, str]]
    arms: dict[str, dict[str, Any]]


def figures() -> Figures:
    return Figures(**tomllib.loads(RESULTS.read_text(encoding="utf-8")))


def keep(found: Figures) -> None:
    """Write the figures and the page."""
    head = (
        "# Written by experiments/mnist_rules.py, rule by rule. Not edited by hand. Accuracies on"
        " the test set in %.\n\n"
    )
    with replacing(RESULTS) as part:
        part.write_text(head + tomli_w.dumps(found._asdict()), encoding="utf-8")
    with replacing(PAGE) as part:
        part.write_text(page(found, read(defaults.DEFAULTS).scores, names()), encoding="utf-8")


def name_of(arm: Arm) -> str:
    if not arm.net.hidden:
        return "linear readout"
    return (
        f"{arm.rule}, {arm.net.hidden[0]} units that compete"
        if arm.neuron.kind == "softmax"
        else arm.rule
    )


def names() -> list[str]:
    return [name_of(arm) for arm in arms(load(STUDY))]


def of_rule(study: Study, rule: str) -> Study:
    """The part of the study that has this rule. What an update costs is measured elsewhere."""
    extra = [settings for settings in study.extra if settings["rule"] == rule]
    return study.model_copy(
        update={"base": {**study.base, "energy": False}, "grid": {"rule": [rule]}, "extra": extra}
    )


def trained(study: Study, folder: Path) -> list[tuple[Arm, dict[str, Any]]]:
    """Each arm of a study with its figures, a run that was stopped gone on with."""
    rows = run_study(study, out=folder, resume=True, show=False).rows
    found = [row for row in rows if (row.condition, row.measure) == ("clean", "accuracy")]
    each, versions = (
        arms(study),
        {name: importlib.metadata.version(name) for name in ("bioplaus", "jax")},
    )
    seeds = each[0].seeds
    if len(found) != seeds * len(each):
        raise RuntimeError(
            f"{folder}: {len(found)} accuracies of {len(each)} arms on {seeds} seeds"
        )
    order = sorted(range(len(each)), key=lambda i: each[i].rule != "bp")  # as a run has them
    return [
        (
            each[i],
            said(
                [100 * row.value for row in found[n * seeds : (n + 1) * seeds]], each[i], versions
            ),
        )
        for n, i in enumerate(order)
    ]


def said(values: list[float], arm: Arm, versions: dict[str, str]) -> dict[str, Any]:
    x = interval(values)
    return {
        "mean": round(float(x.mean), 2),
        "spread": round(float((x.high - x.low) / 2), 2),
        "seeds": list(range(len(values))),
        "accuracy": [round(v, 2) for v in values],
        "settings": settings_of(arm),
        "versions": versions,
    }


def settings_of(arm: Arm) -> dict[str, Any]:
    """What tells the arm from others of the table."""
    optimiser = arm.optimiser.model_dump(mode="json", exclude_defaults=True)
    optimiser["learning_rate"] = arm.optimiser.learning_rate
    return {
        "epochs": arm.epochs,
        "batch_size": arm.batch_size,
        "optimiser": optimiser,
        "hyper": arm.hyper,
    }


def done(rule: str, found: Figures) -> bool:
    """Whether a rule's figures are there, tuned by this method and at the settings that are its own
    today.
    """
    mine = {name_of(arm): settings_of(arm) for arm in arms(of_rule(load(STUDY), rule))}
    same = all(
        name in found.arms and found.arms[name]["settings"] == settings
        for name, settings in mine.items()
    )
    return same and rule in read(defaults.DEFAULTS).scores


def run(rule: str, out: Path) -> None:
    """Tune a rule, train its arms, and write down what came out."""
    tune(
        [rule],
        data=load(STUDY).base["data"],
        trials=TRIALS,
        seeds=1,
        steps=STEPS,
        out=defaults.DEFAULTS,
    )
    found, study = figures(), load(STUDY)
    for arm, each in trained(of_rule(study, rule), out / rule):
        found.arms[name_of(arm)] = each
        found.before.pop(name_of(arm), None)
    keep(found)


def run_floor(out: Path) -> None:
    study = load(STUDY)
    rates = {"rule": ["bp"], "optimiser.learning_rate": [*FLOOR.values()]}
    each = trained(
        of_rule(study, "bp").model_copy(update={"grid": rates, "extra": []}), out / "floor"
    )
    found = figures()
    for (_, made), name in zip(each, FLOOR, strict=True):
        found.arms[floor_name(name)] = made
    keep(found)


def floor_name(rule: str) -> str:
    return f"bp, at {FLOOR[rule]:g}"


def seconds() -> dict[str, float]:
    """Rule -> about how many seconds its row takes: products of an update, against those of
    backprop, which is timed here.
    """
    use, found = datasets.load("mnist"), {}
    batch = jax.eval_shape(lambda: jax.tree.map(lambda a: jax.numpy.asarray(a[:128]), use.train))
    step = timed()
    for arm in arms(load(STUDY).model_copy(update={"extra": []})):
        built = build(arm, use.train.x[:1], use.train.y.shape[-1])
        macs = total(cost(built.rule(built.net), built.net, batch)).macs * hold_of(arm)
        tuning = 0 if arm.rule in SAME_ALGORITHM else STEPS * (TRIALS + FINALISTS * FINAL_SEEDS)
        updates = tuning + arm.seeds * float(arm.epochs or 0) * (len(use.train.x) // arm.batch_size)
        found[arm.rule] = (macs, updates)
    return {rule: step * updates * macs / found["bp"][0] for rule, (macs, updates) in found.items()}


def timed(steps: int = 300) -> float:
    """Seconds a step of backprop."""
    study = of_rule(load(STUDY), "bp").model_copy(update={"extra": [], "rules": {}})
    base = {k: v for k, v in study.base.items() if k != "epochs"} | {"points": 1, "seeds": 1}

    def took(steps: int) -> float:
        began = time.process_time()
        run_study(study.model_copy(update={"base": {**base, "steps": steps}}), show=False)
        return time.process_time() - began

    short = min(took(1) for _ in range(2))
    return max(took(steps + 1) - short, 1e-3) / steps


def printed(x: Any, sign: str = "") -> str:
    return f"{x.mean:{sign}.1f} [{x.low:{sign}.1f}, {x.high:{sign}.1f}]"


def page(found: Figures, scores: dict[str, Scores], order: Iterable[str]) -> str:
    """mnist_rules.md."""
    lines = [
        "# MNIST, every rule at its own settings",
        "",
        (
            "Made by `python experiments/mnist_rules.py` from mnist_rules.results.toml, which has"
            " the figure of each seed, the settings and"
        ),
        (
            "the versions. The study is mnist_rules.toml: 784-256-256-10, 10 epochs (pep and hep"
            " 5), seeds 0 to 2, the test set."
        ),
        "",
        (
            f"Tuning, the same for all: {TRIALS} trials of {STEPS} steps on seed 0; of these the"
            f" best {FINALISTS} are run on"
        ),
        (
            f"{FINAL_SEEDS} new seeds, and the best mean validation accuracy over the new seeds is"
            " taken. Searched are the learning rate"
        ),
        (
            "and what the last column names. zil and fpa, which are backprop by other means, take"
            " its settings."
        ),
        "",
        *floor_lines(found),
        (
            "| rule | test accuracy, %: mean [95 % interval] | above frozen hidden layers, paired"
            " by seed | searched beside the rate |"
        ),
        "|---|---|---|---|",
    ]
    for name in order:
        lines.append(row(name, found, scores.get(name)))
    old = [name for name in order if name not in found.arms and name in found.before]
    if old:
        lines += [
            "",
            (
                "(before): not run anew yet. Tuned by the method before, which took the best of the"
                " 16 trials on seed 0 as it came, and"
            ),
            (
                "paired with the frozen hidden layers of that run. Such a row is not to be compared"
                " with the others."
            ),
        ]
    return "\n".join([*lines, *groups(found, order), ""])


def floor_lines(found: Figures) -> list[str]:
    points = floor(found)
    if points is None:
        return ["Noise floor: not run yet; no ranks are claimed.", ""]
    runs = [(rate, found.arms[floor_name(rule)]["accuracy"]) for rule, rate in FLOOR.items()]
    each = ", ".join(
        f"{printed(interval(values, bounds=PERCENT))} at {rate:g}" for rate, values in runs
    )
    return [
        (
            f"Noise floor: {points:.1f} points. Backprop at the learning rates that tuning on one"
            " seed gave bp, zil and fpa, which are one"
        ),
        f"algorithm under three names: {each}. Ranks closer than",
        "this are not claimed.",
        "",
    ]


def floor(found: Figures) -> float | None:
    """The largest difference between the means of one algorithm at three tunings of it; None until
    they have been run.
    """
    if any(floor_name(rule) not in found.arms for rule in FLOOR):
        return None
    means = [float(interval(found.arms[floor_name(rule)]["accuracy"]).mean) for rule in FLOOR]
    return max(means) - min(means)


def row(name: str, found: Figures, scores: Scores | None) -> str:
    searched = (
        "as bp"
        if scores and scores.like
        else ", ".join(s for s in scores.searched if s != "learning_rate")
        if scores
        else ""
    )
    if name in found.arms:
        mine, frozen = (
            found.arms[name]["accuracy"],
            found.arms.get(base_of(name), {}).get("accuracy"),
        )
        above = (
            ""
            if frozen is None or name == base_of(name)
            else printed(paired_interval(mine, frozen, bounds=PERCENT), "+")
        )
        return f"| {name} | {printed(interval(mine, bounds=PERCENT))} | {above} | {searched} |"
    if (old := found.before.get(name)) is None:
        return f"| {name} | not run yet | | |"
    return f"| {name} (before) | {old['accuracy']} | {old.get('above', '')} | |"


def base_of(name: str) -> str:
    """The arm whose hidden layers do not learn, on the same net."""
    return f"frozen{name[name.index(',') :]}" if "," in name else "frozen"


def groups(found: Figures, order: Iterable[str]) -> list[str]:
    """What can be said: who is within the noise floor of backprop, and who is not told from frozen
    layers, of rows that are new.
    """
    points, lines = floor(found), []
    new = [
        name for name in order if name in found.arms and name in {a.rule for a in arms(load(STUDY))}
    ]
    mean = {name: float(interval(found.arms[name]["accuracy"]).mean) for name in new}
    if points is not None and "bp" in mean:
        near = [name for name in new if name != "bp" and abs(mean[name] - mean["bp"]) <= points]
        lines += ["", f"Within the noise floor of backprop: {', '.join(near) or 'none'}."]
    if "frozen" in mean:
        above = {
            n: paired_interval(found.arms[n]["accuracy"], found.arms["frozen"]["accuracy"])
            for n in new
            if n != "frozen"
        }
        unclear = [name for name, x in above.items() if x.low <= 0 <= x.high]
        below = [name for name, x in above.items() if x.high < 0]
        lines += [
            "",
            (
                f"Not told from frozen hidden layers: {', '.join(unclear) or 'none'}. Below them:"
                f" {', '.join(below) or 'none'}."
            ),
        ]
    return lines


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rules",
        help=(
            "keys separated by commas, run in this order; all, the cheapest first, where none is"
            " given"
        ),
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results/mnist_rules"),
        help="the folder of the checkpoints",
    )
    parser.add_argument(
        "--plan",
        action="store_true",
        help="print what is left and about how long it takes, and stop",
    )
    parser.add_argument("--show", action="store_true", help="write the page again, and stop")
    return parser


def main() -> None:
    args = arguments().parse_args()
    if args.show:
        keep(figures())
        return
    keep_compilations()
    last = seconds() if args.plan or not args.rules else {}
    rules = args.rules.split(",") if args.rules else sorted(last, key=lambda rule: last[rule])
    left = [rule for rule in rules if not done(rule, figures())]
    if args.plan:
        for rule in left:
            print(f"{rule:24} {last[rule] / 60:6.1f} minutes")
        print(f"{'in all':24} {sum(last[rule] for rule in left) / 3600:6.1f} hours")
        return
    if any(floor_name(rule) not in figures().arms for rule in FLOOR):
        run_floor(args.out)
    for rule in left:
        print(time.strftime("%X"), rule, flush=True)
        run(rule, args.out)


if __name__ == "__main__":
    main()
