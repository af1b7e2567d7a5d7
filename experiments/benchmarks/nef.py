"""A second of an NEF integrator: nengo's simulator against the same model read by `nef.from_nengo`.

    python experiments/benchmarks/nef.py [--neurons 1000] [--runs 32] [--rounds 7] [--bits 64]
        [--out nef.json]

1,000 steps of 1 ms, the same neurons, decoders and voltages; needs nengo 4.1.0. bits: 64 or 32, of
the floats here; nengo has 64, its default. Programs
run in turn on one core in CPU time. `runs` is so many runs with different inputs by `jax.vmap`,
against as many of nengo's one after another, of which one is timed. The seconds of building and of
compiling are wall-clock time, once.
"""

import argparse
import importlib
import json
import statistics
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from timing import one_core, ratio, rounds, runner

from bioplaus import nef

STEPS = 1000


def integrator(nengo: Any, n: int) -> Any:
    with nengo.Network(seed=0) as network:
        u = nengo.Node(lambda t: 1.0 * (t < 0.3))
        a = nengo.Ensemble(n, 1)
        nengo.Connection(u, a, transform=0.1, synapse=0.1)
        nengo.Connection(a, a, synapse=0.1)
        nengo.Probe(a, synapse=0.01)
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neurons", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    one_core()
    jax.config.update("jax_enable_x64", args.bits == 64)
    nengo = importlib.import_module("nengo")
    network = integrator(nengo, args.neurons)

    start = time.perf_counter()
    sim = nengo.Simulator(network, progress_bar=False)
    built = time.perf_counter() - start

    def theirs() -> float:
        begin = time.process_time()
        sim.run_steps(STEPS, progress_bar=False)
        return time.process_time() - begin

    read = nef.from_nengo(network)
    net, inputs = nef.network(read.model), read.inputs(STEPS)["inputs"]
    many = jax.tree.map(lambda u: u * jnp.linspace(0.5, 1, args.runs)[:, None, None], inputs)
    advance = jax.jit(lambda state: nef.run(net, inputs, state=state)[0])
    together = jax.jit(jax.vmap(lambda state, u: nef.run(net, u, state=state)[0]))
    states = jax.vmap(lambda _: net.init())(jnp.arange(args.runs))
    start = time.perf_counter()
    one = runner(net.init(), advance, time.process_time)
    compiled = time.perf_counter() - start
    runs = runner(states, lambda s: together(s, many), time.process_time)

    seconds = rounds({"nengo": theirs, "one": one, "runs": runs}, args.rounds)
    each = [s / args.runs for s in seconds["runs"]]
    found = {
        "neurons": args.neurons,
        "bits": args.bits,
        "nengo / one run": ratio(seconds["nengo"], seconds["one"]),
        f"nengo / one of {args.runs} runs": ratio(seconds["nengo"], each),
        "nengo, CPU s": statistics.median(seconds["nengo"]),
        "nengo builds, s": built,
        "compiled and run twice, s": compiled,
    }
    for name, value in found.items():
        print(name, value)
    if args.out:
        args.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
