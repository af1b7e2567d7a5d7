"""Does a neuromodulator help, and under which optimiser? Gates on the gradient and on the update.

    python experiments/gates.py [--seeds 5] [--first 0] [--steps 320] [--rules bp]

Digits, 64-64-10 tanh, batch 64. Optimisers: sgd; adam, by whose size of the gradient a gate is
divided; gated adam, whose update is multiplied by the mean gate (`bioplaus.optim.gated`). Tasks:
stationary, the accuracy at the end; changing, where the labels are shuffled anew after each eighth
of the steps, the mean accuracy at the end of the second to the last eighth. Each modulator has its
own learning rate under each optimiser, the best of four on validation data; the accuracies are
those on test data. Differences to no modulator are in pairs of seeds, with 95 % intervals.

    python experiments/gates.py --seeds 10 --first 5

gave, in percent, the accuracy without a modulator and the difference that each one makes:

    stationary    sgd                  adam                 gated adam
    unmodulated   96.3 [95.6, 97.0]    97.5 [96.9, 98.1]    97.5 [96.9, 98.1]
    dopamine      -1.1 [-1.8, -0.3]    +0.4 [-0.3, +1.2]    +0.2 [-0.6, +0.9]
    acetylcholine -1.2 [-1.7, -0.7]    -0.5 [-1.2, +0.3]    -0.7 [-1.4, +0.1]
    noradrenaline -0.8 [-1.5, +0.0]    -0.5 [-1.4, +0.4]    -0.3 [-1.0, +0.4]
    threshold     -0.1 [-0.4, +0.2]    -0.6 [-1.0, -0.2]    -0.2 [-0.8, +0.5]
    changing      sgd                  adam                 gated adam
    unmodulated   93.9 [93.1, 94.6]    80.2 [78.6, 81.8]    80.2 [78.6, 81.8]
    dopamine      -4.0 [-4.7, -3.2]    +0.4 [-1.4, +2.2]    +6.1 [+4.2, +8.0]
    acetylcholine -3.1 [-3.8, -2.4]    -0.3 [-2.6, +2.0]    +2.0 [+0.7, +3.3]
    noradrenaline -18.5 [-23.5, -13.5] -5.8 [-7.8, -3.9]    -1.7 [-4.1, +0.6]
    threshold     -0.2 [-0.3, +0.0]    +0.8 [-1.0, +2.5]    +1.2 [-0.2, +2.6]

On the stationary task none is shown to help, under any optimiser. On the changing one dopamine and
acetylcholine help under gated Adam, whose step then grows after a change; under Adam itself the
same two are not shown to. The gain of dopamine is no matter of the learning rate: with 0.005,
0.007, 0.01, 0.014 and 0.02 to choose from it is the same +6.1 [+4.2, +8.0]. But plain gradient
descent without a modulator, which keeps no sizes of old gradients, is better still by 7 points, and
most modulators cost accuracy under it: their best rate is 0.3 there, the best without one 1.0.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import optax

import bioplaus as bp
from bioplaus.measure import accuracy
from bioplaus.measure.statistics import interval
from bioplaus.modulators import available, modulate
from bioplaus.optim import gated
from bioplaus.train import make_program, seed_keys

MODULATORS = ("unmodulated", "dopamine", "acetylcholine", "noradrenaline", "threshold")
OPTIMISERS = {
    "sgd": (optax.sgd, (0.1, 0.3, 1.0, 3.0)),
    "adam": (optax.adam, (3e-3, 1e-2, 3e-2, 1e-1)),
    "gated adam": (lambda rate: gated(optax.adam(rate)), (3e-3, 1e-2, 3e-2, 1e-1)),
}
PHASES = 8


def shuffled(data: bp.Batch, changing: bool) -> bp.Batch:
    """The data of each phase, [PHASES, N, ...]: with its own label map, or the same eight times."""
    draw = np.random.default_rng(0)
    maps = [np.arange(10)] + [
        draw.permutation(10) if changing else np.arange(10) for _ in range(PHASES - 1)
    ]
    x, y = np.asarray(data.x), np.asarray(data.y)
    return bp.Batch(jnp.stack([jnp.asarray(x)] * PHASES), jnp.stack([y[:, m] for m in maps]))


def learn(factory, make_tx, rates, parts, *, steps: int, keys):
    """Accuracies after each phase, on validation and test data: two arrays [rates, S, PHASES]."""
    net = bp.mlp([64, 64, 10])
    rule = factory(net, bp.cross_entropy)
    program = make_program(lambda rate, step: (net, rule, make_tx(rate)), batch_size=64)

    def run(rate, key):
        def phase(state, at):
            train, validation, test = at
            state = program.advance(state, train, rate, steps // PHASES)[0]
            return state, tuple(
                accuracy(rule.predict(state.params, state.rule, b.x, key), b.y)
                for b in (validation, test)
            )

        first = program.init(key, jax.tree.map(lambda a: a[0], parts[0]), rate)
        return jax.lax.scan(phase, first, parts)[1]

    both = jax.vmap(jax.vmap(run, (None, 0)), (0, None))
    return jax.tree.map(np.asarray, jax.jit(both)(jnp.asarray(rates), keys))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="number of the first seed")
    parser.add_argument("--steps", type=int, default=320)
    parser.add_argument("--rules", default="bp")
    args = parser.parse_args()
    data, keys = bp.data.load("digits"), seed_keys(args.first + args.seeds)[args.first :]
    for changing in (False, True):
        parts = tuple(shuffled(b, changing) for b in (data.train, data.validation, data.test))
        counted = slice(1, None) if changing else slice(-1, None)
        for rule in args.rules.split(","):
            for name, (make_tx, rates) in OPTIMISERS.items():
                plain = None
                for kind in MODULATORS:
                    factory = modulate(bp.rules.RULES[rule], available()[kind]())
                    found = learn(factory, make_tx, rates, parts, steps=args.steps, keys=keys)
                    chosen, of_test = (100 * a[..., counted].mean(-1) for a in found)  # [rates, S]
                    best = int(chosen.mean(1).argmax())
                    accuracies = of_test[best]
                    plain = accuracies if plain is None else plain
                    x = interval(accuracies, bounds=(0.0, 100.0))
                    d = interval(accuracies - plain, bounds=(-100.0, 100.0))
                    print(
                        f"{'changing' if changing else 'stationary':10} {rule} {name:10} {kind:13}"
                        f" rate {rates[best]:<6} {float(x.mean):.1f} [{float(x.low):.1f},"
                        f" {float(x.high):.1f}]  {float(d.mean):+.1f} [{float(d.low):+.1f},"
                        f" {float(d.high):+.1f}]",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
