"""Nets with blocks of flax.nnx, and hand-coded ones in which errors cross B in place of W."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import bioplaus as bp
from bioplaus.layers.flax import from_flax

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
