"""Encoders that lose nothing: a constant current, and the rows of images as moments."""

import jax.numpy as jnp

from bioplaus.encoders.values import repeated
from bioplaus.hyper import Count, declared
from bioplaus.types import Array, Encoder


@declared
def constant(steps: Count) -> Encoder:
    """x itself at each of `steps` moments: moment t of x [B, ...] is x.

    in_front(net, constant(steps=25))
    """
    return Encoder(lambda x, key: repeated(x, steps), lambda moments: moments.mean(1))


@declared
def rows(height: Count | None = None, width: Count | None = None) -> Encoder:
    """The rows of images as moments, from the top: [B, H, W] as it is, [B, H, W, C] -> [B, H, W C].

    height, width: shape of images that are given flat, [B, height width] -> [B, height, width];
    rows(784, 1) shows them pixel by pixel. Images that are not flat may be given another shape too:
    it is a reshape. `decode` gives [B, H, W]. Le, Jaitly, Hinton, "A Simple Way to Initialize
    Recurrent Networks of Rectified Linear Units", 2015, arXiv:1504.00941.

    Raises ValueError if only one of the two is given, for flat inputs without them, and for inputs
    of another size.

        in_front(net, rows())
    """
    if (height is None) != (width is None):
        raise ValueError("rows: got one of height and width; give both, or neither")

    def encode(x: Array, key) -> Array:
        del key
        if height is None or width is None:
            if x.ndim < 3:
                raise ValueError(
                    f"rows: the input is {x.shape}, expected images [B, H, W] or [B, H, W, C]; for"
                    " flat images give their shape, rows(height, width)"
                )
            return x.reshape(*x.shape[:2], -1)
        if x[0].size != height * width:
            raise ValueError(
                f"rows: the input is {x.shape}, expected {height} x {width} = {height * width}"
                " numbers for each example"
            )
        return x.reshape(x.shape[0], height, width)

    return Encoder(encode, jnp.asarray)
