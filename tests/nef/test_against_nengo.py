"""Networks are equal to nengo's, on its own parameters: golden.npz (made by nengo_models.py), and
nengo 4.1.0 itself where it is installed; its plugin of pytest is of old: run `pytest -p no:nengo`.
"""

import importlib.util
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nengo_models import CASES, ITEMS, KEYS, TURN, T, cue, key_of, measured, stored, turning, wave

from bioplaus import nef
from bioplaus.nef import Connection as C

LIVE = pytest.param(
    measured,
    id="nengo",
    marks=pytest.mark.skipif(
        importlib.util.find_spec("nengo") is None, reason="nengo is not installed"
    ),
)
REFERENCES = [pytest.param(stored, id="golden"), LIVE]
KINDS = {"a": nef.adaptive_lif(tau_n=0.1), "b": nef.lif_rate(), "c": nef.rectified_linear()}


def ensembles_of(case, arrays):
    names = {name.split("/")[0] for name in arrays if "/" in name}
    fields = [f for f in nef.Ensemble._fields if f != "neurons"]
    return {
        name: nef.Ensemble(
            **{f: jnp.asarray(arrays[f"{name}/{f}"]) for f in fields},
            neurons=KINDS[name] if case == "adaptive" else nef.lif(),
        )
        for name in names
    }


def square(x):
    return x**2


def decoded(source, **more):
    return {"out": nef.Probe(source, synapse=nef.lowpass(0.01), **more)}


def parts(case, arrays, pes):
    """(inputs, further nodes, connections, probes) of a case, in this library's words."""
    into = C("u", "a", synapse=None)
    slow, sized = nef.lowpass(0.1), np.array([wave(t) for t in T])[:, None]
    between: dict[str, Any] = {
        "weights": arrays.get("weights", np.zeros((0, 0))).T,
        "to_neurons": True,
    }
    match case:
        case "channel":
            return sized, {}, (into, C("a", "b")), decoded("b")
        case "square":
            first = C("u", "a", synapse=nef.alpha(0.003))
            second = C("a", "b", function=square, synapse=nef.alpha(0.01))
            return sized, {}, (first, second), decoded("b")
        case "adaptive":
            chain = (into, C("a", "b", synapse=nef.lowpass(0.02)), C("b", "c", synapse=None))
            return sized, {}, chain, {"out": nef.Probe("c")}
        case "integrator":
            loop = (C("u", "a", transform=0.1, synapse=slow), C("a", "a", synapse=slow))
            return cue(T)[:, None], {}, loop, decoded("a")
        case "oscillator":
            u = np.stack([cue(T), 0 * T], 1)
            return u, {}, (into, C("a", "a", transform=TURN, synapse=slow)), decoded("a")
        case "pes":
            tenth: dict[str, Any] = {"synapse": nef.lowpass(0.01), "learning": pes("error", 1e-2)}
            learned = C("a", "y", function=lambda x: 0 * x, **tenth)
            error = (
                C("y", "error", synapse=None),
                C("u", "error", function=lambda x: -(x**2), synapse=None),
            )
            nodes = {"y": nef.relay(1), "error": nef.relay(1)}
            return sized, nodes, (into, learned, *error), {"out": nef.Probe("y")}
        case "product":
            times = C("a", "out", function=lambda x: x[0] * x[1])
            return np.stack([turning(t) for t in T]), {}, (into, times), decoded("out")
        case "memory":
            read = [C("u", str(i), transform=KEYS[i : i + 1], synapse=None) for i in range(3)]
            said: dict[str, Any] = {
                "function": lambda x: 1.0 * (x > 0),
                "synapse": nef.lowpass(0.01),
            }
            recall = [C(str(i), "y", transform=ITEMS[i][:, None], **said) for i in range(3)]
            u = np.stack([key_of(t) for t in T])
            return u, {"y": nef.relay(2)}, (*read, *recall), {"out": nef.Probe("y")}
        case "oja":
            learned = C("a", "b", **between, learning=nef.oja(1e-4, beta=0.5))
            return sized, {}, (into, learned), decoded("b")
        case "bcm":
            learned = C("a", "b", **between, learning=nef.bcm(1e-7))
            return sized, {}, (into, learned), decoded("b")
        case "voja":
            u = np.stack([turning(t) for t in T])
            signal = nef.Node(0, 1, lambda t, x: jnp.where(t > 0.2, -1.0, 0.0)[None])
            learned = C("a", "b", learning=nef.voja(0.1, signal="signal"))
            return u, {"signal": signal}, (into, learned), decoded("b")
    raise AssertionError(case)


def trace(case, arrays, *, pes=nef.pes, change=lambda e: e):
    """What this library's network does."""
    inputs, nodes, connections, probes = parts(case, arrays, pes)
    nodes = {"u": nef.source(inputs.shape[1]), **nodes}

    @jax.jit
    def seen(arrays, u):
        ensembles = {name: change(e) for name, e in ensembles_of(case, arrays).items()}
        connected = tuple(change(c) for c in connections)
        net = nef.network(nef.Model(ensembles, nodes, connected, probes))
        return nef.run(net, {"u": u})[1]["out"]

    return seen(arrays, inputs)


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("case", CASES)
def test_equal_to_nengo(x64, case, reference):
    arrays = reference(case)
    assert np.abs(arrays["trace"]).max() > 0.05
    assert np.abs(trace(case, arrays) - arrays["trace"]).max() < 1e-12


def from_zero(part):
    return part._replace(voltages=0 * part.voltages) if isinstance(part, nef.Ensemble) else part


def still(part):
    return part._replace(learning=None) if isinstance(part, C) else part


@pytest.mark.parametrize("case", ["channel", "oscillator", "pes"])
def test_voltages_from_zero_differ(x64, case):
    arrays = stored(case)
    zero = trace(case, arrays, change=from_zero)
    assert np.abs(zero - arrays["trace"]).max() > 1e-3


def late_pes(error, rate):
    """PES by the trace of the step before, without this step's spikes."""
    right, before = nef.pes(error, rate), nef.lowpass()

    def step(state, w, seen, scale, dt):
        change = -(rate * dt / len(w)) * before.arrives(state)[:, None] * seen.error
        return before.step(state, seen.pre, dt), change

    return right._replace(step=step)


def test_pes_by_the_trace_of_the_step_before_differs(x64):
    arrays = stored("pes")
    assert 1e-4 < np.abs(trace("pes", arrays, pes=late_pes) - arrays["trace"]).max() < 0.1


@pytest.mark.parametrize("case", ["oja", "bcm", "voja"])
def test_without_learning_traces_differ(x64, case):
    """Control: the probes of these cases see what was learned."""
    arrays = stored(case)
    assert np.abs(trace(case, arrays, change=still) - arrays["trace"]).max() > 1e-3


def test_decoders_follow_the_regularisation(x64):
    a = ensembles_of("channel", stored("channel"))["a"]
    d = nef.decoders(a)
    assert np.abs(nef.decoders(a, reg=0.05) - d).max() > 0.1 * np.abs(d).max()
