"""What a spike does to the potential of a neuron."""

from collections.abc import Callable
from typing import Any

from jax.typing import ArrayLike

from bioplaus.arrays import concrete
from bioplaus.neurons.surrogate import SURROGATES
from bioplaus.types import Array

Reset = Callable[[Array, Array, ArrayLike, Array], Array]
"""(u, z, theta, a) -> v, the potential after a spike z."""


def subtract(u: Array, z: Array, theta: ArrayLike, a: Array) -> Array:
    """v = u - theta z: what is above the threshold stays. It decays with the rest of u."""
    del a
    return u - theta * z


def subtract_undecayed(u: Array, z: Array, theta: ArrayLike, a: Array) -> Array:
    """v = u - theta z / a: the next moment's potential is a u - theta z + I.

    Bellec et al., 2020, and snnTorch take theta off one moment later. It needs an a above 0:
    neurons raise ValueError for moments of more than 80 time constants (`check_decay`).
    """
    return u - theta * z / a


def to_zero(u: Array, z: Array, theta: ArrayLike, a: Array) -> Array:
    """v = 0 where the neuron has fired."""
    del theta, a
    return u * (1 - z)


RESETS = {"subtract": subtract, "subtract_undecayed": subtract_undecayed, "to_zero": to_zero}
"""By their names in a study file."""

MOST_TIME_CONSTANTS = 80.0
"""exp(-80) is 2e-35: what is divided by less, a float32 does not hold."""

SHIFTS = (subtract, subtract_undecayed)
"""Resets that add a number that does not depend on u, so that dv / du = 1 at a given spike."""


def check_decay(where: str, reset: Reset, dt: float, tau: ArrayLike) -> None:
    """Raise ValueError where `reset` divides by a decay exp(-dt / tau) of next to 0.

    Of a tau that is traced the value is not known, and nothing is checked.
    """
    known = concrete(tau) if reset is subtract_undecayed else None
    if known is not None and (longest := float((dt / known).max())) > MOST_TIME_CONSTANTS:
        raise ValueError(
            f"{where}: reset: subtract_undecayed divides by exp(-dt / tau), and dt / tau is"
            f" {longest:g}, expected at most {MOST_TIME_CONSTANTS:g}: nothing of a potential is"
            " left a moment later; give a shorter dt, a longer tau, or another reset"
        )


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
