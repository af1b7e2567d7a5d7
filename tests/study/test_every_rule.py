"""Costs, training and alignment probe of a study are traced on shapes for every rule.

The batch differs in size from that of the probe.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from variants import LABELLED_AND_SLOW_VARIANTS

import bioplaus as bp
from bioplaus.measure.alignment import angles
from bioplaus.modulators import modulate
from bioplaus.rules import BASELINES, RULES, backprop, of_labels, three_factor
from bioplaus.states import per_example, undeclared
from bioplaus.study.arm import PROBE_EXAMPLES, compiled_of, fitted
from bioplaus.study.build import build
from bioplaus.study.schedules import schedules_of
from bioplaus.study.sequences import spiking_settings
from bioplaus.study.settings import Arm
from bioplaus.support import needs_time
from bioplaus.training.seeds import seed_keys
from bioplaus.training.train import bind, replicate
from bioplaus.types import Batch, PerExample, PyTree

pytestmark = pytest.mark.thorough

DATA = bp.data.load("digits")
KEY = jax.random.key(0)


@pytest.mark.parametrize("key", LABELLED_AND_SLOW_VARIANTS)
def test_every_rule_goes_through_a_study(key):
    settings = {"rule": key, "net": {"hidden": [12, 12]}, "batch_size": 16, "steps": 8}
    if needs_time(RULES.get(key, backprop)):
        settings |= spiking_settings(DATA)
    arm = Arm.model_validate(settings)
    built = build(arm, DATA.train.x[:1], 10)
    few = jax.tree.map(lambda a: a[:16], DATA.train)
    assert bp.measure.cost(built.rule(built.net), built.net, few, tx=built.tx).batch == 16
    compiled, hyper = compiled_of(arm, DATA.train.x[:1], 10), schedules_of(arm)
    state = jax.eval_shape(replicate(bind(compiled.program, DATA.train, hyper)).init, seed_keys(2))
    found = jax.eval_shape(compiled.probe, state, DATA.test, hyper.end)
    assert found["angle to backprop"].shape == (2, len(built.net))


class Traces(NamedTuple):
    """A state that holds both."""

    weights: PyTree
    traces: PerExample


def test_only_per_example_state_is_replaced():
    """The probe takes a trained rule state, except for what the state holds per example.

    This holds for any batch size, also that of the probe, and in compositions. An array that is not
    declared as per example is replaced if its shape differs.
    """
    for size in (16, PROBE_EXAMPLES):
        own, fresh = (
            Traces({"w": np.full(4, v)}, (np.full((n, 4), v),))
            for v, n in ((1.0, size), (0.0, PROBE_EXAMPLES))
        )
        for nest in (lambda s: s, lambda s: (s, ()), lambda s: {"rule": s}):
            got = jax.tree.leaves(fitted(nest(own), nest(fresh)))
            np.testing.assert_array_equal(got[0], np.ones(4))
            np.testing.assert_array_equal(got[1], np.zeros((PROBE_EXAMPLES, 4)))
    bare = fitted((np.ones(4), np.ones((16, 4))), (np.zeros(4), np.zeros((PROBE_EXAMPLES, 4))))
    assert [a.max() for a in bare] == [1.0, 0.0]
    # control: undeclared, it is taken for weights
    assert fitted((np.ones((PROBE_EXAMPLES, 4)),), (np.zeros((PROBE_EXAMPLES, 4)),))[0].min() == 1


@pytest.mark.parametrize("batch_size", [pytest.param(64, marks=pytest.mark.slow), PROBE_EXAMPLES])
def test_angles_do_not_depend_on_traces_of_the_last_batch(batch_size):
    """Those of the same weights with no trace at all; a state left as it is shows others."""
    hyper = {"decay": 0.5}
    arm = Arm.model_validate(
        {
            "rule": "threefactor",
            "net": {"hidden": [12]},
            "batch_size": batch_size,
            "steps": 8,
            "hyper": hyper,
        }
    )
    compiled, values = compiled_of(arm, DATA.train.x[:1], 10), schedules_of(arm)
    train = bind(compiled.program, DATA.train, values)
    state, _ = train.advance(train.init(jax.random.key(0)), 8)
    built = build(arm, DATA.train.x[:1], 10)
    rule, few = built.rule(built.net), jax.tree.map(lambda a: a[:PROBE_EXAMPLES], DATA.test)
    # its state but for the baseline is empty
    untraced = three_factor(built.net, built.loss, sigma=0.5)
    truth = backprop(built.net, built.loss).grad(state.params, (), few, KEY)[0]
    none = untraced.init(KEY, state.params, few)._replace(baseline=state.rule.baseline)
    want = angles(untraced.grad(state.params, none, few, KEY)[0], truth)
    got = compiled.probe(jax.tree.map(lambda a: a[None], state), DATA.test, values.end)[
        "angle to backprop"
    ][0]
    np.testing.assert_allclose(got, want, atol=0.05)
    if batch_size == PROBE_EXAMPLES:
        kept = angles(rule.grad(state.params, state.rule, few, KEY)[0], truth)
        assert np.abs(kept - want).max() > 1


def test_states_declare_what_depends_on_the_batch():
    """Every rule declares the parts of its state whose shape depends on the batch.

    So do rules with traces, momentum, a modulator and compositions. Counters of presentations are
    declared as well.
    """
    rules = {
        **{key: RULES[key] for key in of_labels()},
        **BASELINES,
        "traces": partial(three_factor, decay=0.5, delay=2),
        "momentum": partial(RULES["ipc"], momentum=0.5),
        "modulated": modulate(partial(three_factor, decay=0.5), bp.modulators.dopamine()),
        "mixed": bp.by_layer((RULES["ipc"], RULES["kp"], RULES["bp"])),
    }
    layers, readout = [bp.over_time(bp.dense(n, bp.lif())) for n in (6, 4)], bp.dense(3)
    nets = {
        False: (bp.mlp((5, 6, 4, 3)), (5,)),
        True: ((*layers, bp.after(bp.mean_over_time, readout)), (7, 5)),
    }
    holding = set()
    for name, factory in rules.items():
        net, shape = nets[needs_time(factory)]
        few, many = (
            jax.eval_shape(lambda n=n, s=shape: Batch(jnp.zeros((n, *s)), jnp.zeros((n, 3))))
            for n in (4, 8)
        )
        params = jax.eval_shape(lambda x, net=net: bp.init(net, KEY, x), few.x)
        init = factory(net, bp.cross_entropy).init
        small, large = (jax.eval_shape(init, KEY, params, batch) for batch in (few, many))
        assert not undeclared(small, large), name
        for a, b, declared in zip(
            *map(jax.tree.leaves, (small, large, per_example(small))), strict=True
        ):
            assert declared == (a.shape != b.shape) or (declared and a.dtype == np.int32), name
            holding |= {name} if declared else set()
    assert holding == {"threefactor", "traces", "ipc", "momentum", "modulated", "mixed"}
    bare = (np.zeros((4, 2)), Traces((), np.zeros(4))), (np.zeros((8, 2)), Traces((), np.zeros(8)))
    assert undeclared(*bare) == ["[0]"]  # control
