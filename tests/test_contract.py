"""Every rule through the contract, and for each item of it a broken rule that it must reject."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.typing import ArrayLike
from variants import FIRST, SHOWN_AND_SLOW_OTHERS, VARIANTS

import bioplaus as bp
from bioplaus.rules import BASELINES, RULES
from bioplaus.testing import CONTRACT, check_rule, convolutional, perceptron, spiking
from bioplaus.types import Batch, Rule


@pytest.mark.parametrize("key", SHOWN_AND_SLOW_OTHERS)
def test_rule_keeps_the_contract(key):
    """On all nets: a perceptron, convolutions and, if it takes one, a spiking net."""
    check_rule((RULES | BASELINES)[key])


def test_every_rule_is_tested():
    assert {*FIRST, *VARIANTS} == RULES.keys() | BASELINES.keys()
    assert "fa" in FIRST
    assert "hep" in VARIANTS


def test_on_a_net_of_the_caller():
    batch = Batch(jnp.arange(12.0).reshape(3, 2, 2, 1) / 12, jnp.eye(2)[jnp.array([0, 1, 1])])
    check_rule(functools.partial(RULES["fa"], scale=0.5), bp.mlp((4, 3, 2)), bp.mse, batch)
    with pytest.raises(ValueError, match="neither"):
        check_rule(RULES["bp"], bp.mlp((4, 3, 2)))


def broken(change, **state):
    """Backprop with another `grad`.

    change: (grad of backprop, params, state, batch, key, gate) -> (grads, state, info).
    """

    def factory(net, loss):
        rule = RULES["bp"](net, loss)

        def init(key, params, batch):
            del key, params, batch
            return jax.tree.map(jnp.asarray, state)

        def grad(params, state, batch, key, gate=None):
            return change(rule.grad, params, state, batch, key, gate)

        return Rule(init, grad, rule.predict)

    return factory


def float16_grads(grad, *args):
    grads, *rest = grad(*args)
    return (jax.tree.map(lambda g: g.astype(jnp.float16), grads), *rest)


def list_for_tuple(grad, *args):
    grads, *rest = grad(*args)
    return (list(grads), *rest)


def loss_per_example(grad, *args):
    grads, state, info = grad(*args)
    return grads, state, info | {"loss": info["signals"].loss}


def wrong_loss(grad, *args):
    grads, state, info = grad(*args)
    return grads, state, info | {"loss": 2 * info["loss"]}


def numpy_noise(grad, *args):
    grads, *rest = grad(*args)
    return (jax.tree.map(lambda g: g + np.random.default_rng().normal(), grads), *rest)


def in_place(grad, params, *args):
    params[0]["w"] = params[0]["w"] * 1.0
    return grad(params, *args)


def jax_arrays_alone(grad, params, state, batch, *args):
    return grad(params, state, batch._replace(x=batch.x.at[:].add(0)), *args)


def silent(grad, *args):
    grads, *rest = grad(*args)
    return (jax.tree.map(jnp.zeros_like, grads), *rest)


def growing_state(grad, params, state, *args):
    grads, state, info = grad(params, state, *args)
    return grads, {"n": jnp.concatenate([state["n"], state["n"]])}, info


def strong_type(grad, params, state, *args):
    grads, state, info = grad(params, state, *args)
    return grads, {"n": state["n"] * jnp.ones(())}, info


@jax.custom_batching.custom_vmap
def doubled_under_vmap(a):
    return a


@doubled_under_vmap.def_vmap
def _(size, batched, a):
    del size
    return 2 * a, batched[0]


def other_under_vmap(grad, *args):
    grads, *rest = grad(*args)
    return (jax.tree.map(doubled_under_vmap, grads), *rest)


def gate_on_the_mean(grad, params, state, batch, key, gate):
    grads, state, info = grad(params, state, batch, key)
    return (
        (grads if gate is None else jax.tree.map(lambda a: jnp.mean(gate) * a, grads)),
        state,
        info,
    )


def gate_ignored(grad, params, state, batch, key, gate):
    del gate
    return grad(params, state, batch, key)


def gate_called_twice(grad, params, state, batch, key, gate):
    if callable(gate):
        gate(grad(params, state, batch, key)[2]["signals"])
    return grad(params, state, batch, key, gate)


def gate_squared(grad, params, state, batch, key, gate):
    return grad(
        params, state, batch, key, jnp.asarray(gate) ** 2 if isinstance(gate, jax.Array) else gate
    )


def first_gate_for_all(grad, params, state, batch, key, gate):
    return grad(params, state, batch, key, gate[0] if isinstance(gate, tuple) else gate)


def any_gate_shape(grad, params, state, batch, key, gate):
    if isinstance(gate, jax.Array) and gate.shape == (len(batch.y) + 1,):
        gate = gate[:-1]
    return grad(params, state, batch, key, gate)


def gate_averaged(*axes):
    def mean(g):
        if g is None or g.ndim <= max(1, *axes):
            return g
        return jnp.broadcast_to(g.mean(axes, keepdims=True), g.shape)

    def change(grad, params, state, batch, key, gate):
        gate = tuple(map(mean, gate)) if isinstance(gate, tuple) else gate
        return grad(params, state, batch, key, gate)

    return change


def batch_sum(grad, params, state, batch, *args):
    grads, *rest = grad(params, state, batch, *args)
    return (jax.tree.map(lambda g: g * len(batch.y), grads), *rest)


def short_batch(grad, params, state, batch, *args):
    n = min(len(batch.x), len(batch.y))
    return grad(params, state, Batch(batch.x[:n], batch.y[:n]), *args)


def short_params(grad, params, state, batch, key, gate):
    depth = 3
    grads, *rest = grad(params[:depth], state, batch, key, gate)
    return (grads, *rest)


def undeclared_traces(net, loss):
    return RULES["bp"](net, loss)._replace(init=lambda key, params, batch: jnp.zeros_like(batch.y))


def number_of(net, loss, *, scale: ArrayLike = 1.0):
    return RULES["fa"](net, loss, scale=1.0 if scale == 1.0 else 2.0)


def default_changes(net, loss, *, scale: ArrayLike = 1.0):
    return RULES["fa"](net, loss, scale=scale if isinstance(scale, float) else 2.0 * scale)


class OfOtherShapes(NamedTuple):
    feedback: bp.Feedback


def other_feedback(net, loss):
    rule = RULES["bp"](net, loss)
    return rule._replace(init=lambda *_: OfOtherShapes((jnp.ones(3),) * len(net)))


@bp.learning_rule(time=bp.OverTime())
def derivative_of_a_sigmoid(net, loss):
    """Backprop with h (1 - h) for the derivative of every hidden layer: 0 where h is a spike."""

    def sigmoidal(layer):
        if layer.time is not None:
            return layer.time.lift(sigmoidal)

        def step(state, current, key):
            state, h = layer.neuron.step(state, current, key)
            slope, h = jax.lax.stop_gradient((h * (1 - h), h))
            return state, h + slope * (current - jax.lax.stop_gradient(current))

        return layer._replace(neuron=layer.neuron._replace(step=step))

    return RULES["bp"]((*map(sigmoidal, net[:-1]), net[-1]), loss)


BROKEN = {
    "grads of another dtype": ("shapes", broken(float16_grads)),
    "grads in a list": ("shapes", broken(list_for_tuple)),
    "a loss for each example": ("shapes", broken(loss_per_example)),
    "a state that grows": ("shapes", broken(growing_state, n=np.ones(1))),
    "traces of examples that are not declared": ("shapes", undeclared_traces),
    "feedback weights of other shapes": ("shapes", other_feedback),
    "randomness outside of the key": ("plain", broken(numpy_noise)),
    "params changed in place": ("plain", broken(in_place)),
    "no gradient at all": ("plain", broken(silent)),
    "another loss reported": ("plain", broken(wrong_loss)),
    "a state whose weak type changes": ("one_trace", broken(strong_type, n=1.0)),
    "another result under vmap": ("transforms", broken(other_under_vmap)),
    "a hyperparameter used as a number": ("hyperparameters", number_of),
    "a hyperparameter read twice": ("hyperparameters", default_changes),
    "a gate after the batch sum": ("gates", broken(gate_on_the_mean)),
    "a gate ignored": ("gates", broken(gate_ignored)),
    "a gate called twice": ("gates", broken(gate_called_twice)),
    "a gate that is not linear": ("gates", broken(gate_squared)),
    "one gate for all layers": ("gates", broken(first_gate_for_all)),
    "a gate of any shape": ("gates", broken(any_gate_shape)),
    "a unit's gate averaged": ("unit_gates", broken(gate_averaged(-1))),
    "a place's gate averaged": ("place_gates", broken(gate_averaged(1, 2))),
    "a sum over the batch": ("mean", broken(batch_sum)),
    "arrays of JAX alone": ("host_arrays", broken(jax_arrays_alone)),
    "labels and inputs cut to fit": ("refusals", broken(short_batch)),
    "too many params": ("refusals", broken(short_params)),
    "a derivative that spikes do not have": ("liveness", derivative_of_a_sigmoid),
}


@pytest.mark.parametrize("name", BROKEN)
def test_rejects(x64, name):
    item, factory = BROKEN[name]
    net = {"liveness": spiking, "place_gates": convolutional}.get(item, perceptron)
    with pytest.raises(AssertionError, match=f"^{item}:"):
        CONTRACT[item](net(factory))


def test_a_rule_that_does_not_learn_may_declare_it(x64):
    """Only nets over time are asked, and not where the rule says why hidden layers stand still."""
    CONTRACT["liveness"](spiking(BASELINES["frozen"]))
    CONTRACT["liveness"](perceptron(derivative_of_a_sigmoid))
    with pytest.raises(AssertionError, match=r"^liveness:"):
        check_rule(derivative_of_a_sigmoid)


def test_every_item_rejects_something():
    assert {item for item, _ in BROKEN.values()} == set(CONTRACT)


def test_a_rule_for_dense_layers_only_is_detected(x64):
    """A rule that knows dense layers only passes on the perceptron, and fails on the second net."""

    def dense_only(grad, params, *args):
        return grad(
            jax.tree.map(lambda w: w.reshape(-1, w.shape[-1]) if w.ndim > 1 else w, params), *args
        )

    CONTRACT["shapes"](perceptron(broken(dense_only)))
    with pytest.raises((AssertionError, IndexError)):
        CONTRACT["shapes"](convolutional(broken(dense_only)))


def test_unit_gates_may_be_refused(x64):
    """A rule that raises ValueError for gates [B, n_post] keeps the contract."""

    def per_example_only(grad, params, state, batch, key, gate):
        if isinstance(gate, tuple) and any(jnp.ndim(g) > 1 for g in gate if g is not None):
            raise ValueError("gates [B, n_post] are not defined here")
        return grad(params, state, batch, key, gate)

    CONTRACT["unit_gates"](perceptron(broken(per_example_only)))
