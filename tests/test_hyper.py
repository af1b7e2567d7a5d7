"""Hyperparameters: what a signature declares is read once, and checked wherever values come in."""

import functools
import math
from typing import Annotated, Any

import annotated_types as at
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.typing import ArrayLike

import bioplaus as bp
from bioplaus.hyper import (
    Count,
    Positive,
    Presentations,
    Real,
    Share,
    declared,
    hyperparameters,
    optimisers,
)
from bioplaus.modulators import MODULATORS
from bioplaus.rules import RULES
from bioplaus.study.defaults import defaults
from bioplaus.study.spec import arms

NET = bp.mlp([3, 2])


def factory(
    net,
    loss,
    *,
    a: Positive = 1.0,
    b: Real | None = None,
    c: Count = 3,
    d: ArrayLike = 2.0,
    e: bool = True,
    f: Share = 0.5,
    tx: optax.GradientTransformation | None = None,
    other: optax.GradientTransformation = optax.sgd(0.1),  # noqa: B008
    hold: Presentations = 2,
):
    return a


def test_what_a_signature_declares():
    found = hyperparameters(factory)
    assert list(found) == ["a", "b", "c", "d", "e", "f", "hold"]
    assert [h.traced for h in found.values()] == [True, True, False, True, False, False, False]
    assert [h.optional for h in found.values()] == [False, True, False, False, False, False, False]
    assert [h.default for h in found.values()] == [1.0, None, 3, 2.0, True, 0.5, 2]
    assert [n for n, h in found.items() if h.presentations] == ["hold"]
    assert optimisers(functools.partial(factory, a=4.0)) == ("tx", "other")
    assert hyperparameters(functools.partial(factory, a=4.0))["a"].default == 4.0
    assert hyperparameters(lambda net, loss: 0) == {}


def test_annotations_that_are_strings_are_read(tmp_path):
    """Domains are read from string annotations, as under `from __future__ import annotations`.

    A name that only a type checker imports is ignored.
    """
    source = (
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nfrom jax.typing"
        " import ArrayLike\nfrom bioplaus.hyper import Positive\nif TYPE_CHECKING:\n    from"
        " nowhere import Thing\ndef rule(net, loss, *, rate: Positive = 0.1, scale: ArrayLike ="
        " 1.0, thing: Thing = None): ...\ndef plain(net, loss, *, rate: Positive = 0.1, count: int"
        " = 2): ...\n"
    )
    space: dict = {}
    exec(compile(source, str(tmp_path / "rule.py"), "exec"), space)
    for name, others in (("rule", "scale"), ("plain", "count")):
        found = hyperparameters(space[name])
        assert found["rate"].expected() == "a number above 0"
        assert set(found) == {"rate", others}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": 0}, "a: expected a number above 0, got 0"),
        ({"a": math.nan}, "got nan"),
        ({"a": math.inf}, "got inf"),
        ({"a": True}, "got True"),
        ({"a": "0.1"}, "got '0.1'"),
        ({"a": None}, "got None"),
        ({"a": np.array([1.0, -1.0])}, "above 0"),
        ({"a": jnp.asarray(-1.0, jnp.bfloat16)}, "above 0"),
        ({"b": math.inf}, "a number, or None"),
        ({"c": 0}, "a whole number at least 1"),
        ({"c": 2.0}, "a whole number"),
        ({"c": True}, "a whole number"),
        ({"e": 1}, "true or false"),
        ({"f": 1.5}, "above 0 and at most 1"),
    ],
)
def test_values_outside_a_domain(given, message):
    with pytest.raises(ValueError, match=message):
        declared(factory)(NET, bp.mse, **given)  # type: ignore[arg-type]


def test_values_inside_a_domain_and_tracers():
    checked: Any = declared(factory)
    for given in (
        {"a": 1e-9},
        {"a": np.ones(2)},
        {"b": None},
        {"b": -3},
        {"c": np.int64(1)},
        {"f": 1},
        {"d": -math.inf},
    ):
        checked(NET, bp.mse, **given)
    # a tracer has no value that could be checked
    jax.jit(lambda a: checked(NET, bp.mse, a=a))(-1.0)
    with pytest.raises(ValueError, match="known when the program is compiled"):
        jax.jit(lambda c: checked(NET, bp.mse, c=c))(2)
    assert hyperparameters(declared(factory)) == hyperparameters(factory)
    with pytest.raises(TypeError, match="not understood"):
        declared(odd)(x=2)


def odd(x: Annotated[int, at.MultipleOf(2)] = 2):
    return x


