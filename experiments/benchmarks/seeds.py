"""Time of seeds under `vmap` and one after another, and of what `auto` chooses.

    python experiments/benchmarks/seeds.py [--rounds 7] [--seeds 8] [--out seeds.json]

Backprop with Adam on random images, dense nets 64-H-10 (batch 64) and LeNet-5. Each form is timed
in turn, round after round. For each net: the time of auto's form over the better of both. Quote
ratios, not seconds.
"""

import argparse
import json
import statistics
from pathlib import Path

import jax
import optax
from timing import ratio, rounds, runner

import bioplaus as bp
from bioplaus.train import make_train, replicate, seed_keys, seeds_over

NETS = {
    "mlp 64-16-10": (bp.mlp([64, 16, 10]), (64,), 64),
    "mlp 64-128-10": (bp.mlp([64, 128, 10]), (64,), 64),
    "mlp 64-1000-10": (bp.mlp([64, 1000, 10]), (64,), 64),
    "mlp 64-1000-1000-10": (bp.mlp([64, 1000, 1000, 10]), (64,), 64),
    "lenet 28x28, batch 32": (bp.layers.cnn(10, bp.tanh(), padding=2), (28, 28, 1), 32),
    "lenet 28x28, batch 128": (bp.layers.cnn(10, bp.tanh(), padding=2), (28, 28, 1), 128),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--out", type=Path, default=None, help="also write the figures as JSON")
    args = parser.parse_args()
    key, report = jax.random.key(0), {}
    print(
        f"{jax.devices()[0].device_kind}, {args.seeds} seeds, {args.rounds} rounds; ratios within a"
        " round: median [min, max]"
    )
    for name, (net, shape, size) in NETS.items():
        x = jax.random.uniform(key, (2048, *shape))
        data = bp.Batch(x, jax.nn.one_hot(jax.random.randint(key, (2048,), 0, 10), 10))
        train = make_train(
            net, bp.rules.backprop(net, bp.cross_entropy), optax.adam(1e-3), data, batch_size=size
        )
        chosen = (
            "vmap" if seeds_over(jax.eval_shape(train.init, key).params) is jax.vmap else "loop"
        )
        steps = 200 if "mlp 64-1" in name and "1000" not in name else 8
        programs = {}
        for how in ("vmap", "loop"):
            many = replicate(train, how)
            programs[how] = runner(
                many.init(seed_keys(args.seeds)),
                lambda s, many=many, steps=steps: many.advance(s, steps)[0],
            )
        seconds = rounds(programs, args.rounds)
        best = min(programs, key=lambda how: statistics.median(seconds[how]))
        r, auto = ratio(seconds["vmap"], seconds["loop"]), ratio(seconds[chosen], seconds[best])
        ms = {how: 1e3 * statistics.median(seconds[how]) / steps for how in programs}
        report[name] = {
            "vmap/loop": r._asdict(),
            "auto": chosen,
            "auto/best": auto._asdict(),
            "ms": ms,
        }
        print(
            f"{name:22} vmap / loop {r.median:6.3f} [{r.min:.3f}, {r.max:.3f}]   auto: {chosen},"
            f" {auto.median:.3f} of the best   {ms['vmap']:.2f} and {ms['loop']:.2f} ms a step of"
            " all seeds"
        )
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
