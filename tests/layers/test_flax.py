"""Layers from flax.nnx. Oracle of the feedback: a hand-coded net where y = sg(x) W + (x B - sg(x B)), which needs no custom_vjp."""

import functools

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

KEY = jax.random.key(7)
WIDE = {"param_dtype": jnp.float64}
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
    return (*from_flax(stem, bp.tanh(), functools.partial(ConvBlock, 4), bp.tanh()), bp.flattened(bp.dense(3)))


def attention_net():
    stem = functools.partial(nnx.Linear, 2, 4, **WIDE)
    return (*from_flax(stem, bp.tanh(), functools.partial(AttentionBlock, 4)), bp.flattened(bp.dense(3)))


def crossed(op, x, w, b):
    b = sg(b)
    return op(sg(x), w) + op(x, b) - sg(op(x, b))


def conv(x, p, b):
    def op(x, w):
        return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    return crossed(op, x, p["kernel"], b["kernel"]) + p["bias"]


def project(equation, x, p, b):
    return crossed(functools.partial(jnp.einsum, equation), x, p["kernel"], b["kernel"]) + p["bias"]


def normed(x, p, axes):
    centred = x - x.mean(axes, keepdims=True)
    return (centred / jnp.sqrt((centred**2).mean(axes, keepdims=True) + 1e-6)).reshape(*x.shape[:-2], -1) * p["scale"] + p["bias"]


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


TOLERANCE = {"conv": 1e-12, "attention": 1e-6}  # the softmax of jax.nn.dot_product_attention is in float32
CASES = {"conv": (conv_net, conv_reference, (4, 6, 6, 2)), "attention": (attention_net, attention_reference, (4, 3, 2))}


def setup(case):
    build, reference, shape = CASES[case]
    net = build()
    batch = bp.Batch(jax.random.normal(KEY, shape), jax.nn.one_hot(jnp.arange(4) % 3, 3))
    return net, reference, batch, jax.jit(lambda key: bp.init(net, key, batch.x))(KEY)


def flat(tree):
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])


def distance(a, b):
    return float(jnp.linalg.norm(flat(a) - flat(b)) / jnp.linalg.norm(flat(b)))


def by_reference(reference, params, feedback, batch):
    return jax.jit(jax.grad(lambda p: bp.cross_entropy(reference(p, feedback, batch.x), batch.y).mean()))(params)


def backprop_of(net, params, batch):
    return jax.jit(jax.grad(lambda p: bp.cross_entropy(bp.forward(net, p, batch.x, KEY).output, batch.y).mean()))(params)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("graph_mode", [True, False])
def test_feedback_crosses_the_block_as_in_the_hand_coded_net(case, graph_mode):
    with nnx.set_graph_mode(graph_mode):
        net, reference, batch, params = setup(case)
        rule = RULES["fa"](net, bp.cross_entropy)
        state = jax.jit(rule.init)(KEY, params, batch)
        grads = jax.jit(rule.grad)(params, state, batch, KEY)[0]
    kernels = [leaf for path, leaf in jax.tree.leaves_with_path(grads) if path[-1].key in ("kernel", "w")]
    assert all(jnp.abs(kernel).max() > 1e-4 for kernel in kernels)
    assert distance(grads, by_reference(reference, params, state.feedback, batch)) < TOLERANCE[case]
    # negative controls: backprop is far, inside the block as well, and so is B in place of W in the block's whole vjp
    exact = backprop_of(net, params, batch)
    assert distance(grads[1], exact[1]) > 0.3
    assert distance(grads[0], exact[0]) > 0.3
    whole = tuple(layer._replace(credit=by_vjp(layer.synapse)) for layer in net)
    wrong = jax.jit(RULES["fa"](whole, bp.cross_entropy).grad)(params, state, batch, KEY)[0]
    assert distance(wrong[0], grads[0]) > 0.1
    assert distance(wrong[1], grads[1]) > 0.1


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", CASES)
def test_feedback_equal_to_the_weights_is_backprop(case):
    net, reference, batch, params = setup(case)
    exact = backprop_of(net, params, batch)
    assert distance(by_reference(reference, params, params, batch), exact) < TOLERANCE[case]
    rule = RULES["fa"](net, bp.cross_entropy)
    copy = jax.tree.map(lambda w: w + 0.0, params)  # other arrays, so that the feedback path is taken
    state, grad = jax.jit(rule.init)(KEY, params, batch), jax.jit(rule.grad)
    assert distance(grad(params, state, batch, KEY)[0], exact) > 0.1
    assert distance(grad(params, state._replace(feedback=((), *copy[1:])), batch, KEY)[0], exact) < 1e-12
    assert distance(jax.jit(RULES["bp"](net, bp.cross_entropy).grad)(params, (), batch, KEY)[0], exact) < 1e-12


