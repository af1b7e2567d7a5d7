"""Numbers that users give, checked and made JAX arrays.

Values are known outside jit. Inside, an array that the user gave may still be known, while the JAX
array made from it is a tracer.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from bioplaus.types import Array


def as_array(name: str, values: Any) -> Array:
    """Numbers as a JAX array.

    Raises ValueError for anything but numbers, and for integers that do not fit JAX's integer type.
    """
    if isinstance(values, jax.Array):
        return values
    if isinstance(values, np.ma.MaskedArray):
        raise ValueError(
            f"{name} is a masked array, and JAX has no masks; remove what is masked, or fill it"
        )
    try:
        if isinstance(values, np.ndarray) and values.dtype.kind in "OSU":
            raise TypeError("numbers have a dtype such as float32 or int32")
        array = jnp.asarray(values)
    except (OverflowError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        kind = (
            f"an array of {values.dtype}"
            if isinstance(values, np.ndarray)
            else type(values).__name__
        )
        raise ValueError(f"{name} is {kind}, expected an array of numbers ({reason})") from error
    if (
        jnp.issubdtype(array.dtype, jnp.integer)
        and isinstance(values, np.ndarray)
        and values.dtype != array.dtype
    ):
        if (values != values.astype(array.dtype)).any():
            raise ValueError(
                f"{name} holds {np.abs(values).max()}, which {array.dtype} does not; number from 0,"
                " or give floats"
            )
    return array


def as_floats(where: str, output: Any) -> Array:
    """Outputs as an array of floats, because a mean of integers would be rounded down."""
    output = as_array(f"{where}: output", output)
    return output if jnp.issubdtype(output.dtype, jnp.inexact) else output.astype(float)


def as_wide_floats(where: str, output: Any) -> Array:
    """Outputs in float32 or float64, as measures need them.

    bfloat16 is too coarse for sums over many examples.
    """
    output = as_floats(where, output)
    return output.astype(jnp.promote_types(output.dtype, jnp.float32))


def without_nan(where: str, y: Any) -> Array:
    """y as an array. Raises ValueError for NaN among known values."""
    # y as the user gave it: inside jit, the JAX array made from known values is a tracer.
    array, known = as_array(f"{where}: y", y), concrete(y)
    if known is not None and jnp.issubdtype(known.dtype, jnp.inexact) and np.isnan(known).any():
        raise ValueError(f"{where}: y holds NaN; remove those examples, or give them a target")
    return array


def concrete(a: Any) -> np.ndarray | None:
    """The values of an array if they are known: not under jit, nor on devices of other machines."""
    if any(isinstance(part, Tracer) for part in jax.tree.leaves(a)) or not getattr(
        a, "is_fully_addressable", True
    ):
        return None
    return np.asarray(a)
