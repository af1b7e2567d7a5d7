"""Studies that learn while time runs: `online = K`."""

import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.measure.cost import cost
from bioplaus.measure.counts import total
from bioplaus.record import read_rows
from bioplaus.study import Study, StudyError, run_study
from bioplaus.study.build import build
from bioplaus.study.settings import Arm

BASE = {
    "net": {"kind": "spiking", "hidden": [5], "recurrent": True, "readout": "each"},
    "neuron": {"kind": "alif", "threshold": 0.3},
    "rule": "eprop",
    "online": 3,
    "seeds": 2,
    "steps": 6,
    "points": 1,
    "batch_size": 8,
    "energy": False,
    "alignment": False,
    "robustness": False,
}
MOMENTS = 7
X = np.random.default_rng(0).random((40, MOMENTS, 4))
DATA = bp.data.own(X, np.arange(40) % 2, dt=1.0)


def arm(**changes):
    return Arm(**(BASE | changes))


def test_a_schedule_ends_with_the_last_piece():
    """Sequences of 7 moments are 3 pieces of 3, 3 and 1, so that 6 steps are 18 updates."""
    rates = []
    optimiser = {"kind": "sgd", "schedule": "cosine", "learning_rate": 1.0, "weight_decay": 0.0}
    tx = build(arm(optimiser=optimiser), jnp.asarray(X[:1]), 2).tx
    state = tx.init(jnp.ones(()))
    for _ in range(18):
        update, state = tx.update(jnp.ones(()), state, jnp.ones(()))
        rates.append(-np.asarray(update).item())
    assert rates == pytest.approx([0.5 * (1 + np.cos(np.pi * t / 18)) for t in range(18)], abs=1e-6)


def test_a_study_trains_on_pieces(tmp_path):
    accuracy = {}
    for online in (0, 3):
        out = tmp_path / str(online)
        base = BASE | {"online": online} if online else {k: BASE[k] for k in BASE if k != "online"}
        run_study(Study(name="online", base=base), data=DATA, out=out, show=False)
        rows = [r for r in read_rows(out / "results.csv") if r.measure == "loss"]
        accuracy[online] = [r.value for r in rows]
    assert accuracy[0] != accuracy[3]
    assert np.isfinite(accuracy[3]).all()


@pytest.mark.slow
def test_costs_are_those_of_all_pieces(tmp_path):
    """MACs of 7 moments in pieces of 1: those of 7 pieces, not those of a whole sequence."""
    study = Study(name="online", base=BASE | {"online": 1, "energy": True})
    run_study(study, data=DATA, out=tmp_path / "out", show=False)
    found = {
        r.where.name: r.value
        for r in read_rows(tmp_path / "out" / "results.csv")
        if r.measure == "macs"
    }
    built = build(arm(online=1), jnp.asarray(X[:1]), 2)
    rule = built.rule(built.net)
    batch = bp.Batch(jnp.asarray(X[:8], jnp.float32), jnp.eye(2)[jnp.arange(8) % 2])
    assert rule.stream is not None
    piece = total(cost(rule.stream, built.net, batch._replace(x=batch.x[:, :1]))).macs
    assert found["training"] == float(MOMENTS * piece)
    assert found["training"] != float(total(cost(rule, built.net, batch)).macs)


REFUSED = {
    "a rule of whole examples": ({"rule": "bp"}, "no form for streams"),
    "one answer a sequence": (
        {"net": BASE["net"] | {"readout": "pooled"}},
        "applies to a net that answers at each moment",
    ),
    "an encoder": (
        {"encoder": {"kind": "bernoulli", "steps": 3}},
        "encoder",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_stream_is_refused(name, tmp_path):
    changes, words = REFUSED[name]
    with pytest.raises(StudyError, match=words):
        run_study(
            Study(name="online", base=BASE | changes), data=DATA, out=tmp_path / "o", show=False
        )
    assert not (tmp_path / "o").exists()
