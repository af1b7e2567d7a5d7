"""Pools of neurons whose noise is correlated: what more neurons bring, and what a readout learns.

    python papers/zohary1994/run.py [--out results.csv]

writes results.csv beside this file, in about 1 CPU-minute. A trial shows one of two stimuli, x =
+1/4 or -1/4. Neuron i answers p_i x + xi_i, with noise of variance 1 and correlation c, so that one
neuron alone has d' = 1/2. Preferences p_i are all 1 ("alike"), or 1 and -1 in turn ("opposed"). The
pool is the mean of p_i times the answers; the readout is one layer that learns by the delta rule,
without any error of other layers. All seeds, correlations and preferences of one size of the pool
are one program.
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

HERE = Path(__file__).parent
SIZES, CORRELATIONS = (1, 10, 30, 100, 300, 1000), (0.0, 0.12)
PREFERENCES = ("alike", "opposed")
SEEDS, STEPS, BATCH, TRIALS, DISTANCE = 5, 500, 128, 4000, 0.5


def signs(opposed, n: int):
    return jnp.where(opposed & (jnp.arange(n) % 2 == 1), -1.0, 1.0)


def trials(key, n: int) -> bp.Batch:
    which = jax.random.bernoulli(key, 0.5, (n,)).astype(int)
    return bp.Batch((DISTANCE * (which - 0.5))[:, None], jax.nn.one_hot(which, 2))


def measured(size: int, correlation, opposed, key):
    """d' of the pool, right answers of the pool and of a readout in %, and how the answer of one
    neuron goes with that of the pool."""
    preferred = signs(opposed, size)

    def preferences(key, shape, dtype):
        return preferred[None].astype(dtype)

    noisy = bp.correlated(bp.identity(), 1.0, correlation)
    hidden = bp.fixed(bp.dense(size, noisy, weights=preferences))
    net = (hidden, bp.dense(2, weights=jax.nn.initializers.zeros))
    rule = bp.rules.backprop(net, bp.cross_entropy)
    tx = optax.adam(optax.cosine_decay_schedule(0.01, STEPS))
    k_first, k_learn, k_test = (jax.random.fold_in(key, i) for i in range(3))
    params = bp.init(net, k_first, trials(k_first, 2).x)

    def step(carry, t):
        params, opt = carry
        k = jax.random.fold_in(k_learn, t)
        grads, _, _ = rule.grad(params, (), trials(k, BATCH), k)
        updates, opt = tx.update(grads, opt, params)
        return (optax.apply_updates(params, updates), opt), None

    params = jax.lax.scan(step, (params, tx.init(params)), jnp.arange(STEPS))[0][0]
    test = trials(k_test, TRIALS)
    trace = bp.forward(net, params, test.x, k_test)
    which, answers = test.y.argmax(-1), trace.outputs[0]
    pool = (answers * preferred).mean(-1)
    noise = pool - test.x[:, 0]
    return {
        "d'": DISTANCE / noise.std(),
        "pool right": 100 * ((pool > 0) == (which == 1)).mean(),
        "readout right": 100 * (trace.output.argmax(-1) == which).mean(),
        "one with pool": jnp.corrcoef(answers[:, 0] - test.x[:, 0] * preferred[0], noise)[0, 1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=HERE / "results.csv")
    args = parser.parse_args()
    rows = []
    for size in SIZES:
        every = jax.vmap(lambda c, o, k, n=size: measured(n, c, o, k), (None, None, 0))
        every = jax.vmap(jax.vmap(every, (None, 0, None)), (0, None, None))
        opposed = jnp.arange(len(PREFERENCES)) == 1
        found = jax.jit(every)(jnp.array(CORRELATIONS), opposed, seed_keys(SEEDS))
        for measure, values in found.items():
            for i, j in np.ndindex(values.shape[:2]):
                of_seeds = np.asarray(values[i, j], np.float64)
                x = interval(of_seeds)
                told = size, CORRELATIONS[i], PREFERENCES[j], measure
                print(*told, f"{x.mean:.3f} [{x.low:.3f}, {x.high:.3f}]", flush=True)
                rows += [(*told, s, round(float(v), 5)) for s, v in enumerate(of_seeds)]
    with args.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("neurons", "correlation", "preferences", "measure", "seed", "value"))
        writer.writerows(rows)


if __name__ == "__main__":
    main()
