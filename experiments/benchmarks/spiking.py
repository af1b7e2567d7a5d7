"""Backprop through time on spiking nets: ours against scans written by hand, memory and growth.

    python experiments/benchmarks/spiking.py [--rounds 9] [--parts ratios,growth]
        [--out spiking.json]

700-128-20 LIF neurons, 100 moments, batch 128, one step of gradient descent, float32, input spikes
with probability 0.03 a moment. Three nets: an answer at each moment by leaky integrators, one
answer from the mean spikes of all moments (pooled), and recurrent hidden neurons with an answer at
each moment. Each is also written by hand, time first, in two forms: everything in one scan, and
the product of the inputs ahead of the scan. Before anything is timed, the gradients of all forms
are compared.

Programs run in turn on one core and are timed in CPU time, so that other work on the machine adds
little; a ratio is that within a round: median [min, max]. Growth is the slope of log time over log
number as one number is doubled, from 128 hidden neurons, 100 moments and batch 128; beside it, the
memory that XLA plans for a gradient, of ours and of the scan.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from growth import slope
from timing import memory, one_core, ratio, rounds, runner

import bioplaus as bp

INPUTS, CLASSES, RATE, TAU = 700, 20, 0.03, 20.0
KINDS = ("moments", "pooled", "recurrent")
AIMS = {"moments": 1.3, "pooled": 1.0, "recurrent": 1.4}
"""Ours over a scan by hand, at most: of the pooled net, over the scan that answers at each moment,
of which it spares the products of the readout."""
VALUES = {"n": (64, 128, 256, 512), "T": (25, 50, 100, 200), "B": (32, 64, 128, 256)}
WEIGHTS = jax.nn.initializers.variance_scaling(3.0, "fan_in", "normal")


class Gradient(NamedTuple):
    """of: compiled, (parameters, x, y) -> gradient of the mean loss. x, y: the batch."""

    of: Callable[[Any, jax.Array, jax.Array], Any]
    x: jax.Array
    y: jax.Array


class Setting(NamedTuple):
    """n: hidden neurons. T: moments. B: examples of a batch."""

    n: int = 128
    T: int = 100
    B: int = 128


def sample(at: Setting) -> tuple[jax.Array, jax.Array]:
    """Spikes [B, T, inputs], and rows of labels [B, classes]."""
    spikes = jax.random.bernoulli(jax.random.key(0), RATE, (at.B, at.T, INPUTS))
    return spikes.astype(jnp.float32), jax.nn.one_hot(jnp.arange(at.B) % CLASSES, CLASSES)


# --- Ours


def net_of(kind: str, n: int) -> bp.Net:
    hidden = bp.dense(n, bp.lif(TAU), weights=WEIGHTS)
    first = (
        bp.recurrent(hidden, bp.dense(n, weights=WEIGHTS))
        if kind == "recurrent"
        else bp.over_time(hidden)
    )
    if kind == "pooled":
        return first, bp.after(bp.mean_over_time, bp.dense(CLASSES, weights=WEIGHTS))
    return first, bp.over_time(bp.dense(CLASSES, bp.leaky(TAU), weights=WEIGHTS))


def ours(kind: str, at: Setting) -> tuple[Gradient, Any]:
    """Our gradient, and parameters."""
    net, (x, y) = net_of(kind, at.n), sample(at)
    loss = bp.cross_entropy if kind == "pooled" else bp.at_each_moment(bp.cross_entropy)
    rule, key = bp.rules.backprop(net, loss), jax.random.key(1)
    params = bp.init(net, key, x)
    grad = jax.jit(lambda p, x, y: rule.grad(p, (), bp.Batch(x, y), key)[0])
    return Gradient(grad, x, y), params


# --- By hand


@jax.custom_jvp
def spike(u):
    return (u > 0).astype(u.dtype)


spike.defjvp(lambda u, du: (spike(*u), 0.3 * jnp.maximum(0, 1 - jnp.abs(u[0])) * du[0]))


def outputs_by_hand(kind: str, ahead: bool, params, x) -> Any:
    """Logits [T, B, classes], or [B, classes] where pooled. x: [T, B, inputs].

    ahead: whether the product of the inputs is taken before the scan.
    """
    hidden, readout = params
    inner = hidden["in"] if kind == "recurrent" else hidden
    a = math.exp(-1 / TAU)
    if ahead:
        x = (x.reshape(-1, INPUTS) @ inner["w"] + inner["b"]).reshape(*x.shape[:2], -1)

    def body(carry, current):
        v, z, out = carry
        current = current if ahead else current @ inner["w"] + inner["b"]
        if kind == "recurrent":
            current = current + z @ hidden["back"]["w"] + hidden["back"]["b"]
        u = a * v + current
        z = spike(u - 1)
        v = u - jax.lax.stop_gradient(z)
        if kind == "pooled":
            return (v, z, out + z), None
        out = a * out + (1 - a) * (z @ readout["w"] + readout["b"])
        return (v, z, out), out

    examples, n = x.shape[1], inner["b"].shape[0]
    zero = jnp.zeros((examples, n))
    start = zero, zero, zero if kind == "pooled" else jnp.zeros((examples, CLASSES))
    (_, _, total), outs = jax.lax.scan(body, start, x)
    return total / len(x) @ readout["w"] + readout["b"] if kind == "pooled" else outs


def by_hand(kind: str, at: Setting, ahead: bool) -> Gradient:
    x, y = sample(at)

    def loss(params, x, y):
        logs = jax.nn.log_softmax(outputs_by_hand(kind, ahead, params, x))
        return -(y * logs).sum() / at.B

    return Gradient(jax.jit(jax.grad(loss)), jnp.swapaxes(x, 0, 1).copy(), y)


# --- Figures


def check_alike(kind: str, gradients: dict[str, Gradient], params) -> None:
    """Raise RuntimeError unless all forms have the same gradient, to 1e-4 of its largest entry."""
    names, found = list(gradients), [g.of(params, g.x, g.y) for g in gradients.values()]
    for name, other in zip(names[1:], found[1:], strict=True):
        for a, b in zip(jax.tree.leaves(found[0]), jax.tree.leaves(other), strict=True):
            off = float(jnp.abs(a - b).max() / jnp.abs(a).max())
            if not off < 1e-4:
                raise RuntimeError(
                    f"{kind}: gradients of {names[0]} and {name} differ by {off:.1e}"
                )


def descent(gradient: Gradient, params) -> Callable[[], float]:
    """Times a step of gradient descent, in CPU time."""

    def step(params):
        return jax.tree.map(
            lambda p, g: p - 1e-3 * g, params, gradient.of(params, gradient.x, gradient.y)
        )

    return runner(params, step, time.process_time)


def compared(count: int) -> dict[str, Any]:
    """Ratios of ours to both forms by hand, for each net; all programs run in turn."""
    programs = {}
    for kind in KINDS:
        mine, params = ours(kind, Setting())
        forms = {
            "ours": mine,
            "scan": by_hand(kind, Setting(), False),
            "ahead": by_hand(kind, Setting(), True),
        }
        check_alike(kind, forms, params)
        programs |= {f"{kind} {form}": descent(g, params) for form, g in forms.items()}
    took = rounds(programs, count)
    report = {}
    for kind in KINDS:
        mine, aim = took[f"{kind} ours"], AIMS[kind]
        bar = "moments scan" if kind == "pooled" else f"{kind} scan"
        it = {
            name: ratio(mine, took[other])._asdict()
            for name, other in {
                "bar": bar,
                "own scan": f"{kind} scan",
                "product ahead": f"{kind} ahead",
            }.items()
        }
        met = "met" if it["bar"]["median"] <= aim else "MISSED"
        report[kind] = it | {"aim": aim, "ms": 1e3 * statistics.median(mine)}
        print(
            f"{kind:10} ours / {bar} {shown(it['bar'].values())} (aim {aim}: {met});"
            f" / its own scan {shown(it['own scan'].values())};"
            f" / product ahead {shown(it['product ahead'].values())}",
            flush=True,
        )
    return report


def shown(figures: Iterable[float]) -> str:
    median, low, high = figures
    return f"{median:.2f} [{low:.2f}, {high:.2f}]"


def grown(kind: str, axis: str, count: int) -> dict[str, Any]:
    """Slope of time along an axis, and MiB of ours and of the scan, at each value."""
    programs, mib = {}, {"ours": [], "scan": []}
    for value in VALUES[axis]:
        at = Setting()._replace(**{axis: value})
        mine, params = ours(kind, at)
        for form, g in {"ours": mine, "scan": by_hand(kind, at, False)}.items():
            mib[form].append(memory(g.of, params, g.x, g.y))
        programs[str(value)] = descent(mine, params)
    took = list(rounds(programs, count).values())
    slopes = [slope(VALUES[axis], each) for each in zip(*took, strict=True)]
    found = [statistics.median(slopes), min(slopes), max(slopes)]
    return {"values": VALUES[axis], "slope": found, "mib": mib}


def growth_of(count: int) -> dict[str, Any]:
    report = {}
    for kind in KINDS:
        for axis in VALUES:
            it = report[f"{kind} {axis}"] = grown(kind, axis, count)
            mib = "   ".join(
                f"{form} {' '.join(f'{m:.0f}' for m in each)}" for form, each in it["mib"].items()
            )
            values = " ".join(map(str, it["values"]))
            print(f"{kind:10} {axis} {values:16} time {shown(it['slope'])}   MiB {mib}", flush=True)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--parts", default="ratios,growth")
    parser.add_argument("--out", type=Path, default=None, help="also write the figures as JSON")
    args = parser.parse_args()
    one_core()
    parts = {"ratios": compared, "growth": growth_of}
    report = {part: parts[part](args.rounds) for part in args.parts.split(",")}
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
