"""The normalisation model of attention: contrast gain, response gain, and what it does to tuning.

    python papers/reynolds2009/run.py [--out results.csv]

writes results.csv beside this file and prints it, in some seconds. Nothing is trained and nothing
is random. One convolution is the population: its positions are places, its channels preferred
orientations; `divisive` neurons, whose pool is wider than what drives a unit, and
`spatial_attention` or `feature_attention` on its currents.
"""

import argparse
import csv
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import bioplaus as bp
from bioplaus.modulators import feature_attention, spatial_attention
from bioplaus.neurons import divisive

HERE = Path(__file__).parent
KEY = jax.random.key(0)
PLACES, ORIENTATIONS, SIGMA, PEAK = 241, 18, 0.02, 4.0
DRIVE, POOL, TUNING = 2.0, 30.0, 25.0  # standard deviations: places, places, degrees
LEFT, RIGHT, MIDDLE = 60, 180, 120
PREFERRED, OTHER = 4, 13  # orientations 90 degrees apart
SMALL, LARGE = 1.5, 40.0  # of stimuli and of attention, places
CONTRASTS = np.logspace(-4, 3, 71)


def bell(distance, sd):
    return np.exp(-(np.asarray(distance, float) ** 2) / (2 * sd**2))


def apart(a, b):
    """The angle between orientations, in degrees, 0 to 90."""
    d = np.abs(np.subtract.outer(a, b)) % 180
    return np.minimum(d, 180 - d)


ANGLES = np.arange(ORIENTATIONS) * 180 / ORIENTATIONS
SPREAD = bell(np.subtract.outer(np.arange(PLACES), np.arange(PLACES)), POOL)
SPREAD = jnp.asarray(SPREAD / SPREAD.sum(1).mean(), jnp.float32)


def wide(drive):
    """The mean of all orientations, and of places nearby: [B, 1, places, 1]."""
    return jnp.einsum("xy,bry->brx", SPREAD, drive.mean(-1))[..., None]


def own(drive):
    return drive


POOLS = {"wide pool": wide, "own pool": own}
KERNEL = 4 * int(DRIVE) + 1  # the rows of the kernel beside the middle one see no input


def population(pool):
    """The layer, and its weights: a Gaussian over places, and over orientations."""
    neuron = bp.relu() if pool is None else divisive(bp.relu(), SIGMA, pool=pool)
    layer = bp.conv(ORIENTATIONS, KERNEL, neuron, padding=KERNEL // 2)
    w = np.zeros((KERNEL, KERNEL, ORIENTATIONS, ORIENTATIONS), np.float32)
    over = bell(np.arange(KERNEL) - KERNEL // 2, DRIVE)
    tuning = bell(apart(ANGLES, ANGLES), TUNING)
    w[KERNEL // 2] = over[:, None, None] / over.sum() * tuning
    return (layer,), ({"w": jnp.asarray(w), "b": jnp.zeros(ORIENTATIONS)},)


def stimulus(place, angle, size, contrast=1.0):
    """[places, orientations]."""
    return contrast * np.outer(bell(np.arange(PLACES) - place, size), ANGLES == angle)


def responses(pool, modulator, images, context):
    """[B, places, orientations] to images [B, places, orientations] under attention."""
    net, params = population(pool)
    x = jnp.asarray(images, jnp.float32)[:, None]
    names = {"place": jnp.full(len(x), context), "feature": jnp.full(len(x), context)}
    currents = bp.net.current_shapes(net, params, bp.Batch(x, x), KEY)
    gains = modulator.gain(modulator.init(KEY, currents), names)
    output = bp.forward(bp.with_gain(net, gains), params, x, KEY).output
    return np.asarray(output, np.float64)[:, 0]


def looking(places, width):
    """Attention of PEAK at one of the places, and of 1 far away, in units of what is far away."""
    at = np.array([[0.0, p] for p in places])
    return spatial_attention(0, at, width=width, floor=1 / PEAK)


def curve(pool, size, width, context):
    """The response of the unit at RIGHT to growing contrast of two stimuli, LEFT and RIGHT."""
    pair = stimulus(LEFT, ANGLES[PREFERRED], size) + stimulus(RIGHT, ANGLES[PREFERRED], size)
    # the gain far away is 1 / PEAK: contrasts are counted as if it were 1
    images = PEAK * CONTRASTS[:, None, None] * pair
    return responses(pool, looking((LEFT, RIGHT), width), images, context)[:, RIGHT, PREFERRED]


def half(values):
    """The contrast at which half of the largest response is reached."""
    return np.exp(np.interp(values.max() / 2, values, np.log(CONTRASTS)))


def gains():
    """How attention changes the largest response, and the contrast of half of it."""
    for name, pool in POOLS.items():
        for size, width, what in (
            (SMALL, LARGE, "small stimulus, wide attention"),
            (LARGE, SMALL, "large stimulus, narrow attention"),
        ):
            away, there = (curve(pool, size, width, context) for context in (0, 1))
            yield what, name, "contrast of half the maximum, ratio", half(there) / half(away)
            yield what, name, "maximum, ratio", there.max() / away.max()


def features():
    """Attention to one of two orientations, or to none, of the gain PEAK at the orientation."""
    z = bell(apart(ANGLES[[PREFERRED, OTHER]], ANGLES), TUNING)
    return feature_attention(0, np.concatenate([z, 0 * z[:1]]), strength=np.log(PEAK))


def competition():
    """Two stimuli in the field of a unit, of its preferred orientation and of the opposite one."""
    good, bad = (stimulus(MIDDLE, ANGLES[i], SMALL) for i in (PREFERRED, OTHER))
    for name, pool in POOLS.items():
        what = "two stimuli in a field"
        yield what, name, "preferred alone", attending(pool, good, 2)
        yield what, name, "attention to the preferred", attending(pool, good + bad, 0)
        yield what, name, "attention to neither", attending(pool, good + bad, 2)
        yield what, name, "attention to the other", attending(pool, good + bad, 1)
        yield what, name, "other alone", attending(pool, bad, 2)


def attending(pool, image, context):
    return responses(pool, features(), image[None], context)[0, MIDDLE, PREFERRED]


def tuned():
    """The tuning of a unit under attention to its place, and a population that all orientations
    drive alike under attention to one of them."""
    images = PEAK * np.stack([stimulus(RIGHT, a, SMALL, 0.1) for a in ANGLES])
    away, there = (
        responses(wide, looking((LEFT, RIGHT), LARGE), images, c)[:, RIGHT, PREFERRED]
        for c in (0, 1)
    )
    ratio = (there / away)[away > 0.05 * away.max()]
    yield "tuning, attention to the place", "wide pool", "smallest ratio", ratio.min()
    yield "tuning, attention to the place", "wide pool", "largest ratio", ratio.max()
    for name, pool in POOLS.items():
        same = np.ones((1, PLACES, ORIENTATIONS)) / ORIENTATIONS
        before, under = (responses(pool, features(), same, c)[0, MIDDLE] for c in (2, 0))
        change = under / before
        what = "population, attention to an orientation"
        yield what, name, "ratio of units tuned to it", change[PREFERRED]
        yield what, name, "ratio of units 90 degrees away", change[OTHER]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "results.csv")
    told = parser.parse_args()
    rows = [*gains(), *competition(), *tuned()]
    with told.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("experiment", "pool", "measure", "value"))
        writer.writerows([*row[:-1], f"{row[-1]:.4f}"] for row in rows)
    for row in rows:
        print(*row[:-1], f"{row[-1]:.3f}", sep=" | ")


if __name__ == "__main__":
    main()
