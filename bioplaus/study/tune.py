"""Tunes rules, with the same number of trials for each; the result is bioplaus/defaults.toml.

A trial draws the learning rate of Adam log-uniformly from RATES; it falls to zero along a cosine.
It also draws every array hyperparameter of the rule log-uniformly within a factor of 4 of its
default. Counts, such as steps of inference, keep their defaults. A rule that presents each batch
for several steps gets that many times more steps, so that all rules see the same batches.

The FINALISTS best trials, by mean validation accuracy, are then run on FINAL_SEEDS seeds that no
trial used, and the best mean over these wins. The new seeds are needed because the best of many
trials owes part of its score to its seeds. The test split is never read.
"""

import functools
import importlib.metadata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bioplaus import data as datasets
from bioplaus.batches import asking, one_answer
from bioplaus.data.fetch import FOLDERS
from bioplaus.hyper import hyperparameters
from bioplaus.measure.accuracy import accuracy
from bioplaus.net import init
from bioplaus.rules import available
from bioplaus.study.build import build, hold_of, runnable
from bioplaus.study.sequences import in_moments, net_kind, spiking_settings
from bioplaus.study.settings import Arm, Study, StudyError
from bioplaus.study.sizes import check_size
from bioplaus.study.spec import arms
from bioplaus.study.tuned import Budget, Scores, Tuned, opened, write
from bioplaus.training.program import make_program
from bioplaus.training.seeds import seed_key, seed_keys, seeds_over
from bioplaus.types import Batch, Key, Net, Rule

RATES = (3e-4, 3e-2)
FACTOR = 4.0
MAX_TRIALS = 10_000  # a larger number is taken for a mistake
OPTIMISER = {"kind": "adam", "schedule": "cosine"}
DOWNLOADED_DATA_SETTINGS = {"net": {"hidden": [256, 256]}, "batch_size": 128}
"""The net and batch size of comparisons and tuning on data sets that are downloaded."""
FINALISTS, FINAL_SEEDS = 3, 3
SAME_ALGORITHM = {"zil": "bp", "fpa": "bp"}
"""Rule -> the rule that computes the same updates, and whose tuned settings it takes.

If both were tuned, their settings would differ by chance alone.
"""
KEYS = {"learning_rate": "optimiser.learning_rate"}


