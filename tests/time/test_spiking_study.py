"""A small study of spiking nets: what it writes of spikes, how it is attacked, and its report."""

import json

import numpy as np
import pytest

import bioplaus as bp
from bioplaus.record import read_rows
from bioplaus.study import Study, run_study
from bioplaus.study.spiking import TRACED_UNITS

BASE = {
    "net": {"kind": "spiking", "hidden": [6], "recurrent": True, "dt": 2.0},
    "neuron": {"kind": "alif", "threshold": 0.3},
    "encoder": {"kind": "bernoulli", "steps": 5},
    "seeds": 2,
    "steps": 4,
    "points": 1,
    "batch_size": 8,
    "rule": "bp",
    "energy": False,
    "alignment": False,
    "curves": ["spike_jitter"],
    "draws": 1,
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    x = np.random.default_rng(0).random((40, 4, 3, 1))
    out = tmp_path_factory.mktemp("study") / "run"
    data = bp.data.own(x, np.arange(40) % 2)
    run_study(Study(name="spikes", base=BASE), data=data, out=out, show=False)
    return out


def test_rates_are_rows_of_each_seed(ran):
    rows = [r for r in read_rows(ran / "results.csv") if r.where.layer is not None]
    moment = {r.seed: r.value for r in rows if r.measure == "spikes a moment"}
    hz = {r.seed: r.value for r in rows if r.measure == "firing rate"}
    assert moment.keys() == hz.keys() == {"0", "1"}
    for seed, rate in moment.items():
        assert 0 < rate < 1
        assert hz[seed] == pytest.approx(rate / 2e-3)  # moments of 2 ms
    assert {r.where.layer for r in rows} == {1}  # the readout does not fire


def test_the_example_is_in_the_summary_and_the_report(ran):
    (arm,) = json.loads((ran / "summary.json").read_text(encoding="utf-8"))["arms"]
    example = arm["spikes"]
    assert (example["dt"], example["moments"]) == (2.0, 5)
    first = example["layers"][0]
    assert (first["layer"], first["units"], first["spikes"]) == (1, 6, True)
    assert all(0 <= t < 5 and 0 <= unit < 6 for t, unit in first["events"])
    assert set(first["traces"]) == {"v", "b"}
    assert np.shape(first["traces"]["v"]) == (TRACED_UNITS, 5)
    # a unit's adaptation b rises by 1 at each of its spikes, and falls between them
    for unit, b in zip(first["traced"], first["traces"]["b"], strict=True):
        fired = {t for t, u in first["events"] if u == unit}
        assert {t for t in range(5) if b[t] > (b[t - 1] if t else 0) + 0.5} == fired
    page = (ran / "report.html").read_text(encoding="utf-8")
    assert 'id="spikes"' in page
    assert "layer 1: 6 units" in page


def test_attacks_follow_the_stand_in_and_say_so(ran):
    """Spikes have no derivative: the attack is made, and a warning says that it may be blind."""
    found = [r.condition for r in read_rows(ran / "results.csv") if r.measure == "accuracy"]
    assert any(c.startswith("pgd") for c in found)
    warnings = json.loads((ran / "summary.json").read_text(encoding="utf-8"))["warnings"]
    assert [w for w in warnings if "spikes have no derivative" in w]
    assert any("jitter" in c for c in found)
