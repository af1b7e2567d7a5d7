"""NeuroBench's measures of inference, by its definitions, on a net of ours. All operations are an
example's.

    footprint            = sum of numel * itemsize over params, in bytes, zeros included
    connection sparsity  = #(w == 0) / #w over weights (leaves of two axes or more), to four
        decimals
    activation sparsity  = #zeros / #values over the outputs of hidden layers
    dense operations     = products of a layer with its inputs and weights all 1
    effective operations = products of a layer with what is not 0 set to 1: ACs where all of its
        input is 0, 1 or -1, else MACs
    membrane updates     = numel at the first step, then #(v_t != v_{t-1})
Biases, pooling and normalisation are not counted. Dense operations leave out the zeros of a
convolution's padding.

Yik et al., "NeuroBench: A Framework for Benchmarking Neuromorphic Computing Algorithms and
Systems", 2023, arXiv:2304.04640; https://github.com/NeuroBench/neurobench, 2.3.0, whose values
these equal. Its documents define operations per execution, its code divides by the number of
samples, as here: a spiking net's sample holds all of its time steps. A layer that happens to be
binary on this batch counts as ACs, there and here.
Departures: which modules have their activations counted is told by the net (hidden layers), not by
hooks.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.measure.program import dependents, trace
from bioplaus.measure.program.products import products_of
from bioplaus.net import drive, forward, layer_key
from bioplaus.types import Array, Key, Layer, Net, PyTree


class NeuroBench(NamedTuple):
    """footprint: bytes. Sparsities: fractions. dense, effective_macs, effective_acs: synaptic
    operations an example.
    """

    footprint: int
    connection_sparsity: float
    activation_sparsity: float
    dense: float
    effective_macs: float
    effective_acs: float


def neurobench(net: Net, params: PyTree, x: Array, key: Key) -> NeuroBench:
    """Measure one answer to x [B, ...]. Raises NotCountable for products that cannot be counted."""
    leaves, passed = jax.tree.leaves(params), forward(net, params, x, key)
    weights, hidden = [w for w in leaves if w.ndim > 1], passed.inputs[1:]
    found = [
        _operations(layer, p, h, layer_key(key, l))
        for l, (layer, p, h) in enumerate(zip(net, params, passed.inputs, strict=True))
    ]
    return NeuroBench(
        footprint=sum(w.size * w.dtype.itemsize for w in leaves),
        connection_sparsity=round(_zeros(weights), 4),
        activation_sparsity=_zeros(hidden),
        dense=sum(f[0] for f in found) / len(x),
        effective_macs=sum(f[1] for f in found) / len(x),
        effective_acs=sum(f[2] for f in found) / len(x),
    )


def membrane_updates(potentials: Array) -> float:
    """How often a membrane potential changed, an example. potentials: [T, B, n], after each of T
    steps.
    """
    first, changes = potentials[0].size, jnp.count_nonzero(jnp.diff(potentials, axis=0))
    return (first + int(changes)) / potentials.shape[1]


def _operations(layer: Layer, params: PyTree, x: Array, key: Key) -> tuple[int, int, int]:
    """Dense operations, effective MACs, effective ACs of a layer on a batch."""
    program = trace(lambda p, x, k: drive(layer, p, x, k), params, x, key)
    data = dependents(program, [program.inputs[1]])
    ones = jax.tree.map(jnp.ones_like, (params, x))
    dense, effective = (
        products_of(program, (*args, key), data)[0].values() for args in (ones, (params, x))
    )
    return (
        sum(m + a for m, a, _ in dense),
        sum(m for m, _, _ in effective),
        sum(a for _, a, _ in effective),
    )


def _zeros(arrays) -> float:
    """The fraction of values that are 0."""
    return sum(int((a == 0).sum()) for a in arrays) / max(sum(a.size for a in arrays), 1)
