"""Losslessly packed images.

Each pixel is predicted from neighbours above and to the left, and the residuals are compressed by
xz.

The planes are green, red - green + 128 and blue - green + 128 (mod 256), because the colours of a
pixel are correlated. Each pixel is stored as its difference (mod 256) from the median of left, up
and left + up - corner, with 0 beyond the border. This is the median edge detector of LOCO-I
(Weinberger, Seroussi & Sapiro, 2000).
"""

import lzma

import numpy as np

from bioplaus.data.fetch import DataError


def decode(content: bytes) -> np.ndarray:
    """An .xz of residuals, uint8 [3, N, 32, 32] in C order -> images uint8 [N, 32, 32, 3]. Raises
    DataError.
    """
    try:
        residual = (
            np.frombuffer(lzma.decompress(content), np.uint8)
            .reshape(3, -1, 32, 32)
            .transpose(2, 3, 0, 1)
        )
    except (lzma.LZMAError, ValueError) as error:
        raise DataError(
            f"These are not packed images: {error}. Delete the file and retry."
        ) from error
    # the first row and column are the border
    plane = np.zeros((33, 33, *residual.shape[2:]), np.int16)
    for i, j in np.ndindex(32, 32):  # one pixel of all images at a time
        up, left, corner = plane[i, j + 1], plane[i + 1, j], plane[i, j]
        median = np.clip(up + left - corner, np.minimum(up, left), np.maximum(up, left))
        plane[i + 1, j + 1] = (median + residual[i, j]) & 255
    green, red, blue = plane[1:, 1:].transpose(2, 3, 0, 1)
    return (np.stack([red + green - 128, green, blue + green - 128], axis=-1) & 255).astype(
        np.uint8
    )