CALLS = {
    "momentum = 5": lambda: RULES["ipc"](NET, bp.mse, momentum=5),
    "beta = 0": lambda: RULES["ep"](NET, bp.mse, beta=0),
    "steps = 0": lambda: RULES["pc"](NET, bp.mse, steps=0),
    "prediction": lambda: RULES["local_losses"](NET, bp.mse, prediction=-0.1),
    "rank": lambda: RULES["krotov"](NET, bp.mse, rank=1),
    "release": lambda: bp.synaptic_release(bp.dense(2), 1.5),
    "release 0": lambda: bp.synaptic_release(bp.dense(2), 0.0),
    "gaussian": lambda: bp.gaussian(bp.tanh(), -1),
    "current": lambda: bp.gaussian_current(bp.tanh(), math.nan),
    "multiplicative": lambda: bp.multiplicative(bp.tanh(), -0.1),
    "poisson": lambda: bp.poisson(bp.tanh(), -1),
    "slope": lambda: bp.sigmoid(0.0),
    "kappa": lambda: MODULATORS["dopamine"](kappa=1.5),
    "keep": lambda: MODULATORS["context_gating"](contexts=2, keep=2.0),
    "contexts": lambda: MODULATORS["context_gating"](contexts=0),
    **{
        f"{name} {given}": functools.partial(
            getattr(bp.measure.robustness, name),
            lambda x, key: x,
            bp.cross_entropy,
            jnp.ones((1, 2)),
            jnp.eye(2)[:1],
            jax.random.key(0),
            **given,
        )
        for name, given in (
            ("fgsm", {"epsilon": -1}),
            ("fgsm", {"epsilon": 0.1, "draws": 0}),
            ("pgd", {"epsilon": -1}),
            ("pgd", {"epsilon": 0.1, "steps": -1}),
            ("pgd", {"epsilon": 0.1, "step_size": 0}),
            ("square", {"epsilon": -1}),
            ("square", {"epsilon": 0.1, "queries": 0}),
            ("ray_search", {"epsilon": 0.1, "queries": 0}),
            ("random_signs", {"epsilon": -1}),
            ("random_ball", {"epsilon": math.nan}),
        )
    },
    "interval": lambda: bp.measure.interval([1.0, 2.0], level=95),
    "paired_interval": lambda: bp.measure.paired_interval([1.0, 2.0], [1.0, 3.0], level=0),
    "bootstrap": lambda: bp.measure.bootstrap(bp.measure.iqm, [[1.0], [2.0]], level=95),
}


@pytest.mark.parametrize("call", CALLS)
def test_the_library_checks_what_it_declares(call):
    with pytest.raises(ValueError, match="expected a"):
        CALLS[call]()


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (
            {"schedules": {"optimiser.learning_rate": {"to": -1}}},
            "schedules.optimiser.learning_rate.to: expected a number above 0",
        ),
        (
            {
                "neuron": {"noise": "synaptic_release", "level": 0.5},
                "schedules": {"neuron.level": {"to": 7}},
            },
            "schedules.neuron.level.to: expected a number above 0 and at most 1, got 7",
        ),
        (
            {"rule": "ep", "schedules": {"hyper.beta": {"to": 0}}},
            "schedules.hyper.beta.to: expected a number above 0",
        ),
        (
            {"rule": "ipc", "hyper": {"momentum": 5}},
            "hyper.momentum: expected a number at least 0 and below 1, or None, got 5",
        ),
        (
            {"rule": "pc", "hyper": {"steps": 2.5}},
            "hyper.steps: expected a whole number at least 1",
        ),
        (
            {"modulator": {"kind": "dopamine", "hyper": {"kappa": 2}}},
            "modulator.hyper.kappa: expected",
        ),
        ({"modulator": {"kind": "context_gating"}}, "modulator.hyper.contexts: is missing"),
    ],
)
def test_a_study_and_its_schedules_read_the_same_domains(base, message):
    with pytest.raises(bp.StudyError, match=message.replace("(", r"\(").replace(".", r"\.")):
        arms(bp.Study(name="domains", base=base))


def test_tuned_settings_lie_in_their_domains():
    for rule, settings in defaults().items():
        arms(bp.Study(name="tuned", base={"rule": rule, **{k: v for k, v in settings.items()}}))


def test_every_number_of_a_rule_has_a_domain():
    """A plain ArrayLike, int or float would take anything."""
    for key, rule in RULES.items():
        bare = [n for n, h in hyperparameters(rule).items() if not h.domain and h.kind is not bool]
        assert not bare, f"{key}: {bare}"
