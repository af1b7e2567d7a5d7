"""Settings of spiking nets: what they build, and what is refused in one line before work starts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.cli import main
from bioplaus.net import time_step
from bioplaus.outputs import at_moments
from bioplaus.study import Study, StudyError, run_study
from bioplaus.study.build import arrays_of, build, shape_of
from bioplaus.study.comparison import comparison
from bioplaus.study.labels import label_of
from bioplaus.study.nets import make_net
from bioplaus.study.plan import plan
from bioplaus.study.sequences import in_moments, net_kind
from bioplaus.study.settings import Arm
from bioplaus.study.spec import arms, resolved
from bioplaus.study.tune import tune

SPIKING = {
    "net": {"kind": "spiking", "hidden": [5]},
    "neuron": {"kind": "lif"},
    "encoder": {"kind": "bernoulli", "steps": 4},
}
IMAGE, SEQUENCE = jnp.full((1, 3, 2), 0.5), jnp.ones((2, 7, 3))
KEY = jax.random.key(0)


def arm_of(**more) -> Arm:
    """An arm of SPIKING, with further settings in its tables."""
    tables = {
        name: {**SPIKING.get(name, {}), **table} if isinstance(table, dict) else table
        for name, table in more.items()
    }
    return Arm.model_validate({**SPIKING, **tables})


def sequences(**options):
    x = np.random.default_rng(0).random((20, 7, 3))
    return bp.data.own(x, np.arange(20) % 2, dt=10.0, **options)


def answers():
    x = np.random.default_rng(0).random((20, 7, 3))
    return bp.data.own(x, np.ones((20, 7, 2)), dt=10.0)


def images():
    x = np.random.default_rng(0).random((20, 4, 4, 1))
    return bp.data.own(x, np.arange(20) % 2)


def test_settings_left_at_their_defaults_do_not_change_the_dump_of_older_arms():
    dump = Arm().model_dump()
    assert not {"encoder"} & set(dump)
    assert set(dump["net"]) == {"kind", "hidden", "output", "variance", "fan", "positive"}
    assert set(dump["neuron"]) == {"kind", "slope", "threshold", "noise", "level", "evaluate"}
    given = arm_of(net={"recurrent": True, "dt": 2.0}, neuron={"tau": 5.0}).model_dump()
    assert given["net"]["recurrent"] is True
    assert given["net"]["dt"] == 2.0
    assert given["neuron"]["tau"] == 5.0
    assert given["encoder"] == {"kind": "bernoulli", "steps": 4}


def test_a_written_study_gives_the_same_arms():
    tables = {"net": {"horizon": 2}, "neuron": {"surrogate": {"kind": "atan", "alpha": 1.0}}}
    study = Study(name="s", base=arm_of(**tables).model_dump(exclude_none=True, exclude={"epochs"}))
    (arm,) = arms(study)
    assert arm.neuron.surrogate.numbers == {"alpha": 1.0}
    assert arms(Study(**resolved(study))) == [arm]


def test_further_keys_do_not_depend_on_their_order():
    one, two = ({"kind": "alif", **numbers} for numbers in ({"tau": 9.0, "beta": 0.2},) * 2)
    two = dict(reversed(two.items()))
    assert list(one) != list(two)
    assert arm_of(neuron=one).model_dump_json() == arm_of(neuron=two).model_dump_json()


def test_settings_build_the_net_that_they_say():
    """The net of a study has the currents and outputs of the same net made by hand."""
    weights = jax.nn.initializers.variance_scaling(0.25, "fan_in", "normal")
    neuron = {"kind": "alif", "tau": 7.0, "beta": 0.3, "threshold": 0.5, "reset": "to_zero"}
    surrogate = {"kind": "fast_sigmoid", "slope": 5.0}
    arm = Arm.model_validate(
        {
            "net": {"kind": "spiking", "hidden": [5], "recurrent": True, "dt": 3.0, "horizon": 4},
            "neuron": {**neuron, "surrogate": surrogate, "detached": False, "tau_syn": 2.0},
        }
    )
    by_hand = bp.neurons.alif(
        7.0,
        beta=0.3,
        threshold=0.5,
        reset=bp.neurons.RESETS["to_zero"],
        surrogate=bp.neurons.fast_sigmoid(5.0),
        detached=False,
    )

    def net_of(neuron):
        inner = bp.dense(5, neuron, weights=weights)
        back = bp.dense(5, weights=weights)
        readout = bp.after(bp.mean_over_time, bp.dense(2, weights=weights))
        return bp.recurrent(inner, back, dt=3.0, horizon=4), readout

    def grads(net):
        params = bp.init(net, KEY, 4 * SEQUENCE)
        batch = bp.Batch(4 * SEQUENCE, jnp.eye(2))
        return bp.rules.backprop(net, bp.cross_entropy).grad(params, (), batch, KEY)[0]

    want = grads(net_of(bp.neurons.synaptic(by_hand, 2.0)))
    jax.tree.map(np.testing.assert_array_equal, grads(make_net(arm, SEQUENCE, 2)), want)
    other = grads(net_of(bp.neurons.synaptic(bp.alif(7.0), 2.0)))
    assert jnp.abs(other[0]["in"]["w"] - want[0]["in"]["w"]).max() > 1e-3


@pytest.mark.parametrize("readout", ["pooled", "last", "each"])
def test_readouts(readout):
    arm = arm_of(net={"readout": readout}, encoder={"kind": "none"})
    net = make_net(arm, SEQUENCE, 2)
    output = bp.forward(net, bp.init(net, KEY, SEQUENCE), SEQUENCE, KEY).output
    assert output.shape == ((2, 7, 2) if readout == "each" else (2, 2))
    built = build(arm, SEQUENCE, 2)
    assert bool(at_moments(built.objective)) == (readout == "each")
    assert time_step(net) == 1.0


def test_what_a_readout_receives_is_scaled():
    def change(gain):
        net = make_net(arm_of(net={"readout_gain": gain}), IMAGE, 2)
        params = bp.init(net, KEY, IMAGE)
        return bp.forward(net, params, IMAGE, KEY).output - params[-1]["b"]

    np.testing.assert_allclose(change(3.0), 3 * change(1.0), rtol=1e-6)


def test_rate_neurons_of_a_spiking_net_are_lifted():
    net = make_net(arm_of(neuron={"kind": "tanh"}), IMAGE, 2)
    assert net[0].time is not None
    assert not net[0].time.moment.neuron.spikes


def test_numbers_of_neurons_are_arguments_of_one_program():
    slow, fast = (arm_of(neuron={"tau": tau, "threshold": 1.5}) for tau in (30.0, 5.0))
    assert shape_of(slow) == shape_of(fast)
    assert arrays_of(slow)["neuron.tau"] == 30.0
    assert arrays_of(slow)["neuron.threshold"] == 1.5
    assert shape_of(slow) != shape_of(arm_of(neuron={"kind": "alif"}))
    assert shape_of(slow) != shape_of(arm_of(neuron={"surrogate": {"gamma": 0.5}}))


def test_moments_are_as_long_as_those_of_the_data():
    bare = {"encoder": {"kind": "none"}}
    assert in_moments(arm_of(**bare), sequences()).net.dt == 10.0
    assert in_moments(arm_of(net={"dt": 2.0}, **bare), sequences()).net.dt == 2.0
    assert in_moments(arm_of(), images()).net.dt == 1.0


def test_labels_say_that_a_net_is_recurrent():
    assert label_of(arm_of()).net == "spiking 5"
    assert label_of(arm_of(net={"recurrent": True})).net == "recurrent spiking 5"


BAD = {
    "a neuron of no kind": ({"neuron": {"kind": "lift"}}, images, "there is no 'lift'"),
    "a number of no neuron": ({"neuron": {"taw": 3.0}}, images, "neuron.taw: unknown .*'tau'"),
    "a number of another neuron": ({"neuron": {"kind": "tanh", "tau": 3.0}}, images, "neuron.tau"),
    "a time constant of 0": ({"neuron": {"tau": 0.0}}, images, "neuron.tau: expected .* above 0"),
    "a time constant in words": ({"neuron": {"tau": "long"}}, images, "neuron.tau: expected"),
    "no surrogate": ({"neuron": {"surrogate": {"kind": "box"}}}, images, "there is no 'box'"),
    "surrogate numbers": ({"neuron": {"surrogate": {"beta": 1.0}}}, images, "surrogate.beta"),
    "an unknown reset": ({"neuron": {"reset": "zero"}}, images, "base.neuron.reset"),
    "a reset in mV of lif": ({"neuron": {"reset": 3.0}}, images, "neuron.reset.*a name for lif"),
    "a reset of rates": ({"neuron": {"kind": "tanh", "reset": "to_zero"}}, images, "neuron.reset"),
    "a surrogate of rates": (
        {"neuron": {"kind": "tanh", "surrogate": {"kind": "atan"}}},
        images,
        "neurons that fire",
    ),
    "a spiking neuron in an mlp": ({"net": {"kind": "mlp"}}, images, 'net.kind = "spiking"'),
    "dt of 0": ({"net": {"dt": 0}}, images, "base.net.dt: .* greater than 0"),
    "a horizon of 0": ({"net": {"horizon": 0}}, images, "base.net.horizon"),
    "an unknown readout": ({"net": {"readout": "mean"}}, images, "base.net.readout"),
    "no hidden layer": ({"net": {"hidden": []}}, images, "net.hidden: is empty"),
    "images without encoder": ({"encoder": {"kind": "none"}}, images, "not sequences.*bernoulli"),
    "an encoder of no kind": ({"encoder": {"kind": "spikes"}}, images, "there is no 'spikes'"),
    "an encoder without steps": (
        {"encoder": {"kind": "poisson"}},
        images,
        "encoder.steps: is missing",
    ),
    "an encoder of 0 steps": ({"encoder": {"steps": 0}}, images, "encoder.steps: expected"),
    "an encoder of sequences": ({}, sequences, "leave encoder out"),
    "changes of images": (
        {"encoder": {"kind": "delta", "steps": 0}},
        images,
        "encoder.steps: unknown",
    ),
    "sequences in an mlp": (
        {"net": {"kind": "mlp"}, "neuron": {"kind": "tanh"}, "encoder": {"kind": "none"}},
        sequences,
        'set net.kind = "spiking"',
    ),
    "answers at each moment": ({"encoder": {"kind": "none"}}, answers, 'net.readout = "each"'),
    "jitter of sequences": ({"encoder": {"kind": "none"}, "jitter": 1}, sequences, "jitter"),
    "corrupted sequences": (
        {"encoder": {"kind": "none"}, "corruptions": "generated"},
        sequences,
        "corruptions",
    ),
    "leaky readout that is pooled": ({"net": {"readout_tau": 5.0}}, images, "net.readout_tau"),
    "rates of neurons that do not fire": (
        {"neuron": {"kind": "tanh"}, "rates": {"strength": 1.0}},
        images,
        "rates.strength",
    ),
    "a target of no regularisation": ({"rates": {"target": 5.0}}, images, "rates.target"),
    "a rule that settles": ({"rule": "ep"}, images, "^ep on own cannot be run: .*spikes|fire"),
    "gain of a leaky readout": (
        {"net": {"readout": "each", "readout_gain": 2.0}},
        images,
        "net.readout_gain",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_setting_gets_one_line(case):
    settings, data, expected = BAD[case]
    tables = {
        name: {**({} if "kind" in table and name == "encoder" else SPIKING.get(name, {})), **table}
        if isinstance(table, dict)
        else table
        for name, table in settings.items()
    }
    base = {**SPIKING, "batch_size": 4, "steps": 1, **tables}
    with pytest.raises(StudyError, match=expected) as error:
        run_study(Study(name="bad", base=base), data=data(), show=False)
    assert "\n" not in str(error.value)


def test_settings_of_spiking_nets_are_refused_where_nothing_reads_them():
    for settings in (
        {"net": {"recurrent": True}},
        {"net": {"dt": 2.0}},
        {"net": {"readout": "last"}},
        {"encoder": {"kind": "bernoulli", "steps": 3}},
        {"neuron": {"tau_syn": 5.0}},
    ):
        with pytest.raises(StudyError, match=r"has no effect.*net.kind = spiking"):
            arms(Study(name="s", base=settings))


def test_commands_refuse_in_one_line_too(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, expected in (
        (["compare", "--net", "spikes"], "there is no 'spikes'"),
        (["compare", "--net", "spiking", "--data", "digit"], "did you mean 'digits'"),
        (["compare", "--net", "spiking", "--own"], "own: "),
        (["compare", "--net", "spiking", "--rules", "bp,ep"], "ep on digits cannot be run"),
        (["tune", "--net", "spiking", "--rules", "ep"], "ep on digits cannot be run"),
    ):
        assert main(words) == 2
        said = capsys.readouterr()
        assert expected in said.err
        assert said.err.count("\n") == 1
    assert not [*tmp_path.rglob("*.toml")]


def test_all_rules_of_a_comparison_are_those_that_take_spikes():
    study = comparison(["all"], data="digits", net="spiking")
    keys = study.grid["rule"]
    assert {"bp", "fa", "frozen"} <= set(keys)
    assert "ep" not in keys
    assert plan(study.model_copy(update={"grid": {"rule": ["fa"]}}), check=False)
    with pytest.raises(StudyError, match="there is no 'spikes'"):
        tune(["bp"], net="spikes")


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        (None, "spoken-digits", "spiking"),
        (None, "store-recall", "spiking"),
        (None, "digits", "mlp"),
        ("mlp", "spoken-digits", "mlp"),
        ("spiking", "digits", "spiking"),
    ],
)
def test_sequences_take_a_spiking_net_unless_one_is_named(name, data, kind):
    assert net_kind(name, data) == kind


def test_the_sets_of_sequences_are_declared():
    """Each set that is made here says whether it has moments, as `SEQUENCES` does."""
    for name in ("digits", "store-recall", "evidence-accumulation", "random-manifolds"):
        assert (bp.data.load(name).dt is not None) == (name in bp.data.SEQUENCES), name
