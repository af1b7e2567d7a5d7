"""Studies of spiking nets: arms are streamed, stopped, loaded and tuned as those of other nets."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.measure.accuracy import accuracy
from bioplaus.study import Study, arm, run_study
from bioplaus.study.arm import train_arm
from bioplaus.study.build import build
from bioplaus.study.plan import plan
from bioplaus.study.schedules import schedules_of
from bioplaus.study.tune import tune
from bioplaus.study.tuned import read
from bioplaus.training.seeds import seed_key
from bioplaus.training.train import bind

BASE = {
    "steps": 4,
    "seeds": 2,
    "points": 2,
    "batch_size": 8,
    "net": {"kind": "spiking", "hidden": [6], "recurrent": True, "variance": 4.0},
    "neuron": {"kind": "alif", "tau": 10.0},
    "encoder": {"kind": "bernoulli", "steps": 4},
    "robustness": False,
    "energy": False,
    "alignment": False,
}
NOISE = {"noise": "gaussian_current", "level": 0.5, "evaluate": "off"}
EXTRA = [
    {"rule": "fa", "stream": 3},
    {"rule": "fa", "net": {"horizon": 2}},
    {"rule": "fa", "neuron": NOISE},
    {"rule": "fa", "modulator": {"kind": "dopamine"}},
]
STUDY = Study(name="time", base=BASE, grid={"rule": ["fa"]}, extra=EXTRA)


@pytest.fixture(scope="module", autouse=True)
def compiled_quickly():
    """Compile without most optimisations: every run whose bits are compared."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_study(STUDY, out=tmp_path_factory.mktemp("time") / "run", show=False)


def numbers(results, rule="fa", neuron="alif", modulator="unmodulated"):
    """(seed, condition, measure, value) of one arm."""
    found = [
        (r.seed, r.condition, r.measure, r.value)
        for r in results.rows
        if (r.rule, r.neuron, r.modulator) == (rule, neuron, modulator)
    ]
    assert found
    return found


@pytest.mark.slow
def test_streamed_data_give_the_same_numbers(run):
    assert numbers(run, "fa stream=3") == numbers(run)
    assert numbers(run, "fa net.horizon=2") != numbers(run)


@pytest.mark.slow
def test_noise_and_modulators_act(run):
    noisy = numbers(run, neuron="alif gaussian_current 0.5 (off at test)")
    modulated = numbers(run, modulator="dopamine")
    for found in (noisy, modulated):
        losses = [[v for _, _, m, v in of if "loss" in m] for of in (found, numbers(run))]
        assert np.isfinite(losses).all()
        assert losses[0] != losses[1]
    assert {m for _, _, m, _ in modulated} - {m for _, _, m, _ in numbers(run)}  # the gate


def test_rates_are_kept_near_their_target():
    """The rule of an arm is the regularised rule; its target is in Hz, that of the rule per ms."""
    settings = BASE | {"rule": "fa", "rates": {"target": 20.0, "strength": 30.0}}
    x = jax.random.uniform(jax.random.key(1), (4, 8, 8, 1))
    built = build(arm.Arm.model_validate(settings), x[:1], 10)
    batch, key = bp.Batch(x, jnp.eye(10)[:4]), jax.random.key(2)
    params = bp.init(built.net, jax.random.key(0), x)

    def grads(rule):
        return rule.grad(params, rule.init(key, params, batch), batch, key)[0]

    def by_hand(target):
        factory = bp.rate_regularised(bp.rules.RULES["fa"], target, 30.0)
        return grads(factory(built.net, built.loss))

    found = grads(built.rule(built.net))
    jax.tree.map(np.testing.assert_array_equal, found, by_hand(0.02))
    assert not np.allclose(found[0]["in"]["w"], by_hand(20.0)[0]["in"]["w"])


@pytest.mark.slow
def test_a_loaded_net_answers_as_it_was_measured(run):
    test = bp.data.load("digits").test
    measured = {s: v for s, c, m, v in numbers(run) if (c, m) == ("clean", "accuracy")}
    found = []
    for seed in (0, 1):
        model = bp.load(run.folder, "fa · alif · unmodulated", seed=seed)
        assert model.net[0].time is not None
        output = model.rule.predict(model.params, model.state, test.x, seed_key(0))
        found.append(float(accuracy(output, test.y)))
    assert found == pytest.approx([measured["0"], measured["1"]], abs=0.003)
    assert found[0] != pytest.approx(found[1], abs=0.003)


