"""What structure needs to know of a net and of a step."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from bioplaus.types import Batch, Key, Net, PyTree


def check_dense(where: str, net: Net, params: PyTree) -> None:
    """Raise ValueError unless the net consists of dense layers of one moment, two or more.

    Only there are a unit's synapses a column of one matrix and a row of the next.
    """
    fits = len(net) > 1 and all(layer.time is None and layer.affine for layer in net)
    if not fits or any(
        not isinstance(p, dict) or sorted(p) != ["b", "w"] or jnp.ndim(p["w"]) != 2 for p in params
    ):
        raise ValueError(
            f"{where}: takes two or more dense layers of one moment, as bp.mlp makes them, because"
            " a unit's synapses have to be known; leave it out on this net"
        )


def told_of(where: str, params: PyTree, told: Mapping[str, Any]) -> tuple[Batch, Key]:
    """The batch and the key of the step, of the extra arguments of `update`.

    Raises ValueError if they, or the params, were not given.
    """
    if params is None or "batch" not in told or "key" not in told:
        raise ValueError(
            f"{where}: tx.update was called without the params, the batch or the key of the step;"
            " give all, tx.update(grads, opt, params, batch=batch, key=key), as make_train does"
        )
    return told["batch"], told["key"]
