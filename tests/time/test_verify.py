"""`bioplaus verify --net spiking`: on spiking nets each rule passes its identities, or refuses."""

import pytest

from bioplaus.cli.dispatch import main
from bioplaus.identities import Check, verify_spiking
from bioplaus.identities.over_time import spiking
from bioplaus.net import forward


@pytest.mark.parametrize("key", ["bp", "fa"])
def test_identities_hold_on_spiking_nets(key):
    """Feed-forward and recurrent, with controls that differ."""
    checks = list(verify_spiking(key))
    assert not [str(c) for c in checks if not c.passed]
    for net in spiking():
        kinds = {c.control for c in checks if isinstance(c, Check) and c.name.startswith(net)}
        assert kinds == {False, True}


@pytest.mark.parametrize("key", ["ep", "tp"])
def test_a_rule_that_settles_refuses_by_its_declaration(key):
    left = list(verify_spiking(key))
    assert not any(isinstance(c, Check) for c in left)
    assert all("which this rule refuses: " in str(c) for c in left)
    assert len(left) == len(spiking())


def test_all_layers_fire(x64):
    for p in spiking().values():
        rates = [float(z.mean()) for z in forward(p.net, p.params, p.batch.x, p.key).outputs[:-1]]
        assert all(0.03 < rate < 0.9 for rate in rates), rates


def test_the_command(capsys):
    assert main(["verify", "ep", "--net", "spiking"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("ok     ep   refuses") == 2
    assert "a small nudge moves no spike" in printed
