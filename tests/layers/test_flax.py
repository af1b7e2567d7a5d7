"""Layers from flax.nnx. Oracle of the feedback: a hand-coded net of y = sg(x) W + (x B - sg(x B)),
without custom_vjp.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import bioplaus as bp
from bioplaus.layers.flax import from_flax
from bioplaus.local import by_vjp
from bioplaus.rules import RULES
from bioplaus.rules.feedback_alignment import State

KEY = jax.random.key(7)
WIDE: dict[str, Any] = {"param_dtype": jnp.float64}
sg = jax.lax.stop_gradient


class ConvBlock(nnx.Module):
    """x + conv(relu(norm(conv(x)))); x: [B, H, W, n]."""

    def __init__(self, n, rngs):
        self.convs = nnx.List([nnx.Conv(n, n, (3, 3), rngs=rngs, **WIDE) for _ in range(2)])
        self.norm = nnx.GroupNorm(n, num_groups=2, rngs=rngs, **WIDE)

    def __call__(self, x):
        return x + self.convs[1](jax.nn.relu(self.norm(self.convs[0](x))))


class AttentionBlock(nnx.Module):
    """x + attention(norm(x)), then an einsum with a skip; x: [B, T, n]."""

    def __init__(self, n, rngs):
        self.norm = nnx.LayerNorm(n, rngs=rngs, **WIDE)
        self.attention = nnx.MultiHeadAttention(2, n, decode=False, rngs=rngs, **WIDE)
        self.mix = nnx.Einsum("btn,nm->btm", (n, n), (n,), rngs=rngs, **WIDE)

    def __call__(self, x):
        x = x + self.attention(self.norm(x))
        return x + jnp.tanh(self.mix(x))


def conv_net():
    stem = functools.partial(nnx.Conv, 2, 4, (3, 3), **WIDE)
    return (
        *from_flax(stem, bp.tanh(), functools.partial(ConvBlock, 4), bp.tanh()),
        bp.flattened(bp.dense(3)),
    )


def attention_net():
    stem = functools.partial(nnx.Linear, 2, 4, **WIDE)
    return (
        *from_flax(stem, bp.tanh(), functools.partial(AttentionBlock, 4)),
        bp.flattened(bp.dense(3)),
    )


def crossed(op, x, w, b):
    b = sg(b)
    return op(sg(x), w) + op(x, b) - sg(op(x, b))


def conv(x, p, b):
    def op(x, w):
        return jax.lax.conv_general_dilated(
            x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    return crossed(op, x, p["kernel"], b["kernel"]) + p["bias"]


def project(equation, x, p, b):
    return crossed(functools.partial(jnp.einsum, equation), x, p["kernel"], b["kernel"]) + p["bias"]


def normed(x, p, axes):
    centred = x - x.mean(axes, keepdims=True)
    return (centred / jnp.sqrt((centred**2).mean(axes, keepdims=True) + 1e-6)).reshape(
        *x.shape[:-2], -1
    ) * p["scale"] + p["bias"]


def conv_reference(params, feedback, x):
    stem, block, out = params
    h = jnp.tanh(conv(x, stem, stem))
    b = feedback[1]
    a = conv(h, block["convs"][0], b["convs"][0])
    a = jax.nn.relu(normed(a.reshape(*a.shape[:-1], 2, -1), block["norm"], (1, 2, 4)))
    h = jnp.tanh(h + conv(a, block["convs"][1], b["convs"][1]))
    return crossed(jnp.matmul, h.reshape(h.shape[0], -1), out["w"], feedback[2]["w"]) + out["b"]


def attention_reference(params, feedback, x):
    stem, block, out = params
    h = jnp.tanh(x @ stem["kernel"] + stem["bias"])
    p, b = block["attention"], feedback[1]["attention"]
    a = normed(h[..., None, :], block["norm"], (-1,))
    q, k, v = (project("btn,nhd->bthd", a, p[name], b[name]) for name in ("query", "key", "value"))
    weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k) / jnp.sqrt(q.shape[-1]))
    h = h + project("bthd,hdn->btn", jnp.einsum("bhqk,bkhd->bqhd", weights, v), p["out"], b["out"])
    h = h + jnp.tanh(project("btn,nm->btm", h, block["mix"], feedback[1]["mix"]))
    return crossed(jnp.matmul, h.reshape(h.shape[0], -1), out["w"], feedback[2]["w"]) + out["b"]


# the softmax of jax.nn.dot_product_attention is in float32
TOLERANCE = {"conv": 1e-12, "attention": 1e-6}
CASES = {
    "conv": (conv_net, conv_reference, (4, 6, 6, 2)),
    "attention": (attention_net, attention_reference, (4, 3, 2)),
}


def drawn(tree, seed):
    """Values for every leaf, biases and scales too."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(0, 0.5, a.shape)), tree)


def setup(case):
    build, reference, shape = CASES[case]
    net = build()
    batch = bp.Batch(*drawn((jnp.zeros(shape), jnp.zeros((4, 3))), 0))
    params = drawn(jax.eval_shape(lambda: bp.init(net, KEY, batch.x)), 1)
    return net, reference, batch._replace(y=jax.nn.one_hot(jnp.arange(4) % 3, 3)), params


def distance(a, b):
    a, b = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (a, b))
    return np.linalg.norm(a - b) / np.linalg.norm(b)


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
    """vmap over params and feedback equals one alone; a scan of steps lowers the loss; predict has
    a gradient by its input.
    """
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
