"""Tuning: the same number of trials for every rule, on the validation split; its result is bioplaus/defaults.toml.

A trial draws the learning rate of Adam log-uniformly on RATES (it falls to zero along a cosine), and every array hyperparameter
of the rule within a factor of 4 of its default; counts (steps of inference) stay. A rule that presents each batch for some steps
has as many more, so that all see the same batches. All trials and seeds of a rule are one compiled program. Best is the highest
mean validation accuracy over seeds; the test split is never read.
"""

import functools
import inspect
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from bioplaus import data as datasets
from bioplaus.measure.accuracy import accuracy
from bioplaus.net import init
from bioplaus.rules import available
from bioplaus.study.build import build, hold_of
from bioplaus.study.results import replacing
from bioplaus.study.settings import Arm, Study
from bioplaus.study.spec import arms
from bioplaus.train import make_program, seed_keys, seeds_over
from bioplaus.types import Batch, Key, Net, Rule

RATES = (3e-4, 3e-2)
FACTOR = 4.0
OPTIMISER = {"kind": "adam", "schedule": "cosine"}
LARGE = {"net": {"hidden": [256, 256]}, "batch_size": 128}
"""The net and batch of comparisons and tuning on data sets that are downloaded."""
KEYS = {"learning_rate": "optimiser.learning_rate"}
HEAD = "# Written by `bioplaus tune`: the same trials for every rule, on the validation split. Not edited by hand.\n\n"


def tune(
    rules: Sequence[str],
    *,
    data: str = "digits",
    trials: int = 24,
    seeds: int = 3,
    steps: int = 1000,
    epochs: int = 10,
    out: Path | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """rule -> its best settings, as a study's [rules] takes them. Raises StudyError for what is not there.

    epochs: how long the settings are to be used, written with them. out: the file to write, after each rule; rules that it has at
    the same budget are kept, and a run that was stopped goes on.
    """
    budget = {"data": data, "trials": trials, "seeds": seeds, "steps": steps}
    found = _written(out, budget) if out else {}
    use = datasets.load(data)
    base: dict[str, Any] = {"data": data, "steps": steps, "seeds": seeds, "optimiser": OPTIMISER}
    if data != "digits":
        base |= LARGE
    for rule in [rule for rule in rules if rule not in found]:
        (arm,) = arms(Study(name="tune", base={**base, "rule": rule}))
        draws = search(rule, trials)
        scores = np.asarray(_scores(arm, use, draws))
        mean = np.where(np.isfinite(scores).all(1), scores.mean(1), -1.0)
        best = int(mean.argmax())
        chosen = {name: float(f"{values[best]:.3g}") for name, values in draws.items()}
        rate = chosen.pop("learning_rate")
        found[rule] = {"epochs": epochs, "optimiser": {**OPTIMISER, "learning_rate": rate}, "hyper": chosen}
        say(f"{rule:8} validation {mean[best]:.4f}  learning rate {rate:g}  {chosen or ''}")
        if out:
            _write(out, found, budget)
    return found


def search(rule: str, trials: int) -> dict[str, np.ndarray]:
    """Name -> one value a trial; the first trial is the rule as it comes. The draws depend on the rule's names alone."""
    default = Arm(rule=rule).optimiser.learning_rate
    hyper = {
        n: p.default
        for n, p in inspect.signature(available()[rule]).parameters.items()
        if p.annotation == ArrayLike and p.default
    }
    draw = np.random.default_rng(0)
    low, high = np.log(RATES)
    rates = np.exp(draw.uniform(low, high, trials))
    found = {"learning_rate": np.concatenate([[default], rates[1:]])}
    for name, value in hyper.items():
        spread = np.exp(draw.uniform(-np.log(FACTOR), np.log(FACTOR), trials))
        found[name] = value * np.concatenate([[1.0], spread[1:]])
    return found


def _scores(arm: Arm, use: datasets.Dataset, draws: dict[str, np.ndarray]) -> jax.Array:
    """Validation accuracy [trials, seeds]."""
    example, classes = use.train.x[:1], use.train.y.shape[-1]
    over = seeds_over(jax.eval_shape(lambda: init(build(arm, example, classes).net, jax.random.key(0), example)))

    def made(values: Mapping[str, Any]) -> tuple[Net, Rule, optax.GradientTransformation]:
        built = build(arm, example, classes, values=values)
        return built.net, built.rule(built.net), built.tx

    hold = hold_of(arm)
    program = make_program(lambda values, step: made(values), batch_size=arm.batch_size, hold=hold)

    def run(values: Mapping[str, Any], key: Key, train_data: Batch, validation: Batch) -> jax.Array:
        state, _ = program.advance(program.init(key, train_data, values), train_data, values, arm.steps * hold)
        return accuracy(made(values)[1].predict(state.params, state.rule, validation.x, key), validation.y)

    @jax.jit
    def every(values, keys, train_data, validation):
        each = functools.partial(run, train_data=train_data, validation=validation)
        return jax.lax.map(lambda v: over(lambda k: each(v, k))(keys), values)

    values = {KEYS.get(n, f"hyper.{n}"): jnp.asarray(v, jnp.float32) for n, v in draws.items()}
    return every(values, seed_keys(arm.seeds), *jax.tree.map(jnp.asarray, (use.train, use.validation)))


def _written(path: Path, budget: dict[str, Any]) -> dict[str, Any]:
    """The settings in a file that `tune` wrote with this budget; none if there is no such file."""
    found = tomllib.loads(path.read_text()) if path.exists() else {}
    return found["rules"] if found.get("budget") == budget else {}


def _write(path: Path, settings: dict[str, Any], budget: dict[str, Any]) -> None:
    """Write settings as defaults.toml has them: [budget], and [rules] as in a study file."""
    import tomli_w

    with replacing(path) as part:
        part.write_text(HEAD + tomli_w.dumps({"budget": budget, "rules": settings}))
