"""Layers from flax.nnx against hand-coded nets, in which errors cross B without custom_vjp."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax_nets import KEY, TOLERANCE, distance, drawn, setup

import bioplaus as bp
from bioplaus.layers.flax import from_flax
from bioplaus.local import by_vjp
from bioplaus.rules import RULES
from bioplaus.rules.feedback_alignment import State

pytestmark = pytest.mark.thorough


def backprop_of(net, params, batch):
    return jax.grad(
        lambda p: bp.cross_entropy(bp.forward(net, p, batch.x, KEY).output, batch.y).mean()
    )(params)


@functools.cache
def grads_of(case, graph_mode):
    """All gradients of a case, compiled together."""

    def compute(params, copy, feedback):
        def loss(p, feedback):
            return bp.cross_entropy(reference(p, feedback, batch.x), batch.y).mean()

        return {
            "fa": fa.grad(params, State(feedback), batch, KEY)[0],
            "fa by hand": jax.grad(loss)(params, feedback),
            # other arrays: no short cut through backprop
            "fa at B = W": fa.grad(params, State(copy), batch, KEY)[0],
            "fa by hand at B = W": jax.grad(loss)(params, copy),
            "swapped whole": RULES["fa"](whole, bp.cross_entropy).grad(
                params, State(feedback), batch, KEY
            )[0],
            "backprop": RULES["bp"](net, bp.cross_entropy).grad(params, (), batch, KEY)[0],
            "jax.grad": backprop_of(net, params, batch),
        }

    with nnx.set_graph_mode(graph_mode):
        net, reference, batch, params = setup(case)
        # B in place of W in the block's whole vjp
        whole = tuple(layer._replace(credit=by_vjp(layer.synapse)) for layer in net)
        fa = RULES["fa"](net, bp.cross_entropy)
        return jax.jit(compute)(params, params, ((), *drawn(params[1:], 2)))


MODES = pytest.mark.parametrize(
    ("case", "graph_mode"), [("conv", True), ("attention", True), ("attention", False)]
)


@MODES
@pytest.mark.usefixtures("x64")
def test_feedback_crosses_the_block_as_in_the_hand_coded_net(case, graph_mode):
    grads = grads_of(case, graph_mode)
    assert all(
        np.abs(leaf).max() > 1e-3
        for path, leaf in jax.tree.leaves_with_path(grads["fa"])
        if path[-1].key == "kernel"
    )
    assert distance(grads["fa"], grads["fa by hand"]) < TOLERANCE[case]
    for wrong in ("backprop", "swapped whole"):
        for l in range(2):
            assert distance(grads["fa"][l], grads[wrong][l]) > 0.1


@MODES
@pytest.mark.usefixtures("x64")
def test_feedback_equal_to_the_weights_is_backprop(case, graph_mode):
    grads = grads_of(case, graph_mode)
    assert distance(grads["fa by hand at B = W"], grads["jax.grad"]) < TOLERANCE[case]
    assert distance(grads["fa at B = W"], grads["jax.grad"]) < 1e-12
    assert distance(grads["backprop"], grads["jax.grad"]) < 1e-12


@pytest.mark.usefixtures("x64")
def test_seeds_and_steps():
    """A Flax net trains in a scan, is the same under vmap as alone, and has an input gradient."""
    net, _, batch, params = setup("attention")
    rule, tx = RULES["kp"](net, bp.cross_entropy), optax.sgd(0.1)

    def train(params, feedback):
        def step(carry, key):
            params, state, opt = carry
            grads, state, info = rule.grad(params, state, batch, key)
            updates, opt = tx.update(grads, opt)
            return (optax.apply_updates(params, updates), state, opt), info["loss"]

        state = rule.init(KEY, params, batch)._replace(feedback=((), *feedback))
        (params, state, _), losses = jax.lax.scan(
            step, (params, state, tx.init(params)), jax.random.split(KEY, 12)
        )
        return (
            params,
            losses,
            jax.grad(lambda x: rule.predict(params, state, x, KEY).sum())(batch.x),
        )

    alone = jax.jit(train)(params, drawn(params[1:], 2))
    seeds = [(drawn(params, seed), drawn(params[1:], seed + 1)) for seed in (1, 3)]
    together = jax.jit(jax.vmap(train))(*jax.tree.map(lambda *a: jnp.stack(a), *seeds))
    assert distance(jax.tree.map(lambda a: a[0], together), alone) < 1e-5
    assert distance(jax.tree.map(lambda a: a[1], together), alone) > 0.1
    assert (together[1][:, -1] < 0.7 * together[1][:, 0]).all()
    assert np.abs(together[2]).max() > 1e-3


def test_a_module_gives_other_values_of_the_same_distribution_at_every_key():
    linear = nnx.Linear(4, 5, rngs=nnx.Rngs(0))
    (layer,) = from_flax(linear)
    a, b = (layer.init(jax.random.key(seed), jnp.zeros((1, 4))) for seed in range(2))
    assert not jnp.array_equal(a["kernel"], b["kernel"])
    assert not jnp.array_equal(a["kernel"], linear.kernel[...])
    np.testing.assert_array_equal(
        jnp.sort(a["kernel"].ravel()), jnp.sort(linear.kernel[...].ravel())
    )
    own = nnx.to_pure_dict(nnx.state(linear, nnx.Param))
    np.testing.assert_array_equal(a["bias"], own["bias"])
    x = jax.random.normal(KEY, (3, 4))
    np.testing.assert_array_equal(layer.synapse(own, (), x, KEY)[1], linear(x))


def test_a_users_mlp_trains_and_feedback_differs_from_the_weights():
    class MLP(nnx.Module):
        def __init__(self, rngs):
            self.layers = nnx.List([nnx.Linear(6, 16, rngs=rngs), nnx.Linear(16, 3, rngs=rngs)])

        def __call__(self, x):
            return self.layers[1](jnp.tanh(self.layers[0](x)))

    net = from_flax(nnx.Linear(4, 6, rngs=nnx.Rngs(1)), bp.tanh(), MLP(nnx.Rngs(0)))
    batch = bp.Batch(jax.random.normal(KEY, (12, 4)), jax.nn.one_hot(jnp.arange(12) % 3, 3))
    params, rule = bp.init(net, KEY, batch.x), RULES["fa"](net, bp.cross_entropy)
    state = rule.init(KEY, params, batch)
    assert distance(state.feedback[1], params[1]) > 0.5
    step = jax.jit(lambda p: rule.grad(p, state, batch, KEY))
    losses = []
    for _ in range(60):
        grads, _, info = step(params)
        params = jax.tree.map(lambda p, g: p - 0.3 * g, params, grads)
        losses.append(info["loss"])
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.usefixtures("x64")
def test_forward_uses_the_plain_ops_and_a_bare_layer_separates_update_from_credit():
    net, _, batch, params = setup("attention")
    rule = RULES["fa"](net, bp.cross_entropy)
    state = rule.init(KEY, params, batch)
    assert "custom_vjp" not in str(
        jax.make_jaxpr(lambda x: rule.predict(params, state, x, KEY))(batch.x)
    )
    grads = jax.jit(rule.grad).lower(params, state, batch, KEY).as_text(debug_info=True)
    assert "credit/feedback/" in grads
    assert "update/" in grads


def test_refusals():
    rngs = nnx.Rngs(0)
    for stateful in (nnx.BatchNorm(4, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)):
        with pytest.raises(ValueError, match="state that is not"):
            from_flax(stateful)
    with pytest.raises(ValueError, match="GroupNorm or LayerNorm"):
        from_flax(functools.partial(nnx.BatchNorm, 4))
    for wrong in ((bp.tanh(),), (nnx.Linear(2, 2, rngs=rngs), bp.tanh(), bp.tanh())):
        with pytest.raises(ValueError, match="follows no module"):
            from_flax(*wrong)
    with pytest.raises(ValueError, match=r"bp\.rate"):
        from_flax(nnx.Linear(2, 2, rngs=rngs), jax.nn.relu)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="expected an nnx module"):
        from_flax(lambda rngs: jax.nn.relu)  # pyright: ignore[reportArgumentType]


def test_weights_without_a_hook_learn_by_backprop_and_refuse_feedback():
    class Tied(nnx.Module):
        def __init__(self, rngs):
            self.table = nnx.Embed(3, 4, rngs=rngs)

        def __call__(self, x):
            return self.table.attend(x + self.table(jnp.zeros(x.shape[0], int)))

    for module, message in (
        (functools.partial(nnx.ConvTranspose, 4, 3, (1,)), "kernel"),
        (Tied, "attend"),
    ):
        net = (*from_flax(functools.partial(nnx.Linear, 4, 4), module), bp.flattened(bp.dense(3)))
        shape = (6, 4) if module is Tied else (6, 2, 4)
        batch = bp.Batch(jnp.ones(shape), jax.nn.one_hot(jnp.arange(6) % 3, 3))
        params = drawn(jax.eval_shape(lambda net=net, x=batch.x: bp.init(net, KEY, x)), 1)
        grads = jax.jit(RULES["bp"](net, bp.cross_entropy).grad)(params, (), batch, KEY)[0]
        assert (
            distance(
                grads, jax.jit(lambda p, net=net, batch=batch: backprop_of(net, p, batch))(params)
            )
            < 1e-5
        )
        rule = RULES["fa"](net, bp.cross_entropy)
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(rule.grad, params, State(((), *params[1:])), batch, KEY)
