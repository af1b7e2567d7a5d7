"""What a batch's context says to modulators: the number of each example's context, under a name."""

import jax.numpy as jnp

from bioplaus.checks import context_entry
from bioplaus.types import Array, PyTree


def rows_of(table: Array, context: PyTree, key: str, reader: str) -> Array:
    """The row of a table [K, ...] that each example's context names: [B, ...].

    context: of the batch, with integers [B] below K under `key`. reader: the modulator, for errors.
    A number out of range gives NaN, because values are not known when the net is compiled. Raises
    ValueError if there is no such entry, and for anything but integers [B].
    """
    expected = "integers [B], the number of each example's context"
    numbers = context_entry(context, key, reader, expected)
    if numbers.ndim != 1 or not jnp.issubdtype(numbers.dtype, jnp.integer):
        raise ValueError(
            f"{reader}: context[{key!r}] is {numbers.dtype}{list(numbers.shape)}; expected"
            f" {expected}"
        )
    # a negative index would count from the end
    rows = jnp.where(numbers < 0, len(table), numbers.astype(jnp.int32))
    return table.at[rows].get(mode="fill", fill_value=jnp.nan)
