"""What a batch's context says to modulators: a number of each example, under a name."""

import jax.numpy as jnp

from bioplaus.types import Array, PyTree


def rows_of(where: str, table: Array, context: PyTree, key: str) -> Array:
    """The row of a table [K, ...] that each example's context names: [B, ...].

    where: the modulator, for errors. context: of the batch, a dict whose entry `key` is an integer
    array [B] of numbers below K. A number out of range gives NaN, because values are not known when
    the net is compiled. Raises ValueError for any other context.
    """
    wanted = (
        f'expected integers [B], one per example, under the name "{key}":'
        f' Batch(x, y, {{"{key}": context}})'
    )
    if not isinstance(context, dict):
        raise ValueError(f"{where}: the batch's context is {_short(context)}; {wanted}")
    if key not in context:
        raise ValueError(f"{where}: the batch's context has {sorted(context)}; {wanted}")
    numbers = context[key]
    if jnp.ndim(numbers) != 1 or not jnp.issubdtype(jnp.result_type(numbers), jnp.integer):
        raise ValueError(f"{where}: the batch's context is {_short(numbers)}; {wanted}")
    numbers = jnp.asarray(numbers, jnp.int32)
    known = jnp.where(numbers < 0, len(table), numbers)  # a negative index counts from the end
    return table.at[known].get(mode="fill", fill_value=jnp.nan)


def _short(context: PyTree) -> str:
    if hasattr(context, "dtype"):
        return f"{context.dtype}{list(context.shape)}"
    return repr(context)
