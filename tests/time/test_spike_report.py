"""Recorded spikes and states, their entry in the summary, and the section of the report."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.measure import recorded
from bioplaus.measure.representation import hidden_activities
from bioplaus.record import Condition, Label, Row
from bioplaus.record.measures import RATE, RATE_HZ
from bioplaus.report.figures import figures
from bioplaus.report.page import render
from bioplaus.report.read import collect

KEY = jax.random.key(0)
WIDE = jax.nn.initializers.normal(1.0)
SPIKES = (jax.random.uniform(KEY, (3, 7, 6)) < 0.4).astype(jnp.float32)
NET = (
    bp.recurrent(
        bp.dense(5, bp.alif(threshold=0.5), weights=WIDE), bp.dense(5, weights=WIDE), dt=2.0
    ),
    bp.over_time(bp.dense(4, bp.lif(threshold=0.5), weights=WIDE), dt=2.0),
    bp.after(bp.mean_over_time, bp.dense(3)),
)
PARAMS = bp.init(NET, KEY, SPIKES)


def test_recorded_states_obey_their_equations():
    """v = a v + I - theta z of the LIF layer, b = r b + z of the ALIF layer, at all moments."""
    trace = bp.forward(NET, PARAMS, SPIKES, KEY)
    one, two = recorded(NET, PARAMS, SPIKES, KEY)
    assert (one.number, one.spikes, two.number, two.spikes) == (1, True, 2, True)
    z, current = (np.asarray(a[1]) for a in (trace.outputs, trace.currents))
    assert z.any()
    v, a = np.zeros_like(z[:, 0]), math.exp(-2 / 20)
    for t in range(z.shape[1]):
        v = a * v + current[:, t] - 0.5 * z[:, t]
        np.testing.assert_allclose(two.states[:, t], v, atol=1e-6)
    b, r = np.zeros_like(np.asarray(one.output)[:, 0]), math.exp(-2 / 200)
    for t in range(z.shape[1]):
        b = r * b + np.asarray(one.output)[:, t]
        np.testing.assert_allclose(one.states.b[:, t], b, atol=1e-6)
    plain = bp.mlp([6, 3])
    params = bp.init(plain, KEY, SPIKES[:, 0])
    with pytest.raises(ValueError, match="no layers over time"):
        recorded(plain, params, SPIKES[:, 0], KEY)


def test_hidden_activities_are_means_over_time():
    trace = bp.forward(NET, PARAMS, SPIKES, KEY)
    hidden = hidden_activities(NET, trace)
    assert [h.shape for h in hidden] == [(3, 5), (3, 4)]
    np.testing.assert_allclose(hidden[0], np.asarray(trace.outputs[0]).mean(1), rtol=1e-6)
    plain = bp.mlp([6, 4, 3])
    params = bp.init(plain, KEY, SPIKES[:, 0])
    trace = bp.forward(plain, params, SPIKES[:, 0], KEY)
    assert hidden_activities(plain, trace)[0] is trace.outputs[0]


BAD = "<script>alert(1)</script>"
EVENTS = [[0, 0], [3, 1], [4, 2]]
EXAMPLE = {
    "dt": 2.0,
    "moments": 6,
    "layers": [
        {
            "layer": 1,
            "units": 5,
            "shown": 4,
            "spikes": True,
            "events": EVENTS,
            "traced": [1, 2],
            "traces": {"v": [[0.1] * 6, [0.2] * 6], BAD: [[0.3] * 6, [0.4] * 6]},
        },
        {
            "layer": 2,
            "units": 3,
            "shown": 0,
            "spikes": False,
            "events": [],
            "traced": [0],
            "traces": {"output": [[0.0] * 6]},
        },
    ],
}


def label(rule):
    return Label("digits", "5-4-3", rule, "alif", "")


def a_run(spikes):
    rows = [
        Row.of(label(rule), seed, Condition(layer=1), measure, value + seed / 100)
        for rule in ("bp", "fa")
        for seed in range(2)
        for measure, value in ((RATE, 0.1), (RATE_HZ, 50.0))
    ]
    arms = [
        {**label(rule)._asdict(), "label": BAD if rule == "fa" else rule}
        | ({"spikes": json.loads(json.dumps(EXAMPLE))} if spikes else {})
        for rule in ("bp", "fa")
    ]
    return collect(rows if spikes else rows[:0], {"arms": arms})


def test_the_section_of_the_report():
    """A table of rates, a figure for each arm, and all names escaped; none without time."""
    run = a_run(True)
    svgs = figures(run)
    assert {"spikes", "spikes-1"} <= set(svgs)
    page = render(run, svgs)
    assert 'id="spikes"' in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "6 moments of 2 ms" in page
    assert "layer 1: 5 units, the first 4 shown" in svgs["spikes"]
    assert "layer 2: 3 units, do not fire" in svgs["spikes"]
    for number in ("0.105", "50.0"):
        assert number in page
    fewer = json.loads(json.dumps(EXAMPLE))
    fewer["layers"][0]["events"] = EVENTS[:1]
    other = run._replace(arms=(run.arms[0]._replace(about={"spikes": fewer}), *run.arms[1:]))
    assert figures(other)["spikes"] != svgs["spikes"]
    assert figures(run)["spikes"] == svgs["spikes"]  # the same bytes again
    assert 'id="spikes"' not in render(a_run(False), {})
