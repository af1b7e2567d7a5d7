"""How the noise of a gradient estimate grows with the width of the net, beside theory.

    python experiments/sample_efficiency.py [--draws 48] [--seeds 1] [--out sample_efficiency]

A draw is the estimate of the gradient from one batch of 8 digits, at initialisation, of the net
64-n-n-10. The variance is E|estimate - G|^2 / |G|^2, with G the gradient of the mean loss over 512
digits. A step of a given quality needs samples in proportion to it.

Slopes of log variance over log width, n = 32 to 1024 (102 s of one processor):

    rule          measured   theory
    bp               -0.13    -0.12
    np                0.54     0.58
    afg               0.66     0.58
    threefactor       0.58     0.59
    wp                1.40     1.57
    fg                1.39     1.57

The variance at n = 512 is 9.5 for bp (from the choice of the batch alone), 1.9e4 for np, 2.0e4 for
afg, 2.2e4 for threefactor, 2.2e6 for wp and 2.3e6 for fg (theory for these two: 3.0e6). There are
48 draws up to n = 128, but 12 at 512 and 6 at 1024. There, wp and fg are at 0.4 of theory, because
so few draws seldom meet their rare large errors.

Theory, with g_b the gradient of one example, delta its derivative by the currents, d the number of
weights, n_l the units and x_l the inputs of layer l, and B the batch size:

    fg, wp:
        E|estimate|^2 = (d + 2) E|g_batch|^2
    np, afg, threefactor:
        E|estimate|^2 = E|g_batch|^2
            + (1/B) E[sum_l |x_l|^2 (n_l (|delta|^2 + c^2) + 2 |delta_l|^2) - |g_b|^2]

where c is 0, or, for threefactor, the distance of the loss from its baseline over sigma. Writes
OUT.csv and OUT.svg.
"""

import argparse
import csv
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.style
import numpy as np

import bioplaus as bp
from bioplaus.net import forward, with_gain
from bioplaus.record.measures import Measure
from bioplaus.report.canvas import SETTINGS, line, name_ends, panels, to_svg
from bioplaus.report.look import COLOURS, GREY, MARKERS, Look
from bioplaus.rules import RULES
from bioplaus.train import seed_key
from bioplaus.types import Batch, Gain

VARIANCE = Measure("variance", "")
WIDTHS, KEYS, EXAMPLES, BATCH, SIGMA = (
    (32, 64, 128, 256, 512, 1024),
    ("bp", "np", "wp", "fg", "afg", "threefactor"),
    512,
    8,
    0.1,
)
FULL = 128  # the width up to which all draws are made


def squared(tree) -> jax.Array:
    return jnp.stack([jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)]).sum()


def predicted(net, params, data: Batch, target) -> dict[str, jax.Array]:
    """Relative variances by the formulas above."""
    key, parts = jax.random.key(0), [jnp.zeros((EXAMPLES, a["b"].size)) for a in params]

    def losses(offsets):
        trace = forward(with_gain(net, [Gain(offset=o) for o in offsets]), params, data.x, key)
        loss = bp.cross_entropy(trace.output, data.y)
        return loss.sum(), (loss, trace.inputs)

    deltas, (loss, inputs) = jax.grad(losses, has_aux=True)(parts)
    x = [jnp.sum(h**2, -1) + 1 for h in inputs]  # the bias has an input of one
    delta = [jnp.sum(d**2, -1) for d in deltas]
    own = jnp.stack([a * b for a, b in zip(x, delta, strict=True)]).sum(0).mean()
    full, weights = squared(target), sum(leaf.size for leaf in jax.tree.leaves(params))
    batch = full + (own - full) / BATCH
    between = loss.var() * (1 - 1 / BATCH) / SIGMA**2

    def nodes(c):
        total = jnp.stack(delta).sum(0)
        noise = (
            jnp.stack(
                [
                    a * (d.shape[-1] * (total + c) + 2 * b)
                    for a, b, d in zip(x, delta, deltas, strict=True)
                ]
            )
            .sum(0)
            .mean()
        )
        return batch + (noise - own) / BATCH

    second = {
        "bp": batch,
        "wp": (weights + 2) * batch,
        "np": nodes(0.0),
        "threefactor": nodes(between),
    }
    second |= {"fg": second["wp"], "afg": second["np"]}
    return {name: value / full - 1 for name, value in second.items()}


