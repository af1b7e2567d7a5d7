"""Losses, per example: (output [B, C], y [B, C]) -> [B].

y is one-hot or a distribution, except for `mse`; integer labels [B] become one-hot rows. Each loss
declares the kind of outputs that it takes, see `bioplaus.outputs`. 0 log 0 is 0, in values and in
gradients, so that a class may be masked by an output of -inf. All losses raise ValueError for other
shapes and for labels outside 0..C-1.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from bioplaus.arrays import as_floats
from bioplaus.outputs import (
    asked_moments,
    at_moments,
    declared_by,
    moment_loss,
    outputs_are,
    targets,
)
from bioplaus.types import Array, Loss

TINY = 1e-6  # float32 rounds a sigmoid to 0 or 1, whose logarithm is not finite


@outputs_are("logits")
def cross_entropy(output: ArrayLike, y: ArrayLike) -> Array:
    """-sum_k y_k log softmax(output)_k, in nats. output: logits [B, C]."""
    output, y = as_floats("cross_entropy", output), targets("cross_entropy", output, y)
    return -_weighted(y, _log_softmax(output)).sum(-1)


@outputs_are("independent logits")
def binary_cross_entropy(output: ArrayLike, y: ArrayLike) -> Array:
    """Cross-entropy of C independent sigmoid outputs, summed over them, in nats.

    output: logits [B, C]. y: in [0, 1].
    """
    output, y = (
        as_floats("binary_cross_entropy", output),
        targets("binary_cross_entropy", output, y),
    )
    return (
        -_weighted(y, jax.nn.log_sigmoid(output)) - _weighted(1 - y, jax.nn.log_sigmoid(-output))
    ).sum(-1)


@outputs_are("probabilities")
def bernoulli(output: ArrayLike, y: ArrayLike) -> Array:
    """-sum_k [y_k log p_k + (1 - y_k) log(1 - p_k)], in nats.

    output: probabilities p [B, C], of sigmoid output neurons. y: in [0, 1]. p is kept 1e-6 away
    from 0 and 1, or the rounding of 1 if that is coarser (float16, bfloat16).
    """
    output, y = as_floats("bernoulli", output), targets("bernoulli", output, y)
    tiny = max(TINY, float(jnp.finfo(output.dtype).eps))
    # The gradient passes the clip, so that a wrong, saturated output still learns.
    p = output + jax.lax.stop_gradient(jnp.clip(output, tiny, 1 - tiny) - output)
    return -jnp.sum(y * jnp.log(p) + (1 - y) * jnp.log1p(-p), -1)


@outputs_are("values")
def mse(output: ArrayLike, y: ArrayLike) -> Array:
    """1/2 sum_k (output_k - y_k)^2."""
    output, y = as_floats("mse", output), targets("mse", output, y)
    return 0.5 * jnp.sum((output - y) ** 2, -1)


def at_each_moment(loss: Loss) -> Loss:
    """A loss of answers at each moment: (output [B, T, C], y [B, T, C]) -> [B], the sum over the
    moments that are asked: sum_t asked_t loss(output_t, y_t).

    The sum, and not the mean, so that the losses of pieces of a sequence add up to that of the
    whole. In a batch, y may be floats [B, C], or labels [B], for all moments alike, and
    `Batch.asked` says which moments count; here those that do not are NaN in y. Integers of two
    axes are always labels [B, T]: one-hot rows are floats. It declares the kind of outputs of
    `loss`. Raises ValueError for other shapes.

        rule = bp.rules.backprop(net, bp.at_each_moment(bp.cross_entropy))
        grads, state, info = rule.grad(params, state, bp.Batch(x, y, asked=asked), key)
    """
    if at_moments(loss):
        raise ValueError(
            "at_each_moment: the loss takes an answer at each moment already; give it the loss of"
            " one answer, as bp.cross_entropy"
        )
    each = per_example(loss)

    def summed(output: Array, y: Array) -> Array:
        if output.ndim != 3 or y.shape != output.shape:
            raise ValueError(
                f"at_each_moment: outputs are {output.shape} and y is {jnp.shape(y)}; both must be"
                " [B, T, C]: the last layer must run over time"
            )
        asked = asked_moments(y)
        losses = jax.vmap(each, 1, 1)(output, jnp.where(asked[..., None], y, 0))
        return jnp.where(asked, losses, 0).sum(1)

    summed.outputs = declared_by(loss)  # type: ignore[attr-defined]
    summed.each_moment = loss  # type: ignore[attr-defined]
    return summed


def _log_softmax(output: Array) -> Array:
    """JAX's log_softmax, also for complex numbers, whose exponentials holomorphic rules need.

    JAX orders complex numbers in version 0.10, and refuses them in 0.12.
    """
    if not jnp.iscomplexobj(output):
        return jax.nn.log_softmax(output)
    shifted = output - jax.lax.stop_gradient(output.real.max(-1, keepdims=True))
    return shifted - jnp.log(jnp.exp(shifted).sum(-1, keepdims=True))


def _weighted(y: Array, logs: Array) -> Array:
    """y log p, and 0 if y is 0, for any p. Two `where`s, because the gradient must be 0 too."""
    return jnp.where(y == 0, 0, y * jnp.where(y == 0, 0, logs))


def per_example(loss: Loss) -> Loss:
    """The loss, which raises ValueError unless it gives one number per example.

    It declares the same kind of outputs as the loss.
    """
    if not callable(loss):
        raise ValueError(
            f"loss: got {loss!r}, expected a function (output [B, C], y [B, C]) -> [B], as"
            " bp.cross_entropy"
        )
    if getattr(loss, "_per_example", None) is loss:
        return loss

    @functools.wraps(loss)
    def checked(output: Array, y: Array) -> Array:
        if output.ndim != 2 + at_moments(loss):
            raise ValueError(
                f"loss: outputs are {output.shape}, expected [B, T, C] for a loss at each moment"
                if at_moments(loss)
                else f"loss: outputs are {output.shape}, expected [B, C]; of a net that answers at"
                " each moment, [B, T, C], take bp.at_each_moment(loss), or one answer by a last"
                " layer bp.after(bp.mean_over_time, bp.dense(C))"
            )
        losses = loss(output, y)
        if not isinstance(losses, jax.Array | np.ndarray) or not jnp.issubdtype(
            losses.dtype, jnp.inexact
        ):
            kind = losses.dtype if hasattr(losses, "dtype") else type(losses).__name__
            raise ValueError(
                f"loss: gave {kind}, expected an array [B] of floats; cast a count of errors,"
                " losses.astype('float32'), and give nothing beside the loss"
            )
        if jnp.shape(losses) != output.shape[:1] or _over_examples(loss, output, y):
            raise ValueError(
                f"loss: gave shape {jnp.shape(losses)} for outputs {output.shape}; expected one"
                f" number per example, [B] = {output.shape[:1]}: sum over the outputs (axis -1) and"
                " leave the mean over examples to the rule"
            )
        return losses

    checked.outputs = declared_by(loss)  # type: ignore[attr-defined]
    checked.each_moment = moment_loss(loss)  # type: ignore[attr-defined]
    # The mark is the function itself: `functools.wraps` would copy a mere flag to functions around
    # it, which are not checked.
    checked._per_example = checked  # type: ignore[attr-defined]
    return checked


def of_answers(loss: Loss) -> Loss:
    """The loss, per example, of what `Rule.predict` answers, [B, C].

    For a loss at each moment it is the loss of one moment, taken of the mean output.
    """
    return per_example(moment_loss(loss) or loss)


def _over_examples(loss: Loss, output: Array, y: Array) -> bool:
    """Whether a loss of shape [C] sums over examples, for B = C, where [B] and [C] look alike.

    For one example more it still gives C numbers.
    """
    examples, outputs = output.shape[0], output.shape[-1]
    if examples != outputs:
        return False
    more, targets = (
        jax.ShapeDtypeStruct((examples + 1, *a.shape[1:]), a.dtype) for a in (output, y)
    )
    try:
        return jax.eval_shape(loss, more, targets).shape != (examples + 1,)
    except Exception:  # the loss holds arrays of this batch, such as weights of its examples
        return False
