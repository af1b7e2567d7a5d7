"""Neuromodulators: what changes excitability and plasticity."""

from typing import NamedTuple, Protocol

import jax

from bioplaus.types.nets import Gain, Key, PyTree
from bioplaus.types.rules import Gates, Signals


class ModulatorInitFn(Protocol):
    """The modulator's state before the first batch. currents: shape and dtype [B, n_l] a layer."""

    def __call__(self, key: Key, currents: tuple[jax.ShapeDtypeStruct, ...], /) -> PyTree: ...


class GainFn(Protocol):
    """One Gain a layer, before the forward pass."""

    def __call__(self, state: PyTree, context: PyTree, /) -> tuple[Gain, ...]: ...


class PlasticityFn(Protocol):
    """(the state after this batch, gates), after the forward pass."""

    def __call__(self, state: PyTree, signals: Signals, /) -> tuple[PyTree, Gates]: ...


class Modulator(NamedTuple):
    """A neuromodulator. It acts on excitability before the forward pass, on plasticity after it,
    and never sees labels in `gain`."""

    init: ModulatorInitFn
    gain: GainFn
    gate: PlasticityFn