@pytest.mark.slow
def test_a_stopped_arm_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    """So do seeds that are trained together and alone."""
    monkeypatch.setattr(arm, "SAVE_EVERY", 0.0)
    (p,) = plan(Study(name="time", base=BASE | {"rule": "fa"}))

    class Stopped(Exception):
        pass

    ticks = iter(range(3))

    def stop(n):
        if next(ticks) == 2:  # after the steps were taken, and before they are saved
            raise Stopped

    train = functools.partial(train_arm, p.arm, p.compiled, p.data, p.label)
    whole = train(None, lambda n: None)
    with pytest.raises(Stopped):
        train(tmp_path / "arm", stop)
    taken = []
    resumed = train(tmp_path / "arm", taken.append)
    assert taken[0] == 2  # of the checkpoint; a run from the start takes one step first
    assert sum(taken) == 4
    jax.tree.map(np.testing.assert_array_equal, _plain(resumed.state), _plain(whole.state))
    assert resumed.rows == whole.rows
    alone = bind(p.compiled.program, p.data.train, schedules_of(p.arm))
    state, _ = alone.advance(alone.init(seed_key(1)), 4)
    both = whole.state.params[0]["back"]["w"]
    np.testing.assert_allclose(state.params[0]["back"]["w"], both[1], atol=1e-5)
    assert np.abs(both[0] - both[1]).max() > 0.1


def _plain(state):
    return state._replace(key=jax.random.key_data(state.key))


def moments(n=40, t=5):
    """Class c is the sign of x at the asked moments; at the others y is the other class."""
    draw = np.random.default_rng(0)
    classes, asked = np.arange(n) % 2, draw.random((n, t)) < 0.5
    asked[:, 0] = True
    x = np.where(asked, 2.0 * classes[:, None] - 1, 0.0)[..., None] * np.ones(3)
    return bp.data.own(
        x, np.eye(2)[np.where(asked, classes[:, None], 1 - classes[:, None])], dt=2.0, asked=asked
    )


@pytest.mark.slow
def test_answers_at_each_moment_are_trained_and_measured_where_they_are_asked():
    data = moments()
    base = BASE | {
        "net": {**BASE["net"], "readout": "each"},
        "encoder": {"kind": "none"},
        "optimiser": {"learning_rate": 0.1},
        "steps": 30,
        "seeds": 1,
    }
    study = Study(name="each", base=base, grid={"rule": ["bp"]}, extra=[{"stream": 10}])
    found = run_study(study, data=data, show=False)
    told = {c: v for _, c, m, v in numbers(found, "bp") if m == "accuracy"}
    assert told["clean"] == 1.0
    assert numbers(found, "bp stream=10") == numbers(found, "bp")
    hidden = data._replace(
        **{name: getattr(data, name)._replace(asked=None) for name in ("validation", "test")}
    )
    unasked = run_study(Study(name="each", base=base), data=hidden, show=False)
    all_moments = {c: v for _, c, m, v in numbers(unasked, "bp") if m == "accuracy"}
    assert all_moments["clean"] < 1.0


def test_each_layer_learns_by_its_rule():
    """The rules of an arm's net are composed: the recurrent layer learns by feedback alignment."""
    built = build(arm.Arm.model_validate(BASE), jnp.ones((1, 8, 8, 1)), 10)
    x = jax.random.uniform(jax.random.key(1), (4, 8, 8, 1))
    batch, key = bp.Batch(x, jnp.eye(10)[:4]), jax.random.key(2)
    params = bp.init(built.net, jax.random.key(0), x)
    rules = bp.rules.RULES
    mixed = bp.by_layer((rules["fa"], rules["bp"]))(built.net, built.loss)
    state = mixed.init(key, params, batch)
    grads = mixed.grad(params, state, batch, key)[0]
    true, random = (
        rules[name](built.net, built.loss).grad(params, s, batch, key)[0]
        for name, s in zip(("bp", "fa"), state, strict=True)
    )
    jax.tree.map(np.testing.assert_array_equal, grads, (random[0], true[1]))
    assert not np.allclose(random[0]["back"]["w"], true[0]["back"]["w"])


@pytest.mark.slow
def test_tuning_runs_on_a_spiking_net(tmp_path, monkeypatch):
    small = {name: BASE[name] for name in ("net", "neuron", "encoder")}
    monkeypatch.setattr(
        "bioplaus.study.tune.spiking_settings", lambda data: small | {"optimiser": {"clip": 1.0}}
    )
    out = tmp_path / "tuned.toml"
    tune(["fa"], net="spiking", trials=2, seeds=1, steps=2, out=out, say=lambda line: None)
    found = read(out)
    assert found.budget.net == "spiking"
    assert len(found.scores["fa"].trials) == 2


@pytest.mark.slow
def test_compare_takes_sequences():
    x = np.random.default_rng(0).random((120, 4, 3))
    data = bp.data.own(x, np.arange(120) % 2, dt=10.0)
    found = bp.compare(["bp"], net="spiking", data=data, seeds=2, steps=4, show=False)
    assert {r.net for r in found.rows} == {"recurrent spiking 100"}
    assert {r.rule for r in found.rows} == {"bp", "frozen"}
    assert any(r.condition.startswith("lesion") for r in found.rows)
