"""Changes of training images at each presentation.

They are functions (key, x [B, ...]) -> x, for `make_train(..., augment=)`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bioplaus.types import Array, Key


def jittered(pixels: int, empty: float = 0.0) -> Callable[[Key, Array], Array]:
    """Moves each image by -pixels to pixels, uniformly, along each of its two axes. Pixels that
    move in have the value `empty`.

    x: [B, H, W, C]. Raises ValueError for fewer than 1 pixel, and for inputs that are not images.
    """
    if pixels < 1:
        raise ValueError(f"jittered: pixels is {pixels}, expected 1 or more")

    def augment(key, x):
        if x.ndim != 4:
            raise ValueError(
                f"jittered: the inputs are {x.shape}, expected images [B, H, W, channels]; leave"
                " jitter out"
            )
        margin = (pixels, pixels)
        padded = jnp.pad(x, ((0, 0), margin, margin, (0, 0)), constant_values=empty)
        corners = jax.random.randint(key, (len(x), 2), 0, 2 * pixels + 1)
        return jax.vmap(
            lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), x.shape[1:])
        )(padded, corners)

    return augment
