"""Three tasks of Bellec et al., 2020, under e-prop and backprop through time.

    python papers/bellec2020/run.py [--tasks evidence,recall,pattern] [--seeds 5] [--steps N]
        [--out papers/bellec2020/results.csv]

evidence: on which side were more of seven cues, asked 600 ms after the last. recall: which value
was shown with the store command. pattern: three sums of sines, from an input that tells the time.
Tested on trials that are new, but for `pattern`, whose trial is one.
"""

import argparse
import csv
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import bioplaus as bp
from bioplaus.data.patterns import pattern_generation
from bioplaus.data.recall import evidence_accumulation, store_recall
from bioplaus.types import Batch, Loss, Neuron, Rule

TAU, TAU_ADAPT, BETA = 20.0, 1_000.0, 0.3
WEIGHTS = jax.nn.initializers.variance_scaling(1.5, "fan_in", "normal")
RULES: dict[str, Callable[..., Rule]] = {
    "bptt": bp.rules.backprop,
    "bptt, truncated": bp.rules.backprop,
    "e-prop, random": bp.rules.eprop,
    "e-prop, symmetric": functools.partial(bp.rules.eprop, symmetric=True),
    "e-prop, adaptive": functools.partial(bp.rules.eprop, adaptive=True),
    "frozen": bp.rules.readout_only,
}
HORIZONS = {"bptt, truncated": 50}
"""Moments of a stretch within which gradients pass."""
NEURONS: dict[str, Neuron] = {"ALIF": bp.alif(TAU, TAU_ADAPT, BETA), "LIF": bp.lif(TAU)}


class Task(NamedTuple):
    """data, test: trials. loss: at each asked moment. rate: learning rate. score: (answers of all
    moments, test) -> what the table says."""

    data: Batch
    test: Batch
    dt: float
    loss: Loss
    rate: float
    batch: int
    steps: int
    score: Callable[[jax.Array, Batch], jax.Array]


def accuracy(answers: jax.Array, test: Batch) -> jax.Array:
    """% of trials whose mean answer of the asked moments is right."""
    asked = jnp.asarray(test.asked)[..., None]
    right = jnp.where(asked, test.y, 0).sum(1).argmax(-1)
    return 100 * (jnp.where(asked, answers, 0).sum(1).argmax(-1) == right).mean()


def normalised_mse(answers: jax.Array, test: Batch) -> jax.Array:
    """Squared error over the variance of the pattern, mean over outputs."""
    y = jnp.asarray(test.y)
    error = ((answers - y) ** 2).mean((0, 1))
    return (error / y.var((0, 1))).mean()


def task(name: str) -> Task:
    if name == "evidence":
        make = functools.partial(evidence_accumulation, delay=600.0, dt=5.0)
        return Task(make(2000, 0), make(500, 1), 5.0, bp.cross_entropy, 0.01, 64, 300, accuracy)
    if name == "recall":
        make = functools.partial(store_recall, dt=5.0)
        return Task(make(2000, 0), make(500, 1), 5.0, bp.cross_entropy, 0.01, 64, 300, accuracy)
    trial = pattern_generation(1, 0)
    return Task(trial, trial, 1.0, bp.mse, 0.005, 1, 1000, normalised_mse)


def trained(task: Task, rule: str, neuron: str, seeds: int, steps: int) -> np.ndarray:
    """The score of each seed."""
    outputs = task.data.y.shape[-1]
    hidden = bp.dense(100, NEURONS[neuron], weights=WEIGHTS)
    readout = bp.dense(outputs, bp.leaky(TAU), weights=WEIGHTS)
    net = (
        bp.recurrent(
            hidden, bp.dense(100, weights=WEIGHTS), dt=task.dt, horizon=HORIZONS.get(rule)
        ),
        bp.over_time(readout, dt=task.dt),
    )
    schedule = optax.cosine_decay_schedule(task.rate, steps)
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))
    learner = RULES[rule](net, bp.at_each_moment(task.loss))
    run = bp.replicate(bp.make_train(net, learner, tx, task.data, batch_size=task.batch))
    state, _ = run.advance(run.init(bp.seed_keys(seeds)), steps)

    @jax.jit
    def scored(params: Any) -> jax.Array:
        answers = bp.forward(net, params, jnp.asarray(task.test.x), jax.random.key(0)).output
        return task.score(answers, task.test)

    return np.asarray(jax.vmap(scored)(state.params))


def rows(names: list[str], seeds: int, steps: int | None) -> Iterator[dict[str, Any]]:
    for name in names:
        chosen = task(name)
        for neuron in NEURONS:
            for rule in RULES:
                if rule in HORIZONS and name != "pattern":
                    continue  # the other two tasks train without
                scores = trained(chosen, rule, neuron, seeds, steps or chosen.steps)
                shown = f"{scores.mean():.3g} ({scores.min():.3g} to {scores.max():.3g})"
                print(f"{name:9} {neuron:5} {rule:18} {shown}", flush=True)
                for seed, score in enumerate(scores):
                    yield {
                        "task": name,
                        "neuron": neuron,
                        "rule": rule,
                        "seed": seed,
                        "score": round(float(score), 5),
                    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default="evidence,recall,pattern")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=None, help="other than the task's own")
    parser.add_argument("--out", type=Path, default=None, help="a table of all seeds")
    args = parser.parse_args()
    found = list(rows(args.tasks.split(","), args.seeds, args.steps))
    if args.out:
        with args.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(found[0]))
            writer.writeheader()
            writer.writerows(found)


if __name__ == "__main__":
    main()
