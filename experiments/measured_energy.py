"""Measured energy of training steps on an NVIDIA GPU, and a fit of it to what the program computes.

    python experiments/measured_energy.py            (needs the extras cuda and nvml; about 3 hours
        at the full protocol)
    python experiments/measured_energy.py --quick    (a tenth of the windows: to see that it runs,
        not for print)

4 rules x 2 widths x 2 batches: joules a step gross and net of idle, mean and standard error of 8
windows of 30 s and 500 ticks of the counter; then E_net = a FLOP + b bytes + c t with its
leave-one-out error (accepted below 15 %), and the share of the peak rate that a implies. FLOP and
bytes are those of `bioplaus.measure.cost`, the optimiser's with them. No number here yet: it has
not been run on a GPU.
"""

import argparse

import jax
import jax.numpy as jnp
import optax

import bioplaus as bp
from bioplaus.measure import cost, total
from bioplaus.measure.energy import meter
from bioplaus.rules import RULES
from bioplaus.types import Batch

NAMES = ("bp", "fa", "dfa", "pc")
WIDTHS = (512, 4096)
BATCHES = (128, 1024)
PEAK, POWER = 67e12, 700.0  # H200: FLOP/s in float32, W; change for another GPU


def step_of(name: str, width: int, size: int):
    """One compiled training step as a function that blocks, its FLOP and its bytes."""
    net = bp.mlp((784, width, width, 10))
    rule, tx = RULES[name](net, bp.cross_entropy), optax.adam(1e-3)
    key = jax.random.key(0)
    batch = Batch(jax.random.normal(key, (size, 784)), jax.nn.one_hot(jnp.arange(size) % 10, 10))
    params = bp.init(net, key, batch.x)
    held = [(params, tx.init(params), rule.init(key, params, batch))]

    @jax.jit
    def step(params, opt, state):
        grads, state, _ = rule.grad(params, state, batch, key)
        updates, opt = tx.update(grads, opt, params)
        return optax.apply_updates(params, updates), opt, state

    def call() -> None:
        held[0] = jax.block_until_ready(step(*held[0]))

    call()
    counted = cost(rule, net, batch, tx=tx)
    all_of_it = total(counted)
    flop = float(2 * all_of_it.macs + all_of_it.ops) * size
    return call, flop, float(sum(t.words for t in counted.traffic)) * 4 * size


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    counter = meter.nvml()
    window = meter.Window(warm=1, seconds=3, ticks=50, idle=1) if args.quick else meter.PROTOCOL
    precision = getattr(jax.config, "jax_default_matmul_precision", None) or "default"
    print(f"jax_default_matmul_precision: {precision}, {jax.devices()[0].device_kind}")
    points = []
    for name in NAMES:
        for width in WIDTHS:
            for size in BATCHES:
                call, flop, moved = step_of(name, width, size)
                m = meter.measure(call, counter, window)
                points.append(meter.Point(flop, moved, m.seconds, m.net))
                print(
                    f"{name:4} width {width:5} batch {size:5}: gross {m.gross:.4g} +-"
                    f" {m.gross_error:.2g} J, net {m.net:.4g} +- {m.net_error:.2g} J,"
                    f" {m.seconds:.3g} s, idle {m.idle[0]:.0f} and {m.idle[1]:.0f} W"
                )
    f = meter.fit(points)
    print(
        f"E_net = {f.a:.3g} J/FLOP + {f.b:.3g} J/byte + {f.c:.3g} W t; left out, the median error"
        f" is {f.error:.1%}"
    )
    print("accepted" if f.error < 0.15 else "not accepted: 15 % or more")
    print(
        f"a is {f.a / (POWER / PEAK):.2f} times the least a FLOP can cost at full power; below 1"
        " the fit is not physical"
    )


if __name__ == "__main__":
    main()
