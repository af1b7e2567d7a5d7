"""Features or copies? What 64 noisy units are best used for: many features, or copies of few.

    python experiments/redundancy.py [--seeds 10] [--steps 600] [--rule bp] [--out redundancy.csv]

A hidden layer of 64 tanh units on the digits has D = 64 / R features, and R copies of each, with
the same weights; the readout takes the mean of the copies. Every unit has noise of its own,

    h_i = f(a_i) + sigma (sqrt(1 - c) xi_i + sqrt(c) xi'_j),

where j is the feature of unit i, and c the correlation of the noise of copies; or each unit is dead
with a probability. Training: 600 steps of batch 64, Adam at 0.01, without noise, or with the noise
of the test. In training the R copies are one unit with noise of sigma / sqrt(R), which is that of
their mean; tests have all 64 units. All seeds and levels of noise of one R train in one program.

It gave, in 40 seconds of one core, of ten seeds: the R whose mean accuracy is best, and the mean
and 95 % interval (of log R) of the best R of each seed

    sigma  noise at test alone    trained with the noise  noise shared    correlation of copies 0.2
    0       1:  1.1 [0.9, 1.3]    1: 1.1 [0.9, 1.3]       1: 1.1 [0.9, 1.3]   1: 1.1 [0.9, 1.3]
    0.5     4:  2.3 [1.4, 3.8]    2: 2.5 [1.5, 3.9]       1: 1.1 [0.9, 1.3]   2: 2.1 [1.3, 3.5]
    1       8:  6.1 [4.7, 7.8]    4: 2.3 [1.4, 3.8]       1: 1.0 [1.0, 1.0]   2: 2.3 [1.9, 2.8]
    2       8:  9.8 [7.8, 12.5]   4: 3.7 [2.4, 5.8]       1: 1.0 [1.0, 1.0]   2: 2.3 [1.9, 2.8]
    4      16: 12.1 [9.4, 15.7]   8: 5.3 [3.7, 7.5]       1: 1.0 [1.0, 1.0]   2: 1.5 [1.2, 2.0]

and for a share of dead units of 0, 0.25, 0.5 and 0.75: 1, 1, 4, 4.

The more noise, the more copies pay, as long as copies have noise of their own. At sigma = 2 eight
copies (the number that five other seeds chose) are 15.7 [14.1, 17.2] points better than none, 75.9
against 60.2 %. A net of 64 features that was trained with the noise reaches 82.0 %: training makes
its own redundancy, better than copies do, and copies then add 1.6 [0.5, 2.7] (R = 4). Noise that
copies share they cannot average, and features are all that helps; at a correlation of 0.2 more than
two copies cost more than they bring.

    python experiments/redundancy.py --rule dfa

gave 1, 4, 4, 8, 8 at test alone, 1, 1, 1, 2, 4 trained with the noise, and 1 throughout for shared
noise.
"""

import argparse
import csv
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import bioplaus as bp
from bioplaus.measure.statistics import interval
from bioplaus.train import seed_keys

UNITS, COPIES = 64, (1, 2, 4, 8, 16, 32)
SIGMAS, DEAD = (0.0, 0.5, 1.0, 2.0, 4.0), (0.0, 0.25, 0.5, 0.75)
BATCH, DRAWS, CHOOSING = 64, 5, 5


def images():
    """Train and test batches of the digits, flat."""
    data = bp.data.load("digits")
    return [
        bp.Batch(jnp.asarray(part.x).reshape(len(part.x), -1), jnp.asarray(part.y))
        for part in (data.train, data.test)
    ]


