"""Those corruptions of MNIST-C and CIFAR-10-C that pure JAX can make.

They have the five severities of their authors' code.

Sets made here are called "-like": distributions and severities are the authors', but not the random
numbers, because the authors set no seed. So they are not the published arrays, which
`bioplaus.data.corrupted` reads.

Mu, Gilmer, "MNIST-C: A Robustness Benchmark for Computer Vision", 2019, arXiv:1906.02337,
https://github.com/google-research/mnist-c; Hendrycks, Dietterich, "Benchmarking Neural Network
Robustness to Common Corruptions and Perturbations", 2019, arXiv:1903.12261,
https://github.com/hendrycks/robustness. Departures, MNIST-C: the published set has one severity of
each corruption, here are all five of the code; the severities of occlusion (not in their set),
stripe (theirs: 7 columns), dotted line and zigzag (theirs: one line) are ours. CIFAR-10-C: 8 of 19
corruptions.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bioplaus.measure.accuracy import Answer
from bioplaus.measure.robustness.corruptions import drawn, geometric, noise, optical
from bioplaus.types import Array, Key, PyTree

SEVERITIES = (1, 2, 3, 4, 5)
CHUNK = 50  # images made at once; the random numbers of fog take 250 kB per image


class Corruption(NamedTuple):
    """A corruption. apply: (x [H, W, C], severity, u [draws]) -> the same shape, in [0, 1].
    severities: for levels 1 to 5, in `unit`.

    draws: number of uniform random numbers per image, None for one per value. lengths: whether
    severities are in pixels of the suite's image size, and scale with the image.
    """

    apply: Callable[[Array, Any, Array], Array]
    severities: tuple[Any, ...]
    unit: str
    draws: int | None = 0
    lengths: bool = False


class Suite(NamedTuple):
    """A set of corruptions. side: size in pixels of the images that its lengths are meant for.
    to_byte: how 255 x becomes an integer.
    """

    name: str
    side: int
    to_byte: Callable[[Array], Array]
    corruptions: Mapping[str, Corruption]


MNIST_C_LIKE = Suite(
    "MNIST-C-like",
    28,
    jnp.round,
    {
        "gaussian noise": Corruption(
            noise.gaussian, (0.08, 0.12, 0.18, 0.26, 0.38), "standard deviation", None
        ),
        "shot noise": Corruption(
            noise.shot, (60.0, 25.0, 12.0, 5.0, 3.0), "photons at full brightness", None
        ),
        "impulse noise": Corruption(
            noise.impulse, (0.03, 0.06, 0.09, 0.17, 0.27), "fraction of values", None
        ),
        "speckle noise": Corruption(
            noise.speckle, (0.15, 0.2, 0.35, 0.45, 0.6), "standard deviation / brightness", None
        ),
        "contrast": Corruption(optical.contrast, (0.4, 0.3, 0.2, 0.1, 0.05), "factor"),
        "brightness": Corruption(optical.brightness, (0.1, 0.2, 0.3, 0.4, 0.5), "added value"),
        "blur": Corruption(optical.blur, (1.0, 2.0, 3.0, 4.0, 6.0), "sigma, pixels", lengths=True),
        "translate": Corruption(
            geometric.translate,
            (1.0, 2.0, 3.0, 4.0, 5.0),
            "pixels along each axis",
            2,
            lengths=True,
        ),
        "rotate": Corruption(geometric.rotate, (0.2, 0.4, 0.6, 0.8, 1.0), "rad", 1),
        "scale": Corruption(geometric.scale, (0.9, 0.8, 0.7, 0.6, 0.5), "factor"),
        "shear": Corruption(geometric.shear, (0.2, 0.4, 0.6, 0.8, 1.0), "rad", 1),
        "occlusion": Corruption(
            drawn.occlusion, (4.0, 7.0, 10.0, 13.0, 16.0), "side, pixels", 2, lengths=True
        ),
        "quantise": Corruption(optical.quantise, (5.0, 4.0, 3.0, 2.0, 1.0), "bits"),
        "stripe": Corruption(
            optical.stripe, (3.0, 5.0, 7.0, 9.0, 11.0), "columns at each side", lengths=True
        ),
        "fog": Corruption(
            optical.fog,
            ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)),
            "thickness, decay",
            256**2 - 1,
        ),
        "dotted line": Corruption(drawn.dotted_line, (1.0, 2.0, 3.0, 4.0, 5.0), "lines", 10),
        "zigzag": Corruption(drawn.zigzag, (1.0, 2.0, 3.0, 4.0, 5.0), "lines", 10),
    },
)

CIFAR10_C_LIKE = Suite(
    "CIFAR-10-C-like",
    32,
    jnp.floor,
    {
        "gaussian noise": Corruption(
            noise.gaussian, (0.04, 0.06, 0.08, 0.09, 0.10), "standard deviation", None
        ),
        "shot noise": Corruption(
            noise.shot, (500.0, 250.0, 100.0, 75.0, 50.0), "photons at full brightness", None
        ),
        "impulse noise": Corruption(
            noise.impulse, (0.01, 0.02, 0.03, 0.05, 0.07), "fraction of values", None
        ),
        "speckle noise": Corruption(
            noise.speckle, (0.06, 0.1, 0.12, 0.16, 0.2), "standard deviation / brightness", None
        ),
        "contrast": Corruption(optical.contrast, (0.75, 0.5, 0.4, 0.3, 0.15), "factor"),
        "brightness": Corruption(optical.brightness, (0.05, 0.1, 0.15, 0.2, 0.3), "added value"),
        "blur": Corruption(optical.blur, (0.4, 0.6, 0.7, 0.8, 1.0), "sigma, pixels", lengths=True),
        "fog": Corruption(
            optical.fog,
            ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75)),
            "thickness, decay",
            32**2 - 1,
        ),
    },
)


def suite_for(x: Array) -> Suite:
    """The suite for images like x [B, H, W, C].

    It is CIFAR-10-C-like for colour images, MNIST-C-like for grey ones. The name says so if lengths
    are rescaled.

    Raises ValueError for anything but square images of 1 or 3 channels.
    """
    if x.ndim != 4 or x.shape[1] != x.shape[2] or x.shape[3] not in (1, 3):
        raise ValueError(
            f"corruptions need square images [B, H, H, 1] or [B, H, H, 3], got {list(x.shape)}"
        )
    suite = MNIST_C_LIKE if x.shape[3] == 1 else CIFAR10_C_LIKE
    side = x.shape[1]
    return (
        suite
        if side == suite.side
        else suite._replace(name=f"{suite.name}, lengths scaled to {side} x {side}")
    )


def corrupted(suite: Suite, x: Array, key: Key) -> dict[str, Array]:
    """Every corruption of x [B, H, W, C] in [0, 1] at every severity.

    Returns name -> uint8 [5, B, H, W, C]. Call it inside jit.

    The random numbers of image i depend on the key, on i and on the suite, and are the same at all
    severities of a corruption.
    """
    ratio, table = x.shape[1] / suite.side, suite.corruptions
    draws = {name: x[0].size if c.draws is None else c.draws for name, c in table.items()}

    def one(xs: tuple[Array, Array]) -> dict[str, Array]:
        image, i = xs
        u, found, used = (
            jax.random.uniform(jax.random.fold_in(key, i), (sum(draws.values()),), x.dtype),
            {},
            0,
        )
        for name, c in table.items():
            part = u[used : used + draws[name]]
            used += draws[name]
            grid = jnp.asarray(c.severities, x.dtype) * (ratio if c.lengths else 1)
            made = jax.vmap(lambda severity, c=c, part=part: c.apply(image, severity, part))(grid)
            found[name] = suite.to_byte(255 * made).astype(jnp.uint8)
        return found

    size = min(CHUNK, len(x))
    chunks = -(-len(x) // size)
    padded = jnp.concatenate([x, jnp.zeros((chunks * size - len(x), *x.shape[1:]), x.dtype)])
    made = jax.lax.map(
        jax.vmap(one),
        (
            padded.reshape(chunks, size, *x.shape[1:]),
            jnp.arange(chunks * size).reshape(chunks, size),
        ),
    )
    return {
        name: jnp.moveaxis(a.reshape(-1, *a.shape[2:])[: len(x)], 1, 0) for name, a in made.items()
    }


def on_images(
    measure: Callable[[Array, Array], PyTree],
    predict: Answer,
    images: Array,
    y: Array,
    key: Key,
    *,
    dtype: DTypeLike = jnp.float32,
) -> PyTree:
    """measure(outputs, y) on each set of images, in one program.

    images: uint8 [..., B, H, W, C]. Returns leaves [..., *].

    Make the images once and use them for every net and seed. A net with noise answers each set with
    the same noise sample.
    """
    lead = images.shape[:-4]
    flat = images.reshape(-1, *images.shape[-4:])
    found = jax.lax.map(lambda x: measure(predict(x.astype(dtype) / 255, key), y), flat)
    return jax.tree.map(lambda a: a.reshape(*lead, *a.shape[1:]), found)
