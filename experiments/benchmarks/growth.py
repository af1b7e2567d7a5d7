"""How a gradient's time grows with width, depth, batch, settling steps and seeds.

    python experiments/benchmarks/growth.py [--rounds 5] [--axes width,depth,batch,steps,seeds]
        [--out growth.json]

From an MLP 784-256-256-10 of tanh units at batch 128, float32, one number is doubled again and
again. The slope is that of log time over log number, by least squares over the programs of one
round: median [min, max] over rounds. Beside it stand the slope of the multiply-accumulates that
`bioplaus.measure.cost` counts on the same programs (in theory time follows arithmetic), and the
memory that XLA plans for one gradient of the largest program. If the slope of time is below that of
arithmetic, small programs wait for something else than products; if it is above, large ones no
longer fit the cache.
"""

import argparse
import itertools
import json
import statistics
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from roofline import gradient, planned
from timing import rounds, runner

import bioplaus as bp
from bioplaus.measure.cost import total_macs, traced
from bioplaus.train import replicate, seed_keys

RULES = ("bp", "fa", "dfa", "ff", "pepita", "pc", "ep")
SETTLING = {"pc": ("steps",), "ep": ("free_steps", "nudged_steps")}
VALUES = {
    "width": (128, 256, 512, 1024),
    "depth": (2, 4, 8, 16),
    "batch": (64, 128, 256, 512),
    "steps": (5, 10, 20, 40),
    "seeds": (1, 2, 4, 8),
}
GRADIENTS = 3  # a timed call


class Setting(NamedTuple):
    """A point of an axis."""

    width: int = 256
    depth: int = 2
    batch: int = 128
    steps: int = 0
    seeds: int = 1


def made(name: str, at: Setting):
    """The rule, its net and a batch."""
    net = bp.mlp([784, *[at.width] * at.depth, 10])
    rule = bp.rules.RULES[name](
        net, bp.cross_entropy, **(dict.fromkeys(SETTLING[name], at.steps) if at.steps else {})
    )
    x = jax.random.uniform(jax.random.key(0), (at.batch, 784))
    return rule, net, bp.types.Batch(x, jax.nn.one_hot(jnp.arange(at.batch) % 10, 10))


def many_seeds(rule, net, batch, seeds: int):
    """A timed call of training steps of all seeds, as `replicate` runs them by itself."""
    train = replicate(bp.make_train(net, rule, optax.sgd(1e-3), batch, batch_size=len(batch.y)))
    return runner(train.init(seed_keys(seeds)), lambda s: train.advance(s, GRADIENTS)[0])


def grown(axis: str, name: str, count: int) -> dict[str, Any]:
    """The figures of a rule along an axis."""
    values = VALUES[axis]
    found = [made(name, Setting(**{axis: value})) for value in values]
    copies = values if axis == "seeds" else [1] * len(values)
    timed = [
        many_seeds(*it, n) if axis == "seeds" else gradient(*it, GRADIENTS)
        for it, n in zip(found, values, strict=True)
    ]
    seconds = list(
        rounds({str(n): run for n, run in zip(values, timed, strict=True)}, count).values()
    )
    slopes = [slope(values, took) for took in zip(*seconds, strict=True)]
    return {
        "slope": [statistics.median(slopes), min(slopes), max(slopes)],
        "arithmetic": slope(
            values,
            [n * total_macs(traced(*it).program) for it, n in zip(found, copies, strict=True)],
        ),
        "ms": [1e3 * statistics.median(took) / GRADIENTS for took in seconds],
        "mib": None if axis == "seeds" else planned(*found[-1]),
    }


def slope(x, y) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--axes", default=",".join(VALUES))
    parser.add_argument("--rules", default=",".join(RULES))
    parser.add_argument("--out", type=Path, default=None, help="also write the figures as JSON")
    args = parser.parse_args()
    report = {}
    print(
        f"{jax.devices()[0].device_kind}, {args.rounds} rounds; log-log slope of time: median [min,"
        " max]; of arithmetic; MiB of the last"
    )
    for axis, name in itertools.product(args.axes.split(","), args.rules.split(",")):
        if axis == "steps" and name not in SETTLING:
            continue
        it = report[f"{axis} {name}"] = grown(axis, name, args.rounds)
        (middle, low, high), mib = it["slope"], "" if it["mib"] is None else f"{it['mib']:.1f} MiB"
        ms = " ".join(f"{v:.3g}" for v in it["ms"])
        print(
            f"{axis:6} {name:7} {middle:5.2f} [{low:.2f}, {high:.2f}]   {it['arithmetic']:5.2f}  "
            f" {mib:>10}   ms {ms}",
            flush=True,
        )
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
