"""Pictures of receptive fields of a run: of a unit whose field is known, and of none."""

import json

import jax
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.modulators import MODULATORS
from bioplaus.study import Study, run_study
from bioplaus.types import Gain, Modulator

HE = jax.nn.initializers.he_normal()
NET = (bp.conv(2, 3, weights=HE), bp.flattened(bp.dense(10)))


def halved() -> Modulator:
    def init(key, currents):
        del key
        return ((),) * len(currents)

    def gain(state, context):
        del context
        return (Gain(0.5), *(Gain() for _ in state[1:]))

    return Modulator(init, gain, lambda state, signals: (state, None))


def run(tmp_path, net, kind):
    base = {"steps": 1, "seeds": 1, "data": "digits", "energy": False, "modulator": {"kind": kind}}
    study = Study.model_validate({"name": "fields", "base": base, "grid": {"rule": ["frozen"]}})
    run_study(study, net=net, out=tmp_path / "out", show=False)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    return page, summary["arms"][0].get("fields")


def test_a_linear_unit_shows_its_kernel_and_half_of_it_under_a_gain_of_half(tmp_path, monkeypatch):
    monkeypatch.setitem(MODULATORS, "halved", halved)
    page, found = run(tmp_path, NET, "halved")
    assert "Receptive fields" in page
    assert "Below: the same units under the modulator" in page
    assert (found["layer"], found["position"]) == (1, [4, 4])
    before, under = np.array(found["before"]), np.array(found["under"])
    assert before.shape == under.shape == (2, 8, 8)
    assert np.abs(before).max((1, 2)).tolist() == [99, 99]
    np.testing.assert_allclose(under, before / 2, atol=1)
    # a 3 x 3 kernel at the fourth position sees rows and columns 4 to 6
    inside = np.zeros((8, 8), bool)
    inside[3:6, 3:6] = True
    assert not before[:, ~inside].any()
    assert (before[:, inside] != 0).mean() > 0.8


@pytest.mark.parametrize(
    ("net", "kind", "drawn"), [(NET, "unmodulated", True), (None, "unmodulated", False)]
)
def test_only_convolutions_have_pictures(tmp_path, net, kind, drawn):
    page, found = run(tmp_path, net, kind)
    assert ("Receptive fields" in page) == bool(found) == drawn
    assert "under the modulator" not in page
    assert not drawn or found["under"] is None
