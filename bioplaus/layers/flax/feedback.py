"""Feedback weights inside of an nnx module.

At every product with a weight, the error returns through the feedback weight B in place of W,
    y = op(x, W),    dL/dx = (d op(x, B) / dx)^T dL/dy,    dL/dW = (d op(x, W) / dW)^T dL/dy
at the activations of the forward pass. Norms, attention and activation functions keep their true
derivative. B = W is backprop. The ops are replaced through flax's own hooks (`dot_general`,
`conv_general_dilated`, `einsum_op`), and only while credit is computed.

Lillicrap, Cownden, Tweed, Akerman, "Random synaptic feedback weights support error backpropagation
for deep learning", 2016, doi:10.1038/ncomms13276.
Departures from the paper: convolutions, projections and einsums are treated as its dense layers
are.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from bioplaus.types import Array

HOOKS = {
    nnx.Linear: "dot_general",
    nnx.LinearGeneral: "dot_general",
    nnx.Conv: "conv_general_dilated",
    nnx.Einsum: "einsum_op",
}
"""Types of modules whose `kernel` feedback weights can replace, each with its attribute that holds
the op which multiplies by it.
"""


def use_feedback(block: nnx.Module, twin: nnx.Module) -> None:
    """Make errors pass back through feedback weights.

    On the way back, the hooked ops of `block` use the kernels of its twin, which holds the feedback
    weights.
    """
    for (_, part), (_, other) in zip(nnx.iter_modules(block), nnx.iter_modules(twin), strict=True):
        if isinstance(part, nnx.Embed):
            part.attend = _no_attend
        for kind, name in HOOKS.items():
            if isinstance(part, kind):
                op = getattr(part, name) or jax.lax.dot_general
                if isinstance(part, nnx.LinearGeneral) and part.dot_general_cls is not None:
                    op, part.dot_general_cls = part.dot_general_cls(), None
                setattr(
                    part,
                    name,
                    _crossed(op, vars(other)["kernel"][...], 1 if kind is nnx.Einsum else 0),
                )


def _crossed(op: Callable[..., Array], b: Array, at: int) -> Callable[..., Array]:
    """op, with b in place of w on the way back to x.

    x and w are the arguments number `at` and `at + 1`; all others are passed on unchanged.
    """

    def hook(*args, **options):
        def plain(x, w):
            return op(*args[:at], x, w, *args[at + 2 :], **options)

        @jax.custom_vjp
        def crossed(x, w, b):
            del b
            return plain(x, w)

        def forward(x, w, b):
            return plain(x, w), (x, w, b)

        def backward(saved, error):
            x, w, b = saved
            to_w = jax.vjp(lambda w: plain(x, w), w)[1](error)[0]
            with jax.named_scope("feedback"):
                to_x = jax.vjp(lambda x: plain(x, b), x)[1](error)[0]
            return to_x, to_w, jnp.zeros_like(b)

        crossed.defvjp(forward, backward)
        x, w = args[at : at + 2]
        return crossed(x, w, b.astype(w.dtype))

    return hook


def _no_attend(query: Array, out_sharding=None) -> Array:
    del query, out_sharding
    raise ValueError(
        "from_flax: Embed.attend multiplies by the table, which feedback weights cannot replace;"
        " use a Linear as the readout"
    )
