"""Time of one training step: ours against hand-written JAX, and each rule against backprop.

    python experiments/benchmarks/step.py [--rounds 15] [--steps 100] [--out step.json]

MLP 784-500-500-10, tanh, batch 128, Adam, float32, random data of MNIST's shape on the device. All
programs are compiled first and then run in turn, round after round, so that a machine whose speed
drifts slows all of them; a ratio is the median over rounds of the ratio within a round. Quote
ratios, not seconds.
"""

import argparse
import inspect
import json
import statistics
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
from timing import ratio, rounds, runner

import bioplaus as bp
from bioplaus.train import make_train

SIZES = [784, 500, 500, 10]
BATCH, EXAMPLES = 128, 60_000
TX = optax.adam(1e-3)


def harness(name: str, data: bp.Batch, steps: int):
    """A function that advances a training run of the rule by `steps` and waits for it."""
    net = bp.mlp(SIZES)
    factory = bp.rules.RULES[name]
    # for weights that the rule keeps itself
    own = {"tx": TX} if "tx" in inspect.signature(factory).parameters else {}
    rule = factory(net, bp.cross_entropy, **own)
    train = make_train(net, rule, TX, data, batch_size=BATCH)
    return runner(train.init(jax.random.key(0)), lambda s: train.advance(s, steps)[0])


def by_hand(data: bp.Batch, steps: int):
    """The same training without a library: value_and_grad in a scan, with donated buffers."""
    keys = jax.random.split(jax.random.key(0), len(SIZES) - 1)
    params = [
        (jax.random.normal(k, (m, n)) * 0.5 / m**0.5, jnp.zeros(n))
        for k, m, n in zip(keys, SIZES[:-1], SIZES[1:], strict=True)
    ]

    def loss(params, x, y):
        for w, b in params[:-1]:
            x = jnp.tanh(x @ w + b)
        return optax.softmax_cross_entropy(x @ params[-1][0] + params[-1][1], y).mean()

    @jax.jit
    def order(key):
        return jnp.argsort(jax.random.bits(key, (EXAMPLES,)))[: steps * BATCH].reshape(steps, BATCH)

    def advance(state, x, y, rows):
        def step(state, rows):
            params, opt = state
            value, grads = jax.value_and_grad(loss)(params, x[rows].reshape(BATCH, -1), y[rows])
            updates, opt = TX.update(grads, opt, params)
            return (optax.apply_updates(params, updates), opt), value

        return jax.lax.scan(step, state, rows)[0]

    compiled = jax.jit(advance, donate_argnums=0)
    return runner(
        (params, TX.init(params)), lambda s: compiled(s, data.x, data.y, order(jax.random.key(1)))
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=100, help="steps a call, in one scan")
    parser.add_argument("--rules", default="bp,fa,kp,usf,dfa,drtp,ff,pepita,np,pc,ep")
    parser.add_argument("--out", type=Path, default=None, help="also write the figures as JSON")
    args = parser.parse_args()

    key = jax.random.key(0)
    x = jax.random.uniform(key, (EXAMPLES, 784))
    data = bp.Batch(x, jax.nn.one_hot(jax.random.randint(key, (EXAMPLES,), 0, 10), 10))
    programs = {"hand-written": by_hand(data, args.steps)} | {
        n: harness(n, data, args.steps) for n in args.rules.split(",")
    }
    seconds = rounds(programs, args.rounds)

    print(
        f"{jax.devices()[0].device_kind}, {args.rounds} rounds of {args.steps} steps; ratio within"
        " a round: median [min, max]"
    )
    report = {}
    for name, against in [("bp", "hand-written")] + [
        (n, "bp") for n in programs if n not in ("hand-written", "bp")
    ]:
        r, ms = (
            ratio(seconds[name], seconds[against]),
            1e3 * statistics.median(seconds[name]) / args.steps,
        )
        report[f"{name}/{against}"] = r._asdict() | {"ms": ms}
        print(
            f"{name + ' / ' + against:20} {r.median:6.3f} [{r.min:.3f}, {r.max:.3f}]   {ms:8.2f} ms"
            " a step"
        )
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