def measured(name: str, net, params, data: Batch, target, keys) -> jax.Array:
    """Relative variance over draws of the batch and of the rule's noise."""
    rule = (
        RULES[name](net, bp.cross_entropy, sigma=SIGMA)
        if name == "threefactor"
        else RULES[name](net, bp.cross_entropy)
    )

    def error(key):
        rows = jax.random.randint(key, (BATCH,), 0, EXAMPLES)
        batch = Batch(data.x[rows], data.y[rows])
        grads = rule.grad(params, rule.init(key, params, batch), batch, key)[0]
        return squared(jax.tree.map(jnp.subtract, grads, target))

    return jax.lax.map(error, keys).mean() / squared(target)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--draws",
        type=int,
        default=48,
        help=f"up to width {FULL}; fewer in proportion to it beyond",
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("sample_efficiency"))
    args = parser.parse_args()
    train = bp.data.load("digits").train
    data = Batch(
        jnp.asarray(train.x[:EXAMPLES]).reshape(EXAMPLES, -1), jnp.asarray(train.y[:EXAMPLES])
    )

    rows, keys = [], jax.random.split(jax.random.key(1), args.draws)
    for width in WIDTHS:
        net = bp.mlp([64, width, width, 10])
        full = jax.jit(RULES["bp"](net, bp.cross_entropy).grad)
        theory = jax.jit(functools.partial(predicted, net))
        runs = {k: jax.jit(functools.partial(measured, k, net)) for k in KEYS}
        # a draw costs the width's square
        few = keys[: max(2, args.draws * FULL // max(width, FULL))]
        for seed in range(args.seeds):
            params = bp.init(net, seed_key(seed), data.x)
            target = full(params, (), data, keys[0])[0]
            wanted = theory(params, data, target)
            rows += [
                (k, width, seed, float(run(params, data, target, few)), float(wanted[k]))
                for k, run in runs.items()
            ]
        print(width, {r[0]: f"{r[3]:.3g} ({r[4]:.3g})" for r in rows[-len(KEYS) :]}, flush=True)

    with args.out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("rule", "width", "seed", "variance", "theory"), *rows])
    with matplotlib.style.context(["default", SETTINGS]):
        fig, (ax,) = panels(1, 1, 3.6, 0.7)
        style = {
            k: Look(GREY if k == "bp" else c, m, "-")
            for k, c, m in zip(KEYS, COLOURS, MARKERS, strict=False)
        }
        ends = {}
        for k in KEYS:
            for column, look in (
                (4, style[k]._replace(marker="", dash=(0, (4, 2)))),
                (3, style[k]),
            ):
                points = {
                    float(w): {str(r[2]): r[column] for r in rows if r[:2] == (k, w)}
                    for w in WIDTHS
                }
                ends[k] = line(ax, points, look, VARIANCE, band=False)
            slopes = [
                np.polyfit(
                    np.log([r[1] for r in rows if r[0] == k]),
                    np.log([r[c] for r in rows if r[0] == k]),
                    1,
                )[0]
                for c in (3, 4)
            ]
            print(f"{k:12} slope {slopes[0]:5.2f}, theory {slopes[1]:5.2f}")
        ax.set(
            xscale="log",
            yscale="log",
            xlabel="units in each hidden layer, log scale",
            ylabel="variance / |gradient|², log scale",
        )
        ax.set_xticks(WIDTHS, [str(w) for w in WIDTHS])
        ax.minorticks_off()
        ax.set_title("gradient estimates: measured, dashed theory")
        name_ends(ax, ends, style)
        args.out.with_suffix(".svg").write_text(
            to_svg(fig, "sample-efficiency") + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
