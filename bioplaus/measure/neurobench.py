"""NeuroBench's measures of inference, by its definitions. Operations are per example.

    footprint            sum of numel * itemsize over params, in bytes, zeros included
    connection sparsity  #(w == 0) / #w over weights (leaves of two axes or more), to four decimals
    activation sparsity  #zeros / #values over the outputs of hidden layers
    dense operations     products of a layer in which all inputs and weights are set to 1
    effective operations products of a layer in which all nonzeros are set to 1; they count as
                         accumulates (ACs) if all of the layer's inputs are 0, 1 or -1, else as
                         multiply-accumulates (MACs)
    membrane updates     numel at the first step, then #(v_t != v_{t-1}) of the potentials v
Biases, pooling and normalisation are not counted. Dense operations leave out the zeros of a
convolution's padding. Of a net over time an example is a whole sequence, and the outputs that a
recurrent layer hears of itself are inputs of its synapses.

Yik et al., "NeuroBench: A Framework for Benchmarking Neuromorphic Computing Algorithms and
Systems", 2023, arXiv:2304.04640; https://github.com/NeuroBench/neurobench, version 2.3.0, whose
values these equal. NeuroBench's documentation defines operations per execution; its code divides by
the number of samples, and we follow the code: for a spiking net one sample includes all time steps.
A layer whose inputs happen to be binary on this batch counts as ACs, there and here. Departures: we
count activations of hidden layers, where NeuroBench counts modules that have a hook; whether the
inputs of a layer over time are all 0, 1 or -1 is asked of the whole sequence, where NeuroBench asks
at each moment; the constants of neurons are no part of the footprint.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.encoders import received, without_encoder
from bioplaus.measure.program import dependents, trace
from bioplaus.measure.program.products import products_of
from bioplaus.net import forward, layer_key
from bioplaus.salts import SYNAPSE
from bioplaus.types import Array, Key, Layer, Net, PyTree


class NeuroBench(NamedTuple):
    """footprint: in bytes. Sparsities: fractions. dense, effective_macs, effective_acs: synaptic
    operations per example.
    """

    footprint: int
    connection_sparsity: float
    activation_sparsity: float
    dense: float
    effective_macs: float
    effective_acs: float


def neurobench(net: Net, params: PyTree, x: Array, key: Key) -> NeuroBench:
    """Measure one answer to x [B, ...]. Raises NotCountable for products that cannot be counted."""
    net, x = without_encoder(net), received(net, x, key)
    leaves, passed = jax.tree.leaves(params), forward(net, params, x, key)
    weights, hidden = [w for w in leaves if w.ndim > 1], passed.inputs[1:]
    found = [
        _operations(layer, p, heard, h, layer_key(key, l))
        for l, (layer, p, heard, h) in enumerate(
            zip(net, params, passed.heard, passed.inputs, strict=True)
        )
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
    """Number of times that a membrane potential changed, per example. potentials: [T, B, n], after
    each of T steps.
    """
    first, changes = potentials[0].size, jnp.count_nonzero(jnp.diff(potentials, axis=0))
    return (first + int(changes)) / potentials.shape[1]


def _operations(
    layer: Layer, params: PyTree, heard: PyTree, x: Array, key: Key
) -> tuple[int, int, int]:
    """Dense operations, effective MACs, effective ACs of a layer on a batch."""

    def synapses(params: PyTree, heard: PyTree, x: Array, key: Key) -> Array:
        return layer.synapse(params, heard, x, jax.random.fold_in(key, SYNAPSE))[1]

    program = trace(synapses, params, heard, x, key)
    data = dependents(program, jax.tree.leaves(program.inputs[1:3]))
    given = params, heard, x
    dense, effective = (
        products_of(program, (*args, key), data)[0].values()
        for args in (jax.tree.map(jnp.ones_like, given), given)
    )
    return (
        sum(m + a for m, a, _ in dense),
        sum(m for m, _, _ in effective),
        sum(a for _, a, _ in effective),
    )


def _zeros(arrays) -> float:
    """The fraction of values that are 0."""
    return sum(int((a == 0).sum()) for a in arrays) / max(sum(a.size for a in arrays), 1)
