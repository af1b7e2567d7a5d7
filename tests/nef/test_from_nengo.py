"""Nengo's models, read in and run here, do what nengo does. Needs nengo 4.1.0: `pytest -p
no:nengo`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nengo_models import CASES, STEPS, nengo_models

from bioplaus import nef

nengo = pytest.importorskip("nengo")


def both(network, probe):
    """(what nengo's probe recorded, what is recorded here)."""
    with nengo.Simulator(network, progress_bar=False, optimize=False) as sim:
        sim.run_steps(STEPS)
    read = nef.from_nengo(network)
    net = nef.network(read.model)
    seen = jax.jit(lambda u: nef.run(net, u, steps=STEPS)[1])(read.inputs(STEPS)["inputs"])
    return np.array(sim.data[probe]), seen[read.names[probe]]


@pytest.mark.parametrize("case", CASES)
def test_a_model_does_what_nengo_does(x64, case):
    network, _, probe, _ = nengo_models(case)
    theirs, ours = both(network, probe)
    assert np.abs(theirs).max() > 0.05
    assert np.abs(theirs - ours).max() < 1e-12


def test_slices_functions_of_nodes_and_spikes(x64):
    with nengo.Network(seed=3) as network:
        u = nengo.Node([0.5, -0.4])
        turned = nengo.Node(lambda t, x: jnp.sin(5 * t) * x[::-1], size_in=2)
        a = nengo.Ensemble(20, 3, n_eval_points=60)
        nengo.Connection(u, turned, synapse=None)
        nengo.Connection(turned[0], a[2], function=lambda x: x**2, synapse=None)
        nengo.Connection(a[[2, 0]], a[:2], transform=[[0.5, 1], [-1, 0.3]], synapse=0.02)
        nengo.Connection(a.neurons[3:5], a.neurons[:2], transform=0.001)
        probe = nengo.Probe(a.neurons)
    theirs, ours = both(network, probe)
    assert theirs.sum() > 0
    assert np.abs(theirs - ours).max() < 1e-9  # of spikes, which are 1,000 high


def test_what_is_not_known_is_refused_by_name():
    for make, message in (
        (lambda: nengo.Ensemble(5, 1, label="odd", neuron_type=nengo.Izhikevich()), "'odd'.*known"),
        (
            lambda: nengo.Node(nengo.processes.WhiteNoise(), size_out=1, label="odd"),
            "'odd'.*process",
        ),
        (lambda: nengo.Node(lambda t, x: float(x[0]), size_in=1, label="odd"), "'odd'.*not trace"),
    ):
        with nengo.Network() as network:
            make()
        with pytest.raises(ValueError, match=message):
            nef.from_nengo(network)
