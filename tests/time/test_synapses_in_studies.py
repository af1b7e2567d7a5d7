"""Synapses with dynamics of their own in studies: `synapses = {kind = ...}`."""

import jax
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.study import Study, StudyError, run_study
from bioplaus.study.nets import make_net
from bioplaus.study.settings import Arm

SPIKES = {
    "net": {"kind": "spiking", "hidden": [6], "recurrent": True},
    "neuron": {"kind": "lif", "threshold": 0.3},
    "encoder": {"kind": "bernoulli", "steps": 8},
}


@pytest.mark.parametrize(
    ("synapses", "base"),
    [
        ({"kind": "short_term", "tau_recover": 20.0}, SPIKES),
        ({"kind": "slow_release", "factor": 3.0, "tau": 50.0}, SPIKES),
        ({"kind": "depressed", "tau_recover": 2.0}, {"net": {"hidden": [6]}}),
    ],
)
def test_synapses_with_dynamics_change_the_net_of_a_study(synapses, base):
    x = jax.random.uniform(jax.random.key(0), (3, 8, 8, 1))
    found = {}
    for name, given in (("plain", {}), ("dynamic", {"synapses": synapses})):
        made = make_net(Arm(**base, **given), x, 4)
        params = bp.init(made, jax.random.key(1), x)
        found[name] = bp.forward(made, params, x, jax.random.key(2)).output
    assert np.abs(found["plain"] - found["dynamic"]).max() > 1e-3


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ({"synapses": {"kind": "shortterm"}}, "did you mean 'short_term'"),
        ({"synapses": {"kind": "short_term"}}, "time"),
        ({"synapses": {"kind": "depressed", "use": 2.0}}, "synapses.use"),
        ({"synapses": {"kind": "depressed", "factor": 2.0}}, "synapses.factor: unknown"),
    ],
)
def test_synapses_that_do_not_fit_are_refused(base, words, tmp_path):
    study = Study(name="s", base={"steps": 1, "seeds": 1, **base})
    with pytest.raises(StudyError, match=words) as error:
        run_study(study, out=tmp_path / "out", show=False)
    assert "\n" not in str(error.value)
