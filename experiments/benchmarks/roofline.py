"""Time of each rule's gradient against its roofline, the time of its matrix products alone.

    python experiments/benchmarks/roofline.py [--rounds 9] [--hidden 500] [--rules bp,fa]
        [--out roofline.json]

MLP 784-H-H-10, tanh, batch 128, float32. The products are taken from the program of `rule.grad`:
every dot_general with its shapes and how often it runs. Each is timed alone, in a loop in which
every product waits for the one before, in the same rounds as the gradient. Their sum is a lower
bound of the rule's time on this machine. Quote ratios, not seconds. A rule far above 1 draws random
numbers, waits for elementwise work, or has products so small that a call costs more than they do.
Beside it stands the memory that XLA plans for one gradient.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
from timing import memory, ratio, rounds, runner

import bioplaus as bp
from bioplaus.measure.cost import traced
from bioplaus.measure.program.operations import times

BATCH = 128
REPEATS = 20  # products in one timed call
NOT_IMAGES = ("clapp",)  # learns from pairs of a sequence


def products(rule, net, batch) -> Counter:
    """(shape of a, shape of b, dimension numbers) -> how often the gradient multiplies them."""
    program = traced(rule, net, batch).program
    found = Counter()
    for op in program.ops:
        if op.name == "dot_general":
            found[(*(program.shapes[v] for v in op.inputs), op.params["dimension_numbers"])] += (
                times(op)
            )
    return found


def planned(rule, net, batch) -> float:
    """MiB of one gradient."""
    t = traced(rule, net, batch)
    return memory(rule.grad, t.params, t.state, t.batch, t.key)


def multiplied(a_shape, b_shape, dimension_numbers):
    """A timed call of REPEATS products."""
    a, b = (
        jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate((a_shape, b_shape))
    )

    def product(a):
        return jax.lax.dot_general(a, b, dimension_numbers)

    def body(carry, _):
        a, before = carry
        # in place: this product needs the one before
        a = a.at[(0,) * a.ndim].add(0.0 * before[(0,) * before.ndim])
        return (a, product(a)), None

    advance = jax.jit(lambda carry: jax.lax.scan(body, carry, length=REPEATS)[0])
    return runner((a, product(a)), advance)


def gradient(rule, net, batch, steps: int):
    """A timed call of `steps` gradients, each at the parameters that the last one made."""
    params = bp.init(net, jax.random.key(0), batch.x)
    state = rule.init(jax.random.key(1), params, batch)

    def body(carry, t):
        params, state = carry
        grads, state, _ = rule.grad(params, state, batch, jax.random.fold_in(jax.random.key(2), t))
        return (jax.tree.map(lambda p, g: p - 1e-3 * g, params, grads), state), None

    return runner(
        (params, state), jax.jit(lambda carry: jax.lax.scan(body, carry, jnp.arange(steps))[0])
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--hidden", type=int, default=500)
    parser.add_argument("--steps", type=int, default=5, help="gradients a timed call")
    parser.add_argument(
        "--rules", default=",".join(key for key in bp.rules.RULES if key not in NOT_IMAGES)
    )
    parser.add_argument("--out", type=Path, default=None, help="also write the figures as JSON")
    args = parser.parse_args()

    net = bp.mlp([784, args.hidden, args.hidden, 10])
    x = jax.random.uniform(jax.random.key(0), (BATCH, 784))
    batch = bp.types.Batch(x, jax.nn.one_hot(jnp.arange(BATCH) % 10, 10))
    rules = {name: bp.rules.RULES[name](net, bp.cross_entropy) for name in args.rules.split(",")}
    needed = {name: products(rule, net, batch) for name, rule in rules.items()}
    programs = {name: gradient(rule, net, batch, args.steps) for name, rule in rules.items()}
    programs |= {kind: multiplied(*kind) for found in needed.values() for kind in found}
    seconds = rounds(programs, args.rounds)

    print(
        f"{jax.devices()[0].device_kind}, {args.rounds} rounds; gradient / its products alone:"
        " median [min, max]"
    )
    report = {}
    for name, found in needed.items():
        alone = [
            sum(n * seconds[kind][r] / REPEATS for kind, n in found.items())
            for r in range(args.rounds)
        ]
        mine = [s / args.steps for s in seconds[name]]
        r = ratio(mine, alone)
        ms = 1e3 * sorted(mine)[args.rounds // 2]
        mib = planned(rules[name], net, batch)
        report[name] = r._asdict() | {"ms": ms, "products": sum(found.values()), "mib": mib}
        times_alone = f"{r.median:6.2f} [{r.min:.2f}, {r.max:.2f}]"
        print(
            f"{name:22} {times_alone}   {sum(found.values()):5} products   {ms:8.2f} ms a gradient "
            f"  {mib:6.1f} MiB"
        )
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