@pytest.mark.usefixtures("x64")
def test_seeds_and_steps():
    """vmap over params and feedback equals a loop; a scan of steps lowers the loss; predict has a gradient by its input."""
    net, _, batch, _ = setup("attention")
    rule, tx = RULES["kp"](net, bp.cross_entropy), optax.sgd(0.1)

    def train(key):
        params = bp.init(net, key, batch.x)

        def step(carry, i):
            params, state, opt = carry
            grads, state, info = rule.grad(params, state, batch, jax.random.fold_in(key, i))
            updates, opt = tx.update(grads, opt)
            return (optax.apply_updates(params, updates), state, opt), info["loss"]

        (params, state, _), losses = jax.lax.scan(step, (params, rule.init(key, params, batch), tx.init(params)), jnp.arange(12))
        return params, losses, jax.grad(lambda x: rule.predict(params, state, x, key).sum())(batch.x)

    keys = jax.random.split(KEY, 2)
    together = jax.jit(jax.vmap(train))(keys)
    alone = jax.jit(train)(keys[1])
    assert distance(jax.tree.map(lambda a: a[1], together), alone) < 1e-5
    assert distance(jax.tree.map(lambda a: a[0], together), alone) > 0.1
    assert (together[1][:, -1] < 0.7 * together[1][:, 0]).all()
    assert jnp.abs(together[2]).max() > 1e-3


def test_a_module_gives_other_values_of_the_same_distribution_at_every_key():
    linear = nnx.Linear(4, 5, rngs=nnx.Rngs(0))
    (layer,) = from_flax(linear)
    a, b = (layer.init(jax.random.key(seed), jnp.zeros((1, 4))) for seed in range(2))
    assert not jnp.array_equal(a["kernel"], b["kernel"])
    assert not jnp.array_equal(a["kernel"], linear.kernel[...])
    np.testing.assert_array_equal(jnp.sort(a["kernel"].ravel()), jnp.sort(linear.kernel[...].ravel()))
    np.testing.assert_array_equal(a["bias"], linear.bias[...])
    x = jax.random.normal(KEY, (3, 4))
    own = nnx.to_pure_dict(nnx.state(linear, nnx.Param))
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
    assert "custom_vjp" not in str(jax.make_jaxpr(lambda x: rule.predict(params, state, x, KEY))(batch.x))
    grads = jax.jit(rule.grad).lower(params, state, batch, KEY).as_text(debug_info=True)
    assert "credit/feedback/" in grads
    assert "update/" in grads


def test_refusals():
    rngs = nnx.Rngs(0)
    for stateful in (nnx.BatchNorm(4, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)):
        with pytest.raises(ValueError, match="not nnx.Param"):
            from_flax(stateful)
    with pytest.raises(ValueError, match="GroupNorm or LayerNorm"):
        from_flax(functools.partial(nnx.BatchNorm, 4))
    for wrong in ((bp.tanh(),), (nnx.Linear(2, 2, rngs=rngs), bp.tanh(), bp.tanh())):
        with pytest.raises(ValueError, match="follows no module"):
            from_flax(*wrong)
    with pytest.raises(ValueError, match=r"bp\.rate"):
        from_flax(nnx.Linear(2, 2, rngs=rngs), jax.nn.relu)
    with pytest.raises(ValueError, match="expected an nnx module"):
        from_flax(lambda rngs: jax.nn.relu)


def test_weights_without_a_hook_learn_by_backprop_and_refuse_feedback():
    class Tied(nnx.Module):
        def __init__(self, rngs):
            self.table = nnx.Embed(3, 4, rngs=rngs)

        def __call__(self, x):
            return self.table.attend(x + self.table(jnp.zeros(x.shape[0], int)))

    for module, message in ((functools.partial(nnx.ConvTranspose, 4, 3, (1,)), "kernel"), (Tied, "attend")):
        net = (*from_flax(functools.partial(nnx.Linear, 4, 4), module), bp.flattened(bp.dense(3)))
        shape = (6, 4) if module is Tied else (6, 2, 4)
        batch = bp.Batch(jax.random.normal(KEY, shape), jax.nn.one_hot(jnp.arange(6) % 3, 3))
        params = bp.init(net, KEY, batch.x)
        exact = backprop_of(net, params, batch)
        assert distance(jax.jit(RULES["bp"](net, bp.cross_entropy).grad)(params, (), batch, KEY)[0], exact) < 1e-5
        rule = RULES["fa"](net, bp.cross_entropy)
        with pytest.raises(ValueError, match=message):
            jax.jit(rule.grad)(params, rule.init(KEY, params, batch), batch, KEY)
