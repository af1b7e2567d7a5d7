"""The table of experiments/mnist_rules.toml: tune each rule, train it, and write its row.

    python experiments/mnist_rules.py --plan         # which rules are left, and an estimate of the
                                                     # time of each
    python experiments/mnist_rules.py                # about 7 hours of one core; continues a run
                                                     # that was stopped
    python experiments/mnist_rules.py --rules bp,fa  # these rules, in this order
    python experiments/mnist_rules.py --show         # write the page again, from existing figures

A rule is tuned as by `make tune`; bioplaus/defaults.toml gets its settings and scores. Then every
arm of the study with this rule is trained on all seeds and measured on the test set. After each
rule, the figures are written to mnist_rules.results.toml, and the page (mnist_rules_page.py) to
mnist_rules.md, so that each rule can be committed by itself. A rule is done when its figures have
the settings that are in defaults.toml now. Checkpoints are in --out. To use a single core, set
XLA_FLAGS=--xla_cpu_multi_thread_eigen=false.

Noise floor: zil and fpa compute the gradient of backprop, but the best of 16 trials on one seed
gave the three rules different learning rates. The spread of backprop over these three rates is the
influence of luck in tuning. Rules closer to one another than that are not ranked.
"""

import argparse
import importlib.metadata
import time
import tomllib
from pathlib import Path
from typing import Any

import jax
import tomli_w
from mnist_rules_page import FLOOR, Figures, floor_name, page

from bioplaus import data as datasets
from bioplaus.measure import cost, total
from bioplaus.measure.statistics import interval
from bioplaus.study import Arm, Study, defaults, load, run_study
from bioplaus.study.build import build, hold_of
from bioplaus.study.jobs import keep_compilations
from bioplaus.study.results import replacing
from bioplaus.study.spec import arms
from bioplaus.study.tune import FINAL_SEEDS, FINALISTS, SAME_ALGORITHM, tune
from bioplaus.study.tuned import read

HERE = Path(__file__).parent
STUDY, RESULTS, PAGE = (
    HERE / "mnist_rules.toml",
    HERE / "mnist_rules.results.toml",
    HERE / "mnist_rules.md",
)
TRIALS, STEPS = 16, 860


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
        part.write_text(
            page(found, read(defaults.DEFAULTS).scores, names(), TRIALS, STEPS), encoding="utf-8"
        )


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
    """The part of the study with this rule, without the costs of an update."""
    extra = [settings for settings in study.extra if settings["rule"] == rule]
    return study.model_copy(
        update={"base": {**study.base, "energy": False}, "grid": {"rule": [rule]}, "extra": extra}
    )


def trained(study: Study, folder: Path) -> list[tuple[Arm, dict[str, Any]]]:
    """Each arm of a study with its figures. A run that was stopped continues."""
    rows = run_study(study, out=folder, resume=True, show=False).rows
    found = [row for row in rows if (row.condition, row.measure) == ("clean", "accuracy")]
    each, seeds = arms(study), arms(study)[0].seeds
    if len(found) != seeds * len(each):
        raise RuntimeError(
            f"{folder}: {len(found)} accuracies of {len(each)} arms on {seeds} seeds"
        )
    ordered = sorted(each, key=lambda arm: arm.rule != "bp")  # a run trains the arms of bp first
    return [
        (arm, figures_of([100 * row.value for row in found[n * seeds : (n + 1) * seeds]], arm))
        for n, arm in enumerate(ordered)
    ]


def figures_of(values: list[float], arm: Arm) -> dict[str, Any]:
    """The entry of an arm in mnist_rules.results.toml. values: accuracies of its seeds, in %."""
    x = interval(values)
    return {
        "mean": round(float(x.mean), 2),
        "spread": round(float((x.high - x.low) / 2), 2),
        "seeds": list(range(len(values))),
        "accuracy": [round(v, 2) for v in values],
        "settings": settings_of(arm),
        "versions": {name: importlib.metadata.version(name) for name in ("bioplaus", "jax")},
    }


def settings_of(arm: Arm) -> dict[str, Any]:
    """The settings that distinguish the arm from others of the table."""
    optimiser = arm.optimiser.model_dump(mode="json", exclude_defaults=True)
    optimiser["learning_rate"] = arm.optimiser.learning_rate
    return {
        "epochs": arm.epochs,
        "batch_size": arm.batch_size,
        "optimiser": optimiser,
        "hyper": arm.hyper,
    }


def done(rule: str, found: Figures) -> bool:
    """Whether a rule has figures at its present settings, and was tuned by the present method."""
    mine = {name_of(arm): settings_of(arm) for arm in arms(of_rule(load(STUDY), rule))}
    same = all(
        name in found.arms and found.arms[name]["settings"] == settings
        for name, settings in mine.items()
    )
    return same and rule in read(defaults.DEFAULTS).scores


def run(rule: str, out: Path) -> None:
    """Tune a rule, train its arms, and write their figures."""
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
    keep(found)


def run_floor(out: Path) -> None:
    """Train backprop at the learning rates of FLOOR, and write its figures."""
    study = load(STUDY)
    rates = {"rule": ["bp"], "optimiser.learning_rate": [*FLOOR.values()]}
    each = trained(
        of_rule(study, "bp").model_copy(update={"grid": rates, "extra": []}), out / "floor"
    )
    found = figures()
    for (_, entry), name in zip(each, FLOOR, strict=True):
        found.arms[floor_name(name)] = entry
    keep(found)


def seconds() -> dict[str, float]:
    """Rule -> an estimate of the seconds that its row takes.

    The time of an update is that of backprop, measured here, times the ratio of their products.
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
    """The seconds of one step of backprop."""
    study = of_rule(load(STUDY), "bp").model_copy(update={"extra": [], "rules": {}})
    base = {k: v for k, v in study.base.items() if k != "epochs"} | {"points": 1, "seeds": 1}

    def took(steps: int) -> float:
        began = time.process_time()
        run_study(study.model_copy(update={"base": {**base, "steps": steps}}), show=False)
        return time.process_time() - began

    short = min(took(1) for _ in range(2))
    return max(took(steps + 1) - short, 1e-3) / steps


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rules",
        help=("keys separated by commas, run in this order; default: all, the cheapest first"),
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
        help="print which rules are left and an estimate of their time, and stop",
    )
    parser.add_argument(
        "--show", action="store_true", help="write the page again from existing figures, and stop"
    )
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
        print(f"{'total':24} {sum(last[rule] for rule in left) / 3600:6.1f} hours")
        return
    if any(floor_name(rule) not in figures().arms for rule in FLOOR):
        run_floor(args.out)
    for rule in left:
        print(time.strftime("%X"), rule, flush=True)
        run(rule, args.out)


if __name__ == "__main__":
    main()
