"""Direct feedback: weights that carry an error at the answer to each hidden layer, past all others.

    taught_l = e B_l
e: [B, C] an error at the answer, [B, T, C] of a net that answers at each moment;  B_l: [C, n_l],
C by the shape of layer l's output at one moment;  taught_l: signal at the output of hidden layer l.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.net import layer_key
from bioplaus.pools import moment_shapes, to_moments
from bioplaus.types import Array, Batch, Key, Net, PyTree


def drawn(net: Net, params: PyTree, batch: Batch, key: Key, scale: ArrayLike) -> tuple[Array, ...]:
    """B_l ~ N(0, scale^2 / C), one for each hidden layer."""
    *hidden, last = moment_shapes(net, params, batch, key)
    classes = last.shape[-1]

    def draw(l, a):
        return jax.random.normal(layer_key(key, l), (classes, *a.shape[1:]), a.dtype) * jnp.asarray(
            scale / classes**0.5
        )

    return tuple(draw(l, a) for l, a in enumerate(hidden))


def sent(
    net: Net, outputs: tuple[Array, ...], feedback: tuple[Array, ...], error: Array
) -> list[Array]:
    """`error` as signals at the outputs of the hidden layers, at all moments of those over time.

    outputs: `Trace.outputs`. Raises ValueError for the feedback weights of another net.
    """
    if len(feedback) != len(net) - 1:
        raise ValueError(
            f"feedback has {len(feedback)} entries for {len(net) - 1} hidden layers; make it with"
            " rule.init"
        )
    with jax.named_scope("credit"):
        return [
            to_moments(net, layer, z, jnp.tensordot(error, b, 1))
            for layer, z, b in zip(net, outputs, feedback, strict=False)
        ]