def trained(rule_key: str, copies: int, keys, train: bp.Batch, steps: int):
    """Params of nets with UNITS / copies features, [levels of noise, seeds, ...]."""

    def learn(sigma, key):
        neuron = bp.gaussian(bp.tanh(), sigma / np.sqrt(copies))
        net = (bp.dense(UNITS // copies, neuron), bp.dense(train.y.shape[1]))
        rule, tx = bp.rules.RULES[rule_key](net, bp.cross_entropy), optax.adam(1e-2)
        params = bp.init(net, key, train.x)
        start = params, rule.init(key, params, train), tx.init(params)

        def step(carry, t):
            params, state, opt = carry
            k = jax.random.fold_in(key, t)
            rows = jax.random.randint(k, (BATCH,), 0, len(train.x))
            batch = bp.Batch(train.x[rows], train.y[rows])
            grads, state, _ = rule.grad(params, state, batch, k)
            updates, opt = tx.update(grads, opt, params)
            return (optax.apply_updates(params, updates), state, opt), None

        return jax.lax.scan(step, start, jnp.arange(steps))[0][0]

    every = jax.vmap(jax.vmap(learn, (None, 0)), (0, None))
    return jax.jit(every)(jnp.array(SIGMAS), keys)


def copied(params, copies: int):
    """Params of UNITS units: each feature `copies` times, at 1 / copies of its weight out."""
    hidden, out = params
    return (
        {"w": jnp.repeat(hidden["w"], copies, -1), "b": jnp.repeat(hidden["b"], copies, -1)},
        {"w": jnp.repeat(out["w"], copies, -2) / copies, "b": out["b"]},
    )


def in_groups(neuron: bp.Neuron, sigma, correlation, group) -> bp.Neuron:
    """Noise whose correlation is that of units of one group. group: number of each unit's, [n]."""

    def step(state, current, key):
        own, shared, inner = jax.random.split(key, 3)
        state, output = neuron.step(state, current, inner)
        private, common = (jax.random.normal(k, output.shape) for k in (own, shared))
        noise = jnp.sqrt(1 - correlation) * private + jnp.sqrt(correlation) * common[:, group]
        return state, output + sigma * noise

    return bp.Neuron(neuron.init, step, off=neuron, mean=neuron)


def accuracy(params, copies, sigma, correlation, dead, key, test: bp.Batch):
    """The share of right answers of UNITS noisy units, mean over DRAWS."""

    def answer(draw):
        k_dead, k_noise = jax.random.split(jax.random.fold_in(key, draw))
        neuron = in_groups(bp.tanh(), sigma, correlation, jnp.arange(UNITS) // copies)
        net = (bp.dense(UNITS, neuron), bp.dense(test.y.shape[1]))
        alive = jax.random.bernoulli(k_dead, 1 - dead, (UNITS,)).astype(test.x.dtype)
        net = bp.with_gain(net, [bp.Gain(out=alive), bp.Gain()])
        output = bp.forward(net, params, test.x, k_noise).output
        return (output.argmax(-1) == test.y.argmax(-1)).mean()

    return jax.lax.map(answer, jnp.arange(DRAWS)).mean()


def tables(rule_key: str, keys, steps: int):
    """condition -> (levels, accuracies in % [R, levels, seeds])."""
    train, test = images()
    nets = [copied(trained(rule_key, r, keys, train, steps), r) for r in COPIES]
    noisy = jax.tree.map(lambda *each: jnp.stack(each), *nets)  # [R, levels, seeds, ...]
    quiet = jax.tree.map(lambda a: a[:, 0], noisy)
    r, sigmas, dead = (jnp.array(a) for a in (COPIES, SIGMAS, DEAD))

    def measure(params, copies, sigma, c, dead, key):
        return 100 * accuracy(params, copies, sigma, c, dead, key, test)

    def over(levels, *, own=False):  # own: each level has nets of its own
        each = jax.vmap(measure, (0, None, None, None, None, 0))  # seeds
        each = jax.vmap(each, (0 if own else None, None, *levels, None))
        return jax.jit(jax.vmap(each, (0, 0, None, None, None, None)))

    of_noise, of_dead = (0, None, None), (None, None, 0)
    quietly = over(of_noise)
    found = {
        "noise at test alone": (SIGMAS, quietly(quiet, r, sigmas, 0.0, 0.0, keys)),
        "trained with the noise": (
            SIGMAS,
            over(of_noise, own=True)(noisy, r, sigmas, 0.0, 0.0, keys),
        ),
        "noise shared by copies": (SIGMAS, quietly(quiet, r, sigmas, 1.0, 0.0, keys)),
        "correlation of copies 0.2": (SIGMAS, quietly(quiet, r, sigmas, 0.2, 0.0, keys)),
        "dead units": (DEAD, over(of_dead)(quiet, r, 0.0, 0.0, dead, keys)),
    }
    return {name: (levels, np.asarray(a)) for name, (levels, a) in found.items()}


def report(name: str, levels, found) -> None:
    """The mean of each R, the best R of the mean and of each seed, and what it gains."""
    reported = found[..., CHOOSING:]
    print(f"{name}: accuracy in %, mean over {reported.shape[-1]} seeds, at {list(levels)}")
    for copies, row in zip(COPIES, reported.mean(-1), strict=True):
        print(f"    R {copies:2}, D {UNITS // copies:2}" + "".join(f"{v:8.1f}" for v in row))
    best = np.array(COPIES)[reported.argmax(0)]
    print("    best R         " + "".join(f"{COPIES[i]:8}" for i in reported.mean(-1).argmax(0)))
    chosen = found[..., :CHOOSING].mean(-1).argmax(0)  # by seeds that are not reported
    for i, level in enumerate(levels):
        log = interval(np.log2(best[i]))
        line = f"{2**log.mean:.1f} [{2**log.low:.1f}, {2**log.high:.1f}]"
        if chosen[i]:
            gap = interval(reported[chosen[i], i] - reported[0, i])
            line += f"; R {COPIES[chosen[i]]} over R 1: "
            line += f"{gap.mean:+.1f} [{gap.low:+.1f}, {gap.high:+.1f}]"
        print(f"    at {level:4}: best R of each seed {line}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--rule", default="bp")
    parser.add_argument("--out", type=Path, default=None, help="a CSV file of all accuracies")
    args = parser.parse_args()
    found = tables(args.rule, seed_keys(CHOOSING + args.seeds), args.steps)
    for name, (levels, values) in found.items():
        report(name, levels, values)
    if args.out:
        with args.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("condition", "copies", "level", "seed", "accuracy"))
            writer.writerows(
                (name, COPIES[i], levels[j], s, float(values[i, j, s]))
                for name, (levels, values) in found.items()
                for i, j, s in np.ndindex(values.shape)
            )


if __name__ == "__main__":
    main()
