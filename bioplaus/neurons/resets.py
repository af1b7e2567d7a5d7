"""What a spike does to the potential of a neuron."""

from collections.abc import Callable
from typing import Any

from jax.typing import ArrayLike

from bioplaus.neurons.surrogate import SURROGATES
from bioplaus.types import Array

Reset = Callable[[Array, Array, ArrayLike, Array], Array]
"""(u, z, theta, a) -> v, the potential after a spike z."""


def subtract(u: Array, z: Array, theta: ArrayLike, a: Array) -> Array:
    """v = u - theta z: what is above the threshold stays. It decays with the rest of u."""
    del a
    return u - theta * z


def subtract_undecayed(u: Array, z: Array, theta: ArrayLike, a: Array) -> Array:
    """v = u - theta z / a: the next moment's potential is a u - theta z + I, as in Bellec et al.,
    2020, and in snnTorch, which take theta off one moment later."""
    return u - theta * z / a


def to_zero(u: Array, z: Array, theta: ArrayLike, a: Array) -> Array:
    """v = 0 where the neuron has fired."""
    del theta, a
    return u * (1 - z)


RESETS = {"subtract": subtract, "subtract_undecayed": subtract_undecayed, "to_zero": to_zero}
"""By their names in a study file."""

SHIFTS = (subtract, subtract_undecayed)
"""Resets that add a number that does not depend on u, so that dv / du = 1 at a given spike."""


def check_functions(where: str, reset: Any, surrogate: Any) -> None:
    """Raise ValueError for a reset or a surrogate that is not a function, but its name, and for a
    surrogate that was not made yet.
    """
    for name, given, table in (("reset", reset, RESETS), ("surrogate", surrogate, SURROGATES)):
        if not callable(given):
            raise ValueError(
                f"{where}: {name}: got {given!r}, expected a function;"
                f" bioplaus.neurons.{name.upper()}S has {', '.join(table)}"
            )
    for name, factory in SURROGATES.items():
        if surrogate is factory:
            raise ValueError(
                f"{where}: surrogate: got the factory {name}, expected what it makes; call it,"
                f" bioplaus.neurons.{name}()"
            )