def tune(
    rules: Sequence[str],
    *,
    data: str = "digits",
    net: str | None = None,
    trials: int = 24,
    seeds: int = 3,
    steps: int = 1000,
    epochs: int = 10,
    out: Path | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Tune rules. Returns rule -> its best settings, in the form of [rules] in a study.

    net: None for spiking if the data are sequences, else mlp; spiking is the net of
    `bioplaus.study.sequences.spiking_settings`. epochs: written with the settings, as the length of
    trainings that use them. out: the file to write after each rule, see `bioplaus.study.tuned`;
    rules that have scores in it are not tuned again, so that a run that was stopped can be resumed.
    say: prints a line for each rule. Raises StudyError, before any work, for an unknown rule or
    net, for a rule that refuses the net, and for a file that has another budget, is not one of
    `bioplaus tune`, or cannot be written.
    """
    if not 1 <= trials <= MAX_TRIALS:
        raise StudyError(f"trials: got {trials}, expected 1 to {MAX_TRIALS:,} for each rule")
    finalists, net = min(FINALISTS, trials), net_kind(net, data)
    budget = Budget(
        data=data,
        net=net,
        trials=trials,
        seeds=seeds,
        steps=steps,
        finalists=finalists,
        final_seeds=FINAL_SEEDS,
    )
    wanted = [
        *dict.fromkeys(one for rule in rules for one in (SAME_ALGORITHM.get(rule, rule), rule))
    ]
    use, arm_of = _arms(wanted, data, net, {"steps": steps, "seeds": seeds})
    found = opened(out, budget) if out else Tuned(budget=budget)
    for rule in [rule for rule in wanted if rule not in found.scores]:
        if rule in SAME_ALGORITHM:
            settings, scores = found.rules[SAME_ALGORITHM[rule]], Scores(like=SAME_ALGORITHM[rule])
        else:
            settings, scores = best(arm_of[rule], use, trials, finalists)
        settings = {"epochs": epochs} | settings
        found = found.model_copy(
            update={
                "rules": {**found.rules, rule: settings},
                "scores": {**found.scores, rule: scores},
            }
        )
        say(_line(rule, settings, scores))
        if out:
            write(out, found)
    return {rule: found.rules[rule] for rule in rules}


def _arms(
    rules: Sequence[str], data: str, net: str, budget: Mapping[str, Any]
) -> tuple[datasets.Dataset, dict[str, Arm]]:
    """The data, and rule -> the arm that its trials vary, checked as far as possible."""
    base: dict[str, Any] = {"data": data, "optimiser": OPTIMISER, **budget}
    base |= DOWNLOADED_DATA_SETTINGS if data in FOLDERS else {}
    # names are checked before data are read
    arms(Study(name="tune", base=base, grid={"rule": [*rules]}))
    use = datasets.load(data)
    if net == "spiking":
        settings = spiking_settings(use)
        base |= settings | {"optimiser": settings["optimiser"] | OPTIMISER}
    found = arms(Study(name="tune", base=base, grid={"rule": [*rules]}))
    arm_of = {arm.rule: in_moments(arm, use) for arm in found}
    for arm in arm_of.values():
        check_size(arm, use)
        runnable(arm, use)
    return use, arm_of


def best(
    arm: Arm, use: datasets.Dataset, trials: int, finalists: int
) -> tuple[dict[str, Any], Scores]:
    """The best settings of the arm's rule, and the scores of its trials."""
    draws = {
        name: [float(f"{v:.3g}") for v in values]
        for name, values in search(arm.rule, trials).items()
    }
    score = _scorer(arm, use)

    def run(trial: int, keys: Key) -> np.ndarray:
        accuracies = np.asarray(
            score({KEYS.get(n, f"hyper.{n}"): values[trial] for n, values in draws.items()}, keys)
        )
        return np.where(np.isfinite(accuracies), accuracies, 0.0)

    keys = seed_keys(arm.seeds + FINAL_SEEDS)
    first = [float(run(t, keys[: arm.seeds]).mean()) for t in range(trials)]
    order = sorted(range(trials), key=lambda t: -first[t])[:finalists]
    final = {t: run(t, keys[arm.seeds :]) for t in order}
    order = sorted(order, key=lambda t: -final[t].mean())
    chosen = {name: values[order[0]] for name, values in draws.items()}
    settings = {
        "optimiser": {**OPTIMISER, "learning_rate": chosen.pop("learning_rate")},
        "hyper": chosen,
    }
    return settings, Scores(
        searched=tuple(draws),
        trials=_short(first),
        finalists=tuple(order),
        seeds=tuple(range(arm.seeds, arm.seeds + FINAL_SEEDS)),
        final=tuple(_short(final[t]) for t in order),
        mean=_short([final[order[0]].mean()])[0],
        spread=_short([final[order[0]].std(ddof=1)])[0],
        versions={name: importlib.metadata.version(name) for name in ("bioplaus", "jax")},
    )


def _short(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(round(float(v), 5) for v in values)


def _line(rule: str, settings: Mapping[str, Any], scores: Scores) -> str:
    rate, hyper = settings["optimiser"]["learning_rate"], settings["hyper"]
    if scores.like:
        return (
            f"{rule:8} computes the same updates as {scores.like}, and takes its settings: learning"
            f" rate {rate:g}"
        )
    runner = (
        f", second best {sum(scores.final[1]) / len(scores.final[1]):.4f}"
        if len(scores.final) > 1
        else ""
    )
    return (
        f"{rule:8} validation {scores.mean:.4f} +- {scores.spread:.4f}{runner}  learning rate"
        f" {rate:g}  {hyper or ''}"
    )


def search(rule: str, trials: int) -> dict[str, np.ndarray]:
    """Name of a hyperparameter -> its value in each trial.

    The first trial has the default values. Rules with equal hyperparameters get equal draws.
    """
    default = Arm(rule=rule).optimiser.learning_rate
    hyper = {
        n: h.default
        for n, h in hyperparameters(available()[rule]).items()
        if h.traced and not h.optional and h.default
    }
    draw = np.random.default_rng(0)
    low, high = np.log(RATES)
    rates = np.exp(draw.uniform(low, high, trials))
    found = {"learning_rate": np.concatenate([[default], rates[1:]])}
    for name, value in hyper.items():
        spread = np.exp(draw.uniform(-np.log(FACTOR), np.log(FACTOR), trials))
        found[name] = value * np.concatenate([[1.0], spread[1:]])
    return found


def _scorer(arm: Arm, use: datasets.Dataset) -> Callable[[Mapping[str, float], Key], jax.Array]:
    """(values of settings, keys [S] of S seeds) -> validation accuracy [S].

    It is one compiled program for all trials.
    """
    example, classes = use.train.x[:1], use.train.y.shape[-1]
    over = seeds_over(
        jax.eval_shape(lambda: init(build(arm, example, classes).net, seed_key(0), example))
    )

    loss = build(arm, example, classes).loss

    def made(values: Mapping[str, Any]) -> tuple[Net, Rule, optax.GradientTransformation]:
        built = build(arm, example, classes, values=values)
        return built.net, built.rule(built.net), built.tx

    hold = hold_of(arm)
    program = make_program(lambda values, step: made(values), batch_size=arm.batch_size, hold=hold)

    def run(values: Mapping[str, Any], key: Key, train_data: Batch, validation: Batch) -> jax.Array:
        state, _ = program.advance(
            program.init(key, train_data, values), train_data, values, arm.steps * hold
        )
        answer = asking(made(values)[1].predict, validation)(
            state.params, state.rule, validation.x, key
        )
        return accuracy(answer, one_answer(validation), loss)

    @jax.jit
    def every(values, keys, train_data, validation):
        return over(functools.partial(run, values, train_data=train_data, validation=validation))(
            keys
        )

    data = jax.tree.map(jnp.asarray, (use.train, use.validation))
    return lambda values, keys: every({n: jnp.float32(v) for n, v in values.items()}, keys, *data)
