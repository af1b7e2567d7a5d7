"""Continual learning of the rules on split and permuted tasks, in three scenarios.

    python experiments/continual.py [--data mnist] [--tasks split] [--scenario task domain class]
        [--rules bp,fa,dfa]
                                    [--steps 2000] [--seeds 5] [--examples N] [--out continual.csv]

Split: five tasks of two classes, 2,000 steps each; permuted: ten tasks (use --steps 5000).
784-400-400-C, ReLU, batch 128, Adam at 1e-3, as in van de Ven, Tuytelaars, Tolias, 2022 (for
permuted tasks they take 1,000 units and 1e-4). Two references are printed: `none`, which learns one
task after the other and does nothing against forgetting, is the lower one; `joint`, which learns
all tasks at once for as many steps in all, is the upper one. One program trains and tests a rule on
all tasks, for all seeds.

A short run:

    python experiments/continual.py --scenario domain class --rules bp --steps 150 --seeds 2

gave, in percent: domain-incremental, none 56.9 and joint 98.3; class-incremental, none 19.5 (it
answers with the last two classes only: forgetting 99.2) and joint 96.9.
"""

import argparse
import csv
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import bioplaus as bp
from bioplaus.data.tasks import SCENARIOS, Tasks, permuted, split
from bioplaus.measure import accuracy
from bioplaus.measure.continual import Continual, continual
from bioplaus.measure.statistics import interval
from bioplaus.train import make_program, seed_keys


def masked(mask):
    """Cross entropy among the outputs that may answer."""

    @bp.outputs_are("logits")
    def loss(output, y):
        return bp.cross_entropy(jnp.where(mask > 0, output, -1e9), y)

    return loss


def run(
    factory,
    net,
    tasks: Tasks,
    *,
    steps: int,
    seeds: int,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
):
    """Accuracies of one rule at the start, after each task, and after joint training.

    Their shapes are [S, T], [S, T, T] and [S, T], for S seeds and T tasks.
    """
    tx = optax.adam(learning_rate)
    count, size = len(tasks.mask), tasks.train.x.shape[1]
    train, test = (jax.tree.map(jnp.asarray, part) for part in (tasks.train, tasks.test))
    mask = jnp.asarray(tasks.mask)
    # joint: all tasks in one
    pool = jax.tree.map(lambda a: a.reshape(count * size, *a.shape[2:]), train)
    of_class = mask.T @ mask  # above 0 for the outputs that may answer where the class is [C, C]

    @bp.outputs_are("logits")
    def by_example(output, y):
        return masked(y @ of_class)(output, y)

    in_task = make_program(
        lambda m, step: (net, factory(net, masked(m)), tx), batch_size=batch_size
    )
    jointly = make_program(
        lambda _, step: (net, factory(net, by_example), tx), batch_size=batch_size
    )

    def tested(state):
        """Accuracy on each task [T], among the outputs that may answer in it."""
        predict = factory(net, bp.cross_entropy).predict

        def each(task):
            x, y, m = task
            output = predict(state.params, state.rule, x, state.key)
            return accuracy(jnp.where(m > 0, output, -jnp.inf), y)

        return jax.lax.map(each, (test.x, test.y, mask))

    def one(key, train, pool):
        state = in_task.init(key, jax.tree.map(lambda a: a[0], train), mask[0])

        def task(state, xs):
            data, m = xs
            state, _ = in_task.advance(state, data, m, steps)
            return state, tested(state)

        r = jax.lax.scan(task, state, (train, mask))[1]
        end, _ = jointly.advance(state, pool, (), steps * count)
        return tested(state), r, tested(end)

    return jax.tree.map(
        np.asarray,
        jax.jit(lambda keys, *data: jax.lax.map(lambda k: one(k, *data), keys))(
            seed_keys(seeds), train, pool
        ),
    )


def report(name: str, start, r, joint) -> list[Continual]:
    """Each seed's measures; printed as means with their intervals, in percent."""
    found = [continual(*each) for each in zip(r, start, joint, strict=True)]
    for row, table in (
        ("none", {m: [getattr(f, m) for f in found] for m in Continual._fields}),
        ("joint", {"acc": joint.mean(1)}),
    ):
        # others are differences of accuracies
        least = {m: 0.0 if m in ("acc", "plasticity") else -100.0 for m in table}
        each = {
            m: interval(100 * np.asarray(values), bounds=(least[m], 100.0))
            for m, values in table.items()
        }
        said = "  ".join(
            f"{m} {float(x.mean):.1f} [{float(x.low):.1f}, {float(x.high):.1f}]"
            for m, x in each.items()
        )
        print(f"{name:8} {row:5} {said}", flush=True)
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--tasks", choices=("split", "permuted"), default="split")
    parser.add_argument("--scenario", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--rules", default="bp,fa,dfa")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--units", type=int, default=400)
    parser.add_argument("--examples", type=int)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    data, rows = bp.data.load(args.data), []
    for scenario in args.scenario if args.tasks == "split" else ["domain"]:
        tasks = (
            split(data, scenario)
            if args.tasks == "split"
            else permuted(data, 10, examples=args.examples)
        )
        print(tasks.name)
        net = bp.mlp(
            [data.train.x[0].size, args.units, args.units, tasks.train.y.shape[-1]], bp.relu()
        )
        for name in args.rules.split(","):
            start, r, joint = run(
                bp.rules.RULES[name], net, tasks, steps=args.steps, seeds=args.seeds
            )
            for seed, found in enumerate(report(name, start, r, joint)):
                rows += [
                    (tasks.name, name, seed, measure, value)
                    for measure, value in found._asdict().items()
                ]
                rows.append((tasks.name, name, seed, "joint acc", joint[seed].mean()))
    if args.out:
        with args.out.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("tasks", "rule", "seed", "measure", "value"), *rows])


if __name__ == "__main__":
    main()
