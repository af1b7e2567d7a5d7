"""What it costs to learn while time runs: e-prop on streams beside backprop through time.

    python experiments/benchmarks/online.py [--rounds 7] [--out online.json]

100-64-10, recurrent LIF or ALIF neurons and leaky integrators that answer at each moment, 100
moments, 16 streams, float32, input spikes with probability 0.03 a moment. Timed is the gradient of
a whole sequence: of backprop through time, of e-prop, and of e-prop's form for streams in pieces of
K moments, in one compiled loop over the pieces. Before anything is timed, the gradients of all
pieces are compared with those of the whole.

Programs run in turn on one core and are timed in CPU time; a ratio is that within a round: median
[min, max]. Memory is what XLA plans for one call, arguments and results included: for a stream, of
one piece of K moments, whatever has been before it; for backprop, of a sequence of T moments. MACs
are those that `bioplaus.measure.cost` counts, per moment and stream. Energy, too, is per moment and
stream, of a gradient and a step of gradient descent, at the median of the constants of the profile
horowitz45: a word moves at the price of the smallest memory that holds its tensor.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from timing import memory, one_core, ratio, rounds, runner

import bioplaus as bp
from bioplaus.measure.cost import cost
from bioplaus.measure.counts import total
from bioplaus.measure.energy import energy, profiles
from bioplaus.types import Neuron, Rule

INPUTS, HIDDEN, CLASSES, B, T, RATE = 100, 64, 10, 16, 100, 0.03
PIECES = (1, 4, 20, T)
LENGTHS = (50, 100, 200, 400)
NEURONS: dict[str, Neuron] = {"lif": bp.lif(20.0), "alif": bp.alif(20.0, 200.0)}
WEIGHTS = jax.nn.initializers.variance_scaling(3.0, "fan_in", "normal")
KEY = jax.random.key(1)
LOSS = bp.at_each_moment(bp.cross_entropy)


def net_of(neuron: Neuron) -> bp.Net:
    hidden = bp.dense(HIDDEN, neuron, weights=WEIGHTS), bp.dense(HIDDEN, weights=WEIGHTS)
    return bp.recurrent(*hidden), bp.over_time(bp.dense(CLASSES, bp.leaky(20.0), weights=WEIGHTS))


def batch_of(moments: int) -> bp.Batch:
    spikes = jax.random.bernoulli(jax.random.key(0), RATE, (B, moments, INPUTS))
    return bp.Batch(spikes.astype(jnp.float32), jax.nn.one_hot(jnp.arange(B) % CLASSES, CLASSES))


def on_streams(rule: Rule) -> Rule:
    assert rule.stream is not None
    return rule.stream


def in_pieces(stream: Rule, moments: int) -> Callable[[Any, Any, jax.Array], Any]:
    """(params, state, x [B, T, inputs]) -> sum of the gradients of pieces of this many moments."""
    y = batch_of(1).y

    def gradient(params, state, x):
        def one(carry, piece):
            state, total = carry
            grads, state, _ = stream.grad(params, state, bp.Batch(piece, y), KEY)
            return (state, jax.tree.map(jnp.add, total, grads)), None

        pieces = jnp.moveaxis(x.reshape(B, -1, moments, INPUTS), 1, 0)
        zeros = jax.tree.map(jnp.zeros_like, params)
        return jax.lax.scan(one, (state, zeros), pieces)[0][1]

    return gradient


def programs_of(neuron: Neuron) -> tuple[dict[str, Callable[[Any], Any]], Any]:
    """Name -> (params) -> gradient of one sequence, compiled, and parameters."""
    net, batch = net_of(neuron), batch_of(T)
    params, backprop = bp.init(net, KEY, batch.x), bp.rules.backprop(net, LOSS)
    rule = bp.rules.eprop(net, LOSS)
    state = on_streams(rule).init(KEY, params, batch._replace(x=batch.x[:, :1]))

    def whole(rule: Rule, state: Any):
        return jax.jit(lambda p: rule.grad(p, state, batch, KEY)[0])

    def streamed(moments: int):
        run = jax.jit(in_pieces(on_streams(rule), moments))
        return lambda params: run(params, state, batch.x)

    programs = {"bptt": whole(backprop, ()), "whole": whole(rule, state.learned)}
    programs |= {f"K = {k}": streamed(k) for k in PIECES}
    check_alike(programs, params)
    return programs, params


def check_alike(programs: dict[str, Callable[[Any], Any]], params) -> None:
    """Raise RuntimeError unless pieces give the gradient of the whole, to 1e-4 of its largest."""
    want = jax.tree.leaves(programs["whole"](params))
    for name, program in list(programs.items())[2:]:
        for a, b in zip(want, jax.tree.leaves(program(params)), strict=True):
            if not (off := float(jnp.abs(a - b).max() / jnp.abs(a).max())) < 1e-4:
                raise RuntimeError(f"{name}: the gradient differs from the whole by {off:.1e}")


def timed(count: int) -> dict[str, Any]:
    """Time over that of backprop through time, of each neuron."""
    report = {}
    for name, neuron in NEURONS.items():
        programs, params = programs_of(neuron)

        def descent(program, params=params):
            def step(p):
                return jax.tree.map(lambda w, g: w - 1e-3 * g, p, program(p))

            return runner(params, step, time.process_time)

        took = rounds({n: descent(program) for n, program in programs.items()}, count)
        ms = 1e3 * statistics.median(took["bptt"])
        found = {n: ratio(each, took["bptt"])._asdict() for n, each in took.items() if n != "bptt"}
        report[name] = {"bptt ms": ms, "over bptt": found}
        shown = "   ".join(
            f"{n} {r['median']:.2f} [{r['min']:.2f}, {r['max']:.2f}]" for n, r in found.items()
        )
        print(f"{name:5} bptt {ms:.1f} ms; over it: {shown}", flush=True)
    return report


def planned() -> dict[str, Any]:
    """MiB of one call, and MACs and nJ per moment and stream."""
    report = {}
    for name, neuron in NEURONS.items():
        net = net_of(neuron)
        calls = {f"bptt T = {n}": (bp.rules.backprop(net, LOSS), n) for n in LENGTHS}
        rules = {"eprop": bp.rules.eprop, "ottt": bp.rules.ottt}
        if name != "lif":
            del rules["ottt"]  # it takes no adaptive neurons
        for key, rule in rules.items():
            stream = on_streams(rule(net, LOSS))
            calls |= {f"{key} K = {k}": (stream, k) for k in PIECES}
        report[name] = {call: planned_of(net, *which) for call, which in calls.items()}
        for call, (mib, macs, nj) in report[name].items():
            print(f"{name:5} {call:14} {mib:.2f} MiB {macs:10,.0f} MACs {nj:8,.0f} nJ", flush=True)
    return report


def planned_of(net: bp.Net, rule: Rule, moments: int) -> tuple[float, float, float]:
    """(MiB, MACs and nJ per moment and stream) of a gradient of this many moments."""
    batch = batch_of(moments)
    params = bp.init(net, KEY, batch.x)
    state = rule.init(KEY, params, batch)
    mib = memory(lambda p, s, b: rule.grad(p, s, b, KEY)[:2], params, state, batch)
    counts = cost(rule, net, batch, tx=optax.sgd(0.1))
    joules = energy(counts, profiles()["horowitz45"]).E_total.median
    macs = total(counts).macs  # the optimiser has none
    return mib, float(macs) / moments, 1e9 * joules / moments


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=None, help="also write the figures as JSON")
    args = parser.parse_args()
    one_core()
    report = {"planned": planned(), "times": timed(args.rounds)}
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
