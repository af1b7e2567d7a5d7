"""Counts equal those of NeuroBench 2.3.0 on the same weights and inputs.

golden/make_neurobench.py computes NeuroBench's.
"""

import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.make_neurobench import BETA, SPIKING, case, spiking_case

from bioplaus.layers import conv, dense, flattened, over_time, recurrent
from bioplaus.measure.neurobench import membrane_updates, neurobench
from bioplaus.net import forward
from bioplaus.neurons import identity, lif, relu
from bioplaus.neurons.resets import subtract_undecayed

GOLDEN = json.loads(
    (Path(__file__).parent / "golden" / "neurobench.json").read_text(encoding="utf-8")
)
KEY = jax.random.key(0)


def measured(name):
    """Ours on a case: torch's [out, in, k, k] as [k, k, in, out], and its images channels last."""
    weights, x = case(name)
    net, params = [], []
    for i, w in enumerate(weights):
        neuron = relu() if i < len(weights) - 1 else identity()
        if w.ndim == 4:
            net.append(conv(w.shape[0], w.shape[2], neuron, padding=1))
        elif name == "conv":
            net.append(flattened(dense(w.shape[0], neuron)))
            w = w.reshape(5, 3, 8, 8).transpose(0, 2, 3, 1).reshape(5, -1)
        else:
            net.append(dense(w.shape[0], neuron))
        params.append(
            {
                "w": jnp.asarray(w.transpose(2, 3, 1, 0) if w.ndim == 4 else w.T),
                "b": jnp.zeros(w.shape[0]),
            }
        )
    x = jnp.asarray(x.transpose(0, 2, 3, 1) if x.ndim == 4 else x)
    return neurobench(tuple(net), tuple(params), x, KEY)


def over_moments(name):
    """(net, params, x): snnTorch's neurons subtract the threshold a moment after the spike."""
    weights, x = spiking_case(name)
    loop = "recurrent" in name

    def neurons():
        return lif(-1 / math.log(BETA), reset=subtract_undecayed)

    first = dense(12, neurons())
    net = (
        recurrent(first, dense(12)) if loop else over_time(first),
        over_time(dense(8, neurons())),
        over_time(dense(5, identity())),
    )
    p = {k: {"w": jnp.asarray(w.T), "b": jnp.zeros(len(w))} for k, w in weights.items()}
    one = {"in": p["first"], "back": p["back"]} if loop else p["first"]
    return net, (one, p["second"], p["readout"]), jnp.asarray(x)


def measured_over_moments(name):
    return neurobench(*over_moments(name), KEY)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_equals_neurobench(name):
    ours = (measured_over_moments if name in SPIKING else measured)(name)
    golden = GOLDEN[name]
    operations = golden["SynapticOperations"]
    # snnTorch's two layers of neurons hold five constants each, as buffers
    buffers = 2 * 5 * 4 if name in SPIKING else 0
    assert ours.footprint + buffers == golden["Footprint"]
    assert ours.connection_sparsity == golden["ConnectionSparsity"]
    assert ours.activation_sparsity == pytest.approx(golden["ActivationSparsity"], abs=1e-12)
    assert (ours.dense, ours.effective_macs, ours.effective_acs) == (
        operations["Dense"],
        pytest.approx(operations["Effective_MACs"], abs=1e-9),
        pytest.approx(operations["Effective_ACs"], abs=1e-9),
    )


def test_documented_example_binary_inputs_and_padding():
    """The documented example by hand; binary inputs give ACs, and padding is no operation."""
    assert (
        GOLDEN["document"]["SynapticOperations"]["Effective_MACs"],
        GOLDEN["document"]["SynapticOperations"]["Dense"],
    ) == (
        4,
        9,
    )
    assert (
        GOLDEN["binary"]["SynapticOperations"]["Effective_ACs"]
        > 0
        == GOLDEN["relu"]["SynapticOperations"]["Effective_ACs"]
    )
    inside = (8 + 7 + 7) ** 2  # of 24 x 24 pairs of position and kernel, those within the image
    assert (
        GOLDEN["conv"]["SynapticOperations"]["Dense"]
        == inside * 2 * 3 + 192 * 5
        != 24 * 24 * 2 * 3 + 192 * 5
    )


def test_the_spiking_cases_differ():
    """Spikes give no MACs, currents give both, and synapses of the layer's own are counted."""
    operations = {name: GOLDEN[name]["SynapticOperations"] for name in SPIKING}
    assert [operations[name]["Effective_MACs"] > 0 for name in SPIKING] == [False, False, True]
    assert all(o["Effective_ACs"] > 0 for o in operations.values())
    own = 9 * 12 * 12
    assert operations["recurrent spikes"]["Dense"] - operations["spikes"]["Dense"] == own
    net, params, x = over_moments("recurrent spikes")
    z = forward(net, params, x, KEY).outputs[0]
    assert 0 < float(z.mean()) < 0.5


def test_membrane_updates():
    v = np.array([[[1.0, 0.0]], [[1.0, 0.5]], [[0.2, 0.5]]])
    assert membrane_updates(jnp.asarray(v)) == 2 + 1 + 1
    assert membrane_updates(jnp.asarray(np.repeat(v, 3, axis=1))) == 4  # an example
