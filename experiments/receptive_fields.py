"""Receptive fields that move on the fly: trained on one digit, tested on two, cued by gains alone.

    python experiments/receptive_fields.py [--rules bp,fa,dfa,local_pred,local_sim] [--seeds 5]
        [--steps 1000] [--figure docs/attention.svg]

A convolutional net learns to name ONE digit, which lies anywhere on a canvas of 36 x 36 pixels. It
has never seen two. It is then shown two digits of different labels, and told by a Gaussian gain on
the currents of its first layer (`spatial_attention`) in which quadrant the one asked for lies. No
weight changes. "Theory" is the shift of the measured field times the Gaussian of attention.

It gave, in 3 CPU-minutes, on test digits, % of answers that are the digit asked for, mean of seeds
10 to 14 (intervals are in docs/attention.md, and the command prints them):

                                       bp         fa        dfa local_pred  local_sim
    one digit, no cue                93.5       86.0       88.2       94.1       85.3
    two digits, no cue               39.4       36.4       38.0       38.9       32.7
    cue right                        85.1       72.0       74.6       88.3       79.8
    cue right, floor 0.3             79.5       66.6       70.1       80.9       68.3
    cue on the other                  1.6        3.5        2.9        1.1        2.1
    gains at shuffled places         30.8       27.8       26.4       32.7       17.7
    gained by the cue, paired        45.7       35.6       36.6       49.4       47.1

Cued on the other digit they name that one: 85.8, 71.9, 75.6, 88.8, 81.0 %. A floor of 0.3 silences
nothing. Fields of the second layer, in bp's nets: shift 2.91 pixels [2.82, 2.99], theory 3.58
[3.45, 3.72], r over units 0.96 [0.96, 0.97], with the distance alone 0.79 [0.77, 0.81]. Units
within 3 pixels of attention, and the 6.4 % that it silences, are left out.

The width (of 2.5, 3, 3.5 and 4) was chosen with seed 50 on validation digits; no other learning
rate was tried. At this one pepita learns with some seeds only (one digit 26.0 [0.0, 52.8], gained
9.4 [-2.3, 21.1]): local_sim, which learned with seed 50 too, took its place after that was seen.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import optax

import bioplaus as bp
from bioplaus.data.clutter import centres, clutter
from bioplaus.measure import receptive
from bioplaus.measure.statistics import interval
from bioplaus.modulators import modulate, spatial_attention
from bioplaus.report.canvas import SETTINGS, panels, to_svg
from bioplaus.report.look import COLOURS, GREY, INK
from bioplaus.rules import RULES
from bioplaus.train import make_train, replicate
from bioplaus.training.seeds import seed_key

FIRST_SEED = 10  # settings were chosen with seed 50, on validation digits
KERNEL, STRIDE, WIDTH, FLOOR = 5, 2, 3.5, 0.3  # the width in positions of the first layer
SIDE, PROBES, NOISE, IMAGES = 36, 24, 0.35, 40_000
HE = jax.nn.initializers.he_normal()
NET = (
    bp.conv(8, KERNEL, bp.relu(), stride=STRIDE, weights=HE),
    bp.conv(16, KERNEL, bp.relu(), stride=STRIDE, weights=HE),
    bp.flattened(bp.dense(64, bp.relu(), weights=HE)),
    bp.dense(10),
)
PIXELS = centres(SIDE, SIDE)
PLACES = (PIXELS - (KERNEL - 1) / 2) / STRIDE
KEY = seed_key(0)


class Trained(NamedTuple):
    """params, state: of the rule, an axis of seeds first."""

    params: tuple
    state: tuple


def trained(name: str, seeds: int, steps: int) -> Trained:
    """Nets that have learned single digits, by one rule."""
    alone = clutter(bp.data.load("digits").train, 10_064, count=1, seed=1)
    rule = RULES[name](NET, bp.cross_entropy)
    run = replicate(make_train(NET, rule, optax.adam(2e-3), bp.Batch(alone.x, alone.y)))
    keys = jax.vmap(seed_key)(jnp.arange(FIRST_SEED, FIRST_SEED + seeds))
    state, _ = run.advance(run.init(keys), steps)
    return Trained(state.params, state.rule)


def gains(floor: float = 0.0):
    """Of attention to each quadrant on the currents of the first layer, [4, 16, 16, 1]."""
    current = jax.ShapeDtypeStruct((1, 16, 16, 8), "float32")
    modulator = spatial_attention(0, PLACES, width=WIDTH, floor=floor)
    return modulator.init(KEY, (current,) * len(NET)).gains


def answering(name: str, nets: Trained) -> Callable:
    """(images, quadrants [N], gains of each quadrant) -> labels that the nets answer, [S, N]."""
    rule = modulate(RULES[name], spatial_attention(0, PLACES, width=WIDTH))(NET, bp.cross_entropy)

    @jax.jit
    def answers(nets, x, place, gains):
        context = {"place": place}
        sample = bp.Batch(x, jnp.zeros((len(x), 10)), context)

        def one(net: Trained):
            state = rule.init(KEY, net.params, sample)
            state = state._replace(rule=net.state, modulator=state.modulator._replace(gains=gains))
            return rule.predict(net.params, state, x, KEY, context).argmax(-1)

        return jax.lax.map(one, nets)

    return lambda x, place, gains: np.asarray(answers(nets, x, place, gains))


def accuracies(name: str, nets: Trained) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """condition -> % [S] of answers that are the digit asked for, and the other digit."""
    test = bp.data.load("digits").test
    alone = clutter(test, 4 * len(test.x), count=1, seed=2)
    two = clutter(test, 4 * len(test.x), seed=3)
    own, other = two.context["place"], two.context["other place"]
    none, some, full = gains(1.0), gains(FLOOR), gains()
    shuffled = jax.random.permutation(KEY, full.reshape(4, -1), axis=1).reshape(full.shape)
    answer = answering(name, nets)
    found = {
        "two digits, no cue": answer(two.x, own, none),
        "cue right": answer(two.x, own, full),
        f"cue right, floor {FLOOR}": answer(two.x, own, some),
        "cue on the other": answer(two.x, other, full),
        "gains at shuffled places": answer(two.x, own, shuffled),
    }
    labels, others = np.argmax(two.y, -1), np.argmax(two.context["other"], -1)
    one = 100 * (answer(alone.x, alone.context["place"], none) == alone.y.argmax(-1)).mean(1)
    return {"one digit, no cue": (one, 0 * one)} | {
        condition: (100 * (a == labels).mean(1), 100 * (a == others).mean(1))
        for condition, a in found.items()
    }


def layer_one(params, scale) -> Callable:
    """images -> outputs of the second layer, at a gain on the currents of the first."""
    net = bp.with_gain(NET[:2], (bp.Gain(scale), bp.Gain()))
    return lambda x: bp.forward(net, params[:2], x, KEY).output


@jax.jit
def fields(params):
    """Of the units of the second layer, without and with attention to each quadrant, [5, ...]."""
    scales = jnp.concatenate([gains(1.0)[:1], gains()])
    probes = NOISE * jax.random.normal(seed_key(1), (PROBES, SIDE, SIDE, 1))
    return jax.lax.map(
        lambda scale: receptive.mean_gradient(layer_one(params, scale[None]), probes), scales
    ), scales


class Moved(NamedTuple):
    """found, theory: shifts in pixels towards the quadrant of attention, of units whose field has a
    place. distance: of their centres from it. silent: units without a field under attention."""

    found: np.ndarray
    theory: np.ndarray
    distance: np.ndarray
    silent: int


def moved(before, under, quadrant: int) -> Moved:
    place = PIXELS[quadrant]
    found = np.ravel(receptive.shift(before, under, place))
    by_theory = receptive.attended(before, place, STRIDE * WIDTH)
    theory = np.ravel(receptive.shift(before, by_theory, place))
    distance = np.ravel(np.linalg.norm(receptive.centre(before) - place, axis=-1))
    had = distance > 3  # NaN, where there was no field before, is left out too
    kept = had & np.isfinite(found)
    return Moved(found[kept], theory[kept], distance[kept], int((had & ~kept).sum()))


def correlated(params, scales, fields) -> tuple[float, float, float]:
    """Shifts towards quadrant 0 by reverse correlation, by the mean gradient of the same units, and
    the correlation of the two.

    Fields are cut to the 13 x 13 pixels that a unit can see: the rest is noise of the estimate.
    """
    rows = jnp.arange(SIDE)
    sees = jnp.abs(rows - STRIDE**2 * jnp.arange(6)[:, None] - 6) <= 6  # [6, SIDE]
    seen = sees[:, None, None, :, None, None] & sees[None, :, None, None, :, None]
    by_noise = [
        seen
        * receptive.reverse_correlation(
            layer_one(params, scale[None]), (500, SIDE, SIDE, 1), KEY, images=IMAGES, sd=NOISE
        )
        for scale in scales[:2]
    ]
    a = np.ravel(receptive.shift(by_noise[0], by_noise[1], PIXELS[0]))
    b = np.ravel(receptive.shift(fields[0], fields[1], PIXELS[0]))
    far = np.ravel(np.linalg.norm(receptive.centre(fields[0]) - PIXELS[0], axis=-1)) > 3
    # what attention leaves of a field must stand out of the noise: a tenth of its energy
    strong = np.ravel(receptive.energy(fields[1]).sum((-2, -1))) > 0.1 * np.ravel(
        receptive.energy(fields[0]).sum((-2, -1))
    )
    kept = far & strong & np.isfinite(a) & np.isfinite(b)
    a, b = a[kept], b[kept]
    return float(a.mean()), float(b.mean()), float(np.corrcoef(a, b)[0, 1])


def draw(before, under, shift: Moved, found, file: Path) -> None:
    """Fields and their centres without and with attention to the first quadrant, shifts against
    theory, and accuracies."""
    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]
        fig, (first, second, third, fourth) = panels(4, 2, 2.5)
        # the mean over channels: of single units the stride leaves a grid of dots
        pair = [np.asarray(receptive.energy(f[3, 3]).mean(0)) for f in (before, under)]
        shown = np.concatenate([np.sqrt(e / e.max()) for e in pair], 1)
        first.imshow(shown, cmap="Greys")
        first.axvline(SIDE - 0.5, color=INK, linewidth=0.8)
        first.plot(PIXELS[0][1] + SIDE, PIXELS[0][0], "+", color=COLOURS[1], markersize=9)
        first.set(title="Fields of one place: no cue; under attention to +", xticks=[], yticks=[])
        starts, ends = (np.nanmean(receptive.centre(f), 2).reshape(-1, 2) for f in (before, under))
        ways = (ends - starts).T
        arrows = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.006}
        second.quiver(starts[:, 1], starts[:, 0], ways[1], ways[0], color=COLOURS[0], **arrows)
        second.plot(*PIXELS[0][::-1], "+", color=COLOURS[1], markersize=9)
        second.set(title="Centres of fields of each place: towards +", aspect="equal")
        second.set(xlim=(0, SIDE - 1), ylim=(SIDE - 1, 0))
        third.plot(shift.theory, shift.found, ".", color=COLOURS[0], markersize=3, alpha=0.5)
        third.axline((0, 0), slope=1, color=INK, linewidth=0.8)
        third.set(title="Shift of each field, pixels", xlabel="theory", ylabel="measured")
        conditions = ["two digits, no cue", "cue right", "cue on the other"]
        for i, (condition, colour) in enumerate(zip(conditions, (GREY, *COLOURS), strict=False)):
            means = [of[condition][0].mean() for of in found.values()]
            fourth.bar(np.arange(len(found)) + 0.27 * (i - 1), means, 0.25, color=colour)
            fourth.plot([], [], "s", color=colour, label=condition)
        fourth.set(title="The digit asked for, % of answers", ylim=(0, 130), yticks=(0, 50, 100))
        fourth.set_xticks(range(len(found)), list(found))
        fourth.legend(loc="upper right", ncols=2, handlelength=1.0)
        file.write_text(to_svg(fig, "attention") + "\n", encoding="utf-8")


def of_fields(nets: Trained, seeds: int):
    """Print how the fields of each net move; the fields and shifts of the first net."""
    first, rows = None, []
    for s in range(seeds):
        params = jax.tree.map(lambda a, s=s: a[s], nets.params)
        every, scales = fields(params)
        each = [moved(every[0], every[1 + q], q) for q in range(4)]
        together = Moved(*(np.concatenate([m[i] for m in each]) for i in range(3)), silent=0)
        rows.append(
            (
                together.found.mean(),
                together.theory.mean(),
                np.corrcoef(together.found, together.theory)[0, 1],
                np.corrcoef(together.found, together.distance)[0, 1],
                100 * (together.found > 0).mean(),
                100 * sum(m.silent for m in each) / (4 * every[0][..., 0, 0, 0].size),
            )
        )
        if first is None:
            first = every, each
            print(
                "  {:.2f} px by reverse correlation, {:.2f} by the gradient, r {:.2f}".format(
                    *correlated(params, scales, every)
                )
            )
    for name, values in zip(
        ("shift, px", "theory, px", "r with theory", "r with distance", "% towards", "% silent"),
        np.transpose(rows),
        strict=True,
    ):
        x = interval(values)
        print(f"  {name:28}{x.mean:7.2f} [{x.low:.2f}, {x.high:.2f}]", flush=True)
    return first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", default="bp,fa,dfa,local_pred,local_sim")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    found, example = {}, None
    for name in args.rules.split(","):
        nets = trained(name, args.seeds, args.steps)
        found[name] = accuracies(name, nets)
        print(name)
        for condition, (own, other) in found[name].items():
            x = interval(own, bounds=(0, 100))
            print(
                f"  {condition:28}{x.mean:7.1f} [{x.low:.1f}, {x.high:.1f}]"
                f"  the other digit {other.mean():.1f}",
                flush=True,
            )
        gain = interval(found[name]["cue right"][0] - found[name]["two digits, no cue"][0])
        print(
            f"  {'gained by the cue, paired':28}{gain.mean:7.1f} [{gain.low:.1f}, {gain.high:.1f}]"
        )
        example = example or of_fields(nets, args.seeds)
    if args.figure and example:
        every, each = example
        draw(every[0], every[1], each[0], found, args.figure)


if __name__ == "__main__":
    main()
