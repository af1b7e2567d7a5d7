"""Time of the library's convolution for CPUs against the forms of `jax.lax`.

The library's form is one matrix product per block of outputs. Its block size is compared with all
others: this measurement is behind `bioplaus.layers.convolution.WORD`.

    python experiments/benchmarks/convolutions.py [--rounds 5] [--out convolutions.json]

Forward, and back to weights and input (in a first layer, to the weights only), inside `lax.scan` as
in training; float32. A ratio is the form's time over the library's within a round: median [min,
max].
"""

import argparse
import json
import statistics
from pathlib import Path

import jax
import jax.numpy as jnp
from timing import ratio, rounds, runner

from bioplaus.layers.convolution import convolve, divisors, product

# images with their padding, kernel, channels out; the first layer of a net sends nothing back
LAYERS = {
    "LeNet-5, first": ((128, 32, 32, 1), 5, 6, True),
    "LeNet-5, second": ((128, 14, 14, 6), 5, 16, False),
    "SoftHebb, first": ((10, 36, 36, 3), 5, 96, True),
    "ResNet-20, 16": ((128, 34, 34, 16), 3, 16, False),
    "ResNet-20, 32": ((128, 18, 18, 32), 3, 32, False),
    "ResNet-20, 64": ((128, 10, 10, 64), 3, 64, False),
}
DIMENSIONS = ("NHWC", "HWIO", "NHWC")
WHERE = (1, 1), ((0, 0), (0, 0))  # strides, padding
STEPS = 5  # a timed call


def native(w, x):
    return jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=DIMENSIONS)


def patches(w, x):
    columns = jax.lax.conv_general_dilated_patches(
        x, w.shape[:2], (1, 1), "VALID", dimension_numbers=DIMENSIONS
    )
    return columns @ w.transpose(2, 0, 1, 3).reshape(-1, w.shape[-1])


def timed(form, w, x, first: bool):
    """A timed call of STEPS passes there and back."""

    def body(carry, _):
        w, x = carry
        current, back = jax.vjp(form, w, x)
        on_w, on_x = back(jnp.tanh(current))
        return (w - 1e-6 * on_w, x + 0 * on_w[0, 0, 0, 0] if first else x + 1e-9 * on_x), None

    return runner((w, x), jax.jit(lambda carry: jax.lax.scan(body, carry, length=STEPS)[0]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=None, help="also write the figures as JSON")
    args = parser.parse_args()
    report = {}
    print(
        f"{jax.devices()[0].device_kind}, {args.rounds} rounds; time over the library's within a"
        " round: median [min, max]"
    )
    for name, (shape, size, channels, first) in LAYERS.items():
        x = jax.random.normal(jax.random.key(0), shape)
        w = jax.random.normal(jax.random.key(1), (size, size, shape[-1], channels)) / size
        forms = {"ours": lambda w, x: convolve(x, w, *WHERE), "native": native, "patches": patches}
        for n in divisors(shape[2] - size + 1):
            forms[f"block {n}"] = lambda w, x, n=n: product(x, w, *WHERE, n)
        seconds = rounds({form: timed(f, w, x, first) for form, f in forms.items()}, args.rounds)
        print(
            f"{name:16} ours {1e3 * statistics.median(seconds['ours']) / STEPS:.1f} ms", flush=True
        )
        for form in list(forms)[1:]:
            r = ratio(seconds[form], seconds["ours"])
            report[f"{name}: {form}"] = r._asdict() | {
                "ms": 1e3 * statistics.median(seconds[form]) / STEPS
            }
            print(f"{'':16} {form:9} {r.median:6.2f} [{r.min:.2f}, {r.max:.2f}]", flush=True)
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
