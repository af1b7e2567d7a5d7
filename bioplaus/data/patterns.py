"""Sequences whose answer is a pattern or a class: pattern generation, and random manifolds.

Both are made from a seed, the same on every machine, as a Batch of numpy arrays.
"""

import numpy as np

from bioplaus.data.dataset import Dataset, batch, one_hot, uniform
from bioplaus.data.recall import of_trials, spikes
from bioplaus.types import Batch


def pattern_generation(
    n: int,
    seed: int = 0,
    *,
    pattern: int = 0,
    outputs: int = 3,
    duration: float = 1_000.0,
    groups: int = 5,
    population: int = 4,
    rate: float = 50.0,
    dt: float = 1.0,
) -> Batch:
    """Give a fixed pattern in time, from an input that says only what time it is.

    y [n, T, outputs]: each output is the sum of 5 sines of 1 to 5 Hz, of amplitudes between 0.5 and
    2 and phases by chance, from the seed `pattern`, the same in all trials, divided by its largest
    absolute value. All moments are asked for: train by `bp.at_each_moment(bp.mse)`. x [n, T, groups
    population]: group g of the neurons fires in the g-th of `groups` equal parts of the time, as
    Poisson processes of `rate` Hz, from `seed`.

    After Bellec et al., 2020, doi:10.1038/s41467-020-17236-y. Raises ValueError for fewer trials
    than 1, and for a duration of fewer moments than groups.
    """
    moments = round(duration / dt)
    if n < 1 or moments < groups:
        raise ValueError(
            f"pattern_generation: got {n} trials of {moments} moments for {groups} groups; give 1"
            " or more, of as many moments as groups"
        )
    time = np.arange(moments) * (dt / 1_000)
    chance = uniform(2 * 5 * outputs, (pattern, 200)).reshape(2, 5, outputs, 1)
    amplitude, phase = 0.5 + 1.5 * chance[0], 2 * np.pi * chance[1]
    hertz = np.arange(1, 6)[:, None, None]
    y = (amplitude * np.sin(2 * np.pi * hertz * time + phase)).sum(0).T
    y = (y / np.abs(y).max(0)).astype(np.float32)
    group = np.arange(moments) * groups // moments
    rates = rate * np.repeat(one_hot(group, groups), population, 1)
    x = spikes(np.broadcast_to(rates, (n, *rates.shape)), dt, seed)
    return batch(x, np.repeat(y[None], n, 0), np.ones(x.shape[:2], bool))


def random_manifolds(
    n: int,
    seed: int = 0,
    *,
    manifolds: int = 0,
    classes: int = 10,
    dimensions: int = 1,
    inputs: int = 20,
    smoothness: float = 2.0,
    moments: int = 100,
) -> Batch:
    """Of which manifold is a point, given as the times of spikes? y [n, classes], one-hot.

    Each class is a smooth random manifold in `inputs` dimensions: with z uniform in [0, 1]^D,
        f_i(z) = prod_d sum_{k=1}^{K-1} A_idk (k + 1)^(-alpha) sin(2 pi (k z_d B_idk + C_idk)),
    A, B, C: uniform in [0, 1], from the seed `manifolds`;  D: dimensions;  alpha: smoothness;
    K = ceil(1000^(1 / alpha)), 1000 at most. Each f_i is scaled to [0, 1] by its range on 1,000
    points of its class. x [n, moments, inputs]: input i has one spike, at moment
    floor(f_i moments). Points z, and the order of classes, are drawn from `seed`.

    Zenke, Vogels, "The remarkable robustness of surrogate gradient learning for instilling complex
    function in spiking neural networks", 2021, doi:10.1162/neco_a_01367;
    https://github.com/fzenke/randman. Departure: there the range is that of the sample.
    Raises ValueError for fewer points than 1, and for numbers below 1 (classes: 2).
    """
    if min(n, dimensions, inputs, moments, classes - 1) < 1 or not smoothness > 0:
        raise ValueError(
            f"random_manifolds: got {n} points of {classes} classes, {dimensions} dimensions,"
            f" {inputs} inputs, {moments} moments, smoothness {smoothness}; give 1 or more of each,"
            " 2 classes or more, and a smoothness above 0"
        )
    k = np.arange(1, min(np.ceil(1_000 ** (1 / smoothness)), 1_000))
    shape = (classes, 3, inputs, dimensions, len(k))
    a, b, c = np.moveaxis(uniform(int(np.prod(shape)), (manifolds, 300)).reshape(shape), 1, 0)
    labels = np.floor(uniform(n, (seed, 301)) * classes).astype(int)
    z = uniform(n * dimensions, (seed, 302)).reshape(n, 1, dimensions, 1)
    cloud = uniform(1_000 * dimensions, (manifolds, 303)).reshape(1_000, 1, dimensions, 1)

    def points(z, label):
        waves = np.sin(2 * np.pi * (k * z * b[label] + c[label]))
        return (a[label] * (k + 1) ** -smoothness * waves).sum(-1).prod(-1)

    f = np.empty((n, inputs))
    for label in range(classes):
        ranged, mine = points(cloud, label), labels == label
        low, high = ranged.min(0), ranged.max(0)
        f[mine] = (points(z[mine], label) - low) / (high - low)
    moment = np.clip(np.floor(f * moments), 0, moments - 1)
    x = (np.arange(moments)[:, None] == moment[:, None]).astype(np.float32)
    return batch(x, one_hot(labels, classes))


def load_pattern() -> Dataset:
    """Pattern generation: 3 sums of sines in 1 s from spikes that tell the time; moments of 5 ms.

    1,000 train, 200 validation and 400 test trials [200, 20], which are made from seeds.
    """
    return of_trials(
        "pattern-generation",
        lambda n, seed: pattern_generation(n, seed, dt=5.0),
        5.0,
        "Bellec et al., 2020, doi:10.1038/s41467-020-17236-y.",
    )


def load_manifolds() -> Dataset:
    """Random manifolds: 10 classes of 20 spike times on curves, 100 moments of 1 ms.

    1,000 train, 200 validation and 400 test points [100, 20], which are made from seeds.
    """
    return of_trials(
        "random-manifolds", random_manifolds, 1.0, "Zenke, Vogels, 2021, doi:10.1162/neco_a_01367."
    )
