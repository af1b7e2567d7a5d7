"""Images as sequences: row by row, pixel by pixel, and pixels in a fixed random order.

Le, Jaitly, Hinton, "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units", 2015,
arXiv:1504.00941. `bioplaus.encoders.rows` does the same to a batch, in front of a net.
"""

import numpy as np

from bioplaus.data import mnist
from bioplaus.data.dataset import PARTS, Dataset


def sequential(
    data: Dataset, width: int, *, permutation: int | None = None, dt: float = 1.0
) -> Dataset:
    """A data set with each input as a sequence of `width` numbers at a moment, [N, size / width,
    width], in the order in which they lie in memory.

    width: 28 gives the rows of MNIST, 1 its pixels. permutation: a seed; first puts the numbers of
    every input in one random order, the same for all examples. dt: length of a moment, ms.
    Raises ValueError if the inputs do not divide into moments of that width.
    """
    size = np.asarray(data.train.x)[0].size
    if width < 1 or size % width:
        raise ValueError(
            f"sequential: inputs of {size} numbers do not divide into moments of {width}; give a"
            f" divisor of {size}"
        )
    order = (
        None if permutation is None else np.argsort(np.random.PCG64(permutation).random_raw(size))
    )

    def of(x):
        flat = np.asarray(x).reshape(len(x), size)
        return (flat if order is None else flat[:, order]).reshape(len(x), -1, width)

    kind = "Pixels in a fixed random order" if permutation is not None else "Images"
    return data._replace(
        **{part: b._replace(x=of(b.x)) for part, b in data._asdict().items() if part in PARTS},
        note=f"{kind}, {width} numbers a moment, {size // width} moments. {data.note}",
        dt=dt,
    )


def load_rows() -> Dataset:
    """MNIST row by row: 28 moments of 28 pixels, 10 classes.

    Split as `mnist`. Raises DataError.
    """
    return sequential(mnist.load_mnist(), 28)


def load_pixels() -> Dataset:
    """MNIST pixel by pixel: 784 moments of 1 pixel, 10 classes.

    Split as `mnist`. Raises DataError.
    """
    return sequential(mnist.load_mnist(), 1)


def load_permuted() -> Dataset:
    """MNIST pixel by pixel, in one random order: 784 moments of 1 pixel, 10 classes.

    Split as `mnist`. Raises DataError.
    """
    return sequential(mnist.load_mnist(), 1, permutation=0)
