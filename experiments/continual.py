"""Continual learning of the rules on split and permuted tasks, in three scenarios.

    python experiments/continual.py [--data mnist] [--tasks split] [--count 10]
        [--scenario task domain class] [--rules bp,fa,dfa] [--steps 2000] [--seeds 5] [--units 400]
        [--examples N] [--modulator unmodulated context_gating] [--keep 0.2]
        [--told right one wrong] [--stabilise 0.1] [--no-joint] [--out continual.csv]

Split: five tasks of two classes, 2,000 steps each; permuted: ten tasks (use --steps 5000).
784-400-400-C, ReLU, batch 128, Adam at 1e-3, as in van de Ven, Tuytelaars, Tolias, 2022 (for
permuted tasks they take 1,000 units and 1e-4). Two references are printed: `none`, which learns one
task after the other, is the lower one; `joint`, which learns all tasks at once for as many steps in
all, is the upper one. One program trains and tests a rule on all tasks, for all seeds.

Against forgetting: --modulator context_gating lets a fixed random part of the hidden units take
part in each task (XdG); --stabilise holds synapses that mattered (synaptic intelligence). Controls
of the former, by --told: one, all tasks are told that they are the first, and so use one mask;
wrong, each is told that it is the next one when it is tested. With several conditions the
difference to the first one is printed too, in pairs of seeds.

A short run:

    python experiments/continual.py --scenario domain class --rules bp --steps 150 --seeds 2

gave, in percent: domain-incremental, none 56.9 and joint 98.3; class-incremental, none 19.5 (it
answers with the last two classes only: forgetting 99.2) and joint 96.9.

Context gating:

    python experiments/continual.py --data digits --scenario task --rules bp,dfa --steps 300
        --units 128 --batch 64 --modulator unmodulated context_gating --told right one wrong
        --no-joint
    python experiments/continual.py --scenario task --rules bp --steps 300
        --units 200 --batch 64 --modulator unmodulated context_gating --told right one wrong
        --no-joint

gave, accuracy on all tasks after the last one in percent, mean [95 % interval over 5 seeds], keep
0.2 as in the paper:

                          digits, bp         digits, dfa        MNIST, bp
    no gating             90.2 [86.6, 93.9]  98.1 [96.9, 99.4]  94.9 [93.3, 96.5]
    context gating        99.6 [99.1, 100]   99.3 [98.7, 99.8]  99.0 [98.7, 99.3]
    one mask for all      85.8 [83.1, 88.6]  88.5 [81.9, 95.1]  88.8 [85.8, 91.9]
    wrong task told       57.5 [49.8, 65.2]  59.9 [51.9, 67.9]  66.1 [54.9, 77.2]

Gating is above no gating in 5 of 5 pairs of seeds in each column. Synaptic intelligence on digits
under bp (--stabilise 10): 98.6 [97.7, 99.5] without gating, 100.0 [100.0, 100.0] with it, in 5 of 5
pairs. papers/masse2018 has permuted MNIST.
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
from bioplaus.modulators import available, context_gating, modulate
from bioplaus.optim import consolidated, synaptic_intelligence
from bioplaus.train import make_program, seed_keys


def masked(mask):
    """Cross entropy among the outputs that may answer."""

    @bp.outputs_are("logits")
    def loss(output, y):
        return bp.cross_entropy(jnp.where(mask > 0, output, -1e9), y)

    return loss


def told(tasks: Tasks, how: str) -> Tasks:
    """The tasks, whose context tells their number, the same number for all, or at the test that of
    the next task: right, one, wrong.
    """
    change = {
        "right": lambda numbers, testing: numbers,
        "one": lambda numbers, testing: 0 * numbers,
        "wrong": lambda numbers, testing: (numbers + testing) % len(tasks.mask),
    }[how]
    train, test = (
        part._replace(context={"task": change(part.context["task"], testing)})
        for part, testing in ((tasks.train, 0), (tasks.test, 1))
    )
    return tasks._replace(train=train, test=test)


def run(
    factory,
    net,
    tasks: Tasks,
    *,
    steps: int,
    seeds: int,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    stabilise: float = 0.0,
    joint: bool = True,
):
    """Accuracies of one rule at the start, after each task, and after joint training.

    Their shapes are [S, T], [S, T, T] and [S, T], for S seeds and T tasks. stabilise: strength of
    synaptic intelligence, which joint training does without. joint: whether to train jointly, for
    which there is NaN otherwise.
    """
    adam = optax.adam(learning_rate)
    tx = synaptic_intelligence(adam, stabilise) if stabilise else adam
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
        lambda _, step: (net, factory(net, by_example), adam), batch_size=batch_size
    )

    def tested(state):
        """Accuracy on each task [T], among the outputs that may answer in it."""
        predict = factory(net, bp.cross_entropy).predict

        def each(task):
            data, m = task
            output = predict(state.params, state.rule, data.x, state.key, data.context)
            return accuracy(jnp.where(m > 0, output, -jnp.inf), data.y)

        return jax.lax.map(each, (test, mask))

    def one(key, train, pool):
        state = in_task.init(key, jax.tree.map(lambda a: a[0], train), mask[0])

        def task(state, xs):
            data, m = xs
            state, _ = in_task.advance(state, data, m, steps)
            if stabilise:
                state = state._replace(opt=consolidated(state.opt, state.params))
            return state, tested(state)

        r = jax.lax.scan(task, state, (train, mask))[1]
        if not joint:
            return tested(state), r, jnp.full(count, jnp.nan)
        fresh = jointly.init(key, jax.tree.map(lambda a: a[0], train), ())
        end, _ = jointly.advance(fresh, pool, (), steps * count)
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
    rows = {"none": {m: [getattr(f, m) for f in found] for m in Continual._fields}}
    rows["joint"] = {"acc": joint.mean(1)}
    for row, table in rows.items():
        known = {m: np.asarray(a) for m, a in table.items() if not np.isnan(a).any()}
        # others are differences of accuracies
        least = {m: 0.0 if m in ("acc", "plasticity") else -100.0 for m in known}
        each = {m: interval(100 * a, bounds=(least[m], 100.0)) for m, a in known.items()}
        said = "  ".join(
            f"{m} {float(x.mean):.1f} [{float(x.low):.1f}, {float(x.high):.1f}]"
            for m, x in each.items()
        )
        if said:
            print(f"{name:8} {row:5} {said}", flush=True)
    return found


def against(first: list[Continual], found: list[Continual]) -> None:
    """Prints the difference of ACC in pairs of seeds, in percent."""
    pairs = 100 * np.array([b.acc - a.acc for a, b in zip(first, found, strict=True)])
    x = interval(pairs, bounds=(-100.0, 100.0))
    print(
        f"{'':8} acc against the first {float(x.mean):+.1f} [{float(x.low):.1f},"
        f" {float(x.high):.1f}], {(pairs > 0).sum()} of {len(pairs)} pairs of seeds above 0",
        flush=True,
    )


def compare(name: str, net, tasks: Tasks, args: argparse.Namespace) -> list[tuple]:
    """Trains a rule under each modulator, as the tasks are told to it. Rows of the csv file."""
    rows, first = [], None
    for kind in args.modulator:
        gating = kind == "context_gating"
        modulator = (
            context_gating(len(tasks.mask), keep=args.keep) if gating else available()[kind]()
        )
        for how in args.told if gating else ["right"]:
            start, r, joint = run(
                modulate(bp.rules.RULES[name], modulator),
                net,
                told(tasks, how),
                steps=args.steps,
                seeds=args.seeds,
                batch_size=args.batch,
                stabilise=args.stabilise,
                joint=args.joint,
            )
            print(f"{name}, {kind}" + (f", keep {args.keep}, told {how}" if gating else ""))
            found = report(name, start, r, joint)
            if first is not None:
                against(first, found)
            first = first or found
            key = (tasks.name, name, kind, how, args.stabilise)
            for seed, measures in enumerate(found):
                rows += [(*key, seed, m, value) for m, value in measures._asdict().items()]
                rows.append((*key, seed, "joint acc", joint[seed].mean()))
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--tasks", choices=("split", "permuted"), default="split")
    parser.add_argument("--count", type=int, default=10, help="number of permuted tasks")
    parser.add_argument("--scenario", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--rules", default="bp,fa,dfa")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--units", type=int, default=400)
    parser.add_argument("--examples", type=int)
    parser.add_argument(
        "--modulator", nargs="+", choices=sorted(available()), default=["unmodulated"]
    )
    parser.add_argument("--keep", type=float, default=0.2)
    parser.add_argument("--told", nargs="+", choices=("right", "one", "wrong"), default=["right"])
    parser.add_argument("--stabilise", type=float, default=0.0)
    parser.add_argument("--no-joint", action="store_false", dest="joint")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    data, rows = bp.data.load(args.data), []
    for scenario in args.scenario if args.tasks == "split" else ["domain"]:
        tasks = (
            split(data, scenario)
            if args.tasks == "split"
            else permuted(data, args.count, examples=args.examples)
        )
        print(tasks.name)
        net = bp.mlp(
            [data.train.x[0].size, args.units, args.units, tasks.train.y.shape[-1]], bp.relu()
        )
        for name in args.rules.split(","):
            rows += compare(name, net, tasks, args)
    if args.out:
        head = ("tasks", "rule", "modulator", "told", "stabilise", "seed", "measure", "value")
        with args.out.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([head, *rows])


if __name__ == "__main__":
    main()
