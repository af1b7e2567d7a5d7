"""Where a user's net, loss, batch and hyperparameters enter a learning rule: one place, at which
they are checked and made plain.

`learning_rule` decorates every rule factory, the library's and yours. Behind it

    loss     gives [B], one number per example                          (a mean or a sum would scale
        every gradient)
    batch    is a `Batch` of JAX arrays; a tuple (x, y), numpy arrays and integer labels are taken;
        leading axes are equal
    hyper    lies in the domain that the factory's signature declares   (`bioplaus.hyper`)

and errors are in words of the library. All of it happens while a program is traced, and leaves
nothing in the program.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bioplaus.hyper import check
from bioplaus.net import check_depth, forward
from bioplaus.net import init as init_net
from bioplaus.outputs import checked_values, declared_by, from_labels, plain, seen
from bioplaus.types import Array, Batch, Key, Layer, Loss, Net, PyTree, Rule

P = ParamSpec("P")


def learning_rule(factory: Callable[P, Rule]) -> Callable[P, Rule]:
    """Decorator of a rule factory (net, loss, *, hyperparameters) -> Rule. See the module for what
    it does.

    Raises ValueError from the factory for a net that is no tuple of layers, and for hyperparameters
    outside their domain; from `init`, `grad` and `predict` for batches, parameters and states that
    do not fit.
    """

    if getattr(factory, "_entered", None) is factory:
        return factory

    @functools.wraps(factory)
    def made(net: Net, loss: Loss, **hyper: Any) -> Rule:
        check(factory, hyper)
        net = checked_net(net)
        if "tx" in hyper:
            hyper["tx"] = of_own_weights(hyper["tx"])
        return _entered(factory(net, per_example(loss), **hyper), net)  # type: ignore[call-arg]

    made._entered = made  # itself, as for losses below  # type: ignore[attr-defined]
    return made  # type: ignore[return-value]


def of_own_weights(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """tx for the weights that a rule keeps itself. Raises ValueError where tx has labels or masks
    of another tree.
    """

    def init(weights):
        try:
            return tx.init(weights)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                "tx: does not fit the weights that this rule keeps itself, whose tree is"
                f" {jax.tree.structure(weights)}; labels and masks (optax.multi_transform,"
                " optax.masked) that are a tree of the net's params fit no other: give the rule a"
                f" tx without them, or one that labels by a function ({_said(error)})"
            ) from error

    return tx._replace(init=init)


def checked_net(net: Any) -> Net:
    """A net as a tuple of layers. Raises ValueError for anything else."""
    net = (net,) if isinstance(net, Layer) else net
    if (
        not isinstance(net, tuple | list)
        or not net
        or not all(isinstance(layer, Layer) for layer in net)
    ):
        raise ValueError(
            f"net: got {type(net).__name__}, expected a tuple of layers, as bp.mlp, bp.cnn or"
            " (bp.dense(..), bp.dense(..)) give; modules of flax.nnx become one by bp.from_flax"
        )
    return tuple(net)


def per_example(loss: Loss) -> Loss:
    """The loss, refused with a ValueError where it does not give one number per example. It
    declares what the loss declares.
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
        if output.ndim != 2:
            raise ValueError(
                f"loss: outputs are {output.shape}, expected [B, C]; outputs with further axes,"
                " such as sequences [B, T, C], are not taken: reduce them to [B, C] in the last"
                " layer"
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
    # itself, since `functools.wraps` hands a mark on to functions that are not checked
    checked._per_example = checked  # type: ignore[attr-defined]
    return checked


def _over_examples(loss: Loss, output: Array, y: Array) -> bool:
    """Whether a loss of B numbers where B = C sums over the wrong axis: it then still gives C for
    one more example.
    """
    examples, outputs = output.shape
    if examples != outputs:
        return False
    more, targets = (
        jax.ShapeDtypeStruct((examples + 1, *a.shape[1:]), a.dtype) for a in (output, y)
    )
    try:
        return jax.eval_shape(loss, more, targets).shape != (examples + 1,)
    except Exception:  # it holds something of this batch, such as a weight per example
        return False


def paired(batch: Any) -> Batch:
    """A `Batch`, of a tuple too. Raises ValueError for anything else."""
    if isinstance(batch, Batch):
        return batch
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        raise ValueError(
            f"batch: got {type(batch).__name__}, expected bp.Batch(x, y) or a tuple (x, y)"
        )
    return Batch(*batch)


def examples(batch: Any) -> Batch:
    """The examples of a data set, as a `Batch` of JAX arrays. Raises ValueError for what is no
    array of numbers, NaN, other lengths.
    """
    x, y, context = paired(batch)
    x, y = without_nan(x), checked_values("batch", y)
    found = Batch(x, y, jax.tree.map(functools.partial(plain, "batch: context"), context))
    same_length(found)
    return found


def labels_as_rows(data: Batch, net: Net, key: Key) -> Batch:
    """Data whose integer labels are one-hot rows of the net's outputs. Raises ValueError for labels
    outside.
    """
    if data.y.ndim != 1 or jnp.issubdtype(data.y.dtype, jnp.inexact):
        return data
    first = data.x[:1]
    output = jax.eval_shape(lambda k: forward(net, init_net(net, k, first), first, k).output, key)
    return data._replace(y=from_labels("batch", data.y, output.shape[-1], output.dtype))


def entering(batch: Any, net: Net, params: PyTree, key: Key) -> Batch:
    """A `Batch` of JAX arrays, y [B, C]. Raises ValueError where it is none, where leading axes
    differ, and for NaN that is seen.
    """
    batch = paired(batch)
    x, y = inputs(batch.x), checked_values("batch", batch.y)
    context = jax.tree.map(functools.partial(plain, "batch: context"), batch.context)
    same_length(Batch(x, y, context))
    if y.ndim == 1 and not jnp.issubdtype(y.dtype, jnp.inexact):
        output = jax.eval_shape(lambda p, x: forward(net, p, x, key).output, params, x)
        y = from_labels("batch", batch.y, output.shape[-1], output.dtype)
    elif y.ndim != 2:
        raise ValueError(
            f"batch: y is {y.shape}; expected [B, C], or integer labels [B]; for one output give"
            " y[:, None]"
        )
    elif not jnp.issubdtype(y.dtype, jnp.inexact):
        y = y.astype(x.dtype if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.float32)
    return Batch(x, y, context)


def inputs(x: Any) -> Array:
    """x as a JAX array. Raises ValueError for float16, no examples, and NaN that is seen."""
    array = without_nan(x)
    if array.ndim < 2 and not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(
            f"x is {array.shape}; expected [B, ...], examples first: give x[None] for one example"
        )
    if array.dtype == jnp.float16:
        raise ValueError(
            "x is float16, in which activities and gradients overflow at 65,504; give float32 or"
            " bfloat16"
        )
    if array.shape[:1] == (0,):
        raise ValueError(f"x is {array.shape}: a batch needs 1 example or more")
    return array


def without_nan(x: Any) -> Array:
    """x as a JAX array. Raises ValueError for NaN that is seen."""
    array, values = plain("x", x), seen(x)
    if values is not None and jnp.issubdtype(array.dtype, jnp.inexact) and np.isnan(values).any():
        raise ValueError("x holds NaN; remove those examples, or fill the gaps")
    return array


def same_length(batch: Batch) -> None:
    """Raise ValueError unless x, y and every array of the context have the same number of
    examples.
    """
    contexts = {
        f"context[{i}]": a for i, a in enumerate(jax.tree.leaves(batch.context)) if np.ndim(a)
    }
    parts = {"x": batch.x, "y": batch.y} | contexts
    sizes = {name: (np.shape(a) or ("no axis",))[0] for name, a in parts.items()}
    if len(set(sizes.values())) > 1:
        said = ", ".join(f"{name} {n}" for name, n in sizes.items())
        raise ValueError(
            f"batch: numbers of examples differ: {said}; every array of a batch has one row for"
            " each example"
        )


def several_classes(rule: str, y: Array) -> None:
    """Raise ValueError for targets of one output, for a rule that tells classes from one another:
    one would teach it nothing.
    """
    if y.shape[1] < 2:
        raise ValueError(
            f"{rule} tells classes from one another, and y {y.shape} has one output; give two, as"
            " one-hot rows"
        )


def _real(x: Array, error: Exception) -> None:
    """Raise ValueError if what a rule failed at are inputs that it cannot move, mark or
    differentiate by, such as token ids.
    """
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise ValueError(
            f"x is {x.dtype}, and this rule needs inputs that are real numbers: embed ids before"
            f" the net, or cast and scale ({_said(error)})"
        ) from error


def _entered(rule: Rule, net: Net) -> Rule:
    """The rule behind the checks. What is wrong with a state is said once a call has failed, for
    its check would trace `init`.
    """

    def init(key, params, batch):
        check_depth(net, params)
        batch = entering(batch, net, params, key)
        try:
            return rule.init(key, params, batch)
        except (TypeError, ValueError) as error:
            _real(batch.x, error)
            raise

    def grad(params, state, batch, key, gate=None):
        check_depth(net, params)
        batch = entering(batch, net, params, key)
        try:
            return rule.grad(params, state, batch, key, gate)
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            _explain(state, lambda: rule.init(key, params, batch), error)
            _real(batch.x, error)
            raise

    def predict(params, state, x, key, context=()):
        check_depth(net, params)
        return rule.predict(params, state, inputs(x), key, context)

    return Rule(init, grad, predict)


def _explain(state: PyTree, init: Callable[[], PyTree], error: Exception) -> None:
    """Raise ValueError if a state is not what `init` gives. Nothing if it is, or if init fails as
    well.
    """
    try:
        want = jax.eval_shape(init)
    except Exception:  # whatever it is, the first error is the one to report
        return
    have = jax.tree.map(lambda a: jax.ShapeDtypeStruct(np.shape(a), jnp.result_type(a)), state)
    if jax.tree.leaves((have, want)) and _types(have) != _types(want):
        raise ValueError(
            f"state: got {_shapes(have)}, this rule on this net and batch has {_shapes(want)}; make"
            f" it with rule.init(key, params, batch) ({_said(error)})"
        ) from error


def _said(error: Exception) -> str:
    """The first line of an error, or its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _types(tree: PyTree) -> tuple[Any, list[Any]]:
    return jax.tree.structure(tree), [(a.shape, a.dtype) for a in jax.tree.leaves(tree)]


def _shapes(tree: PyTree) -> str:
    text = str(jax.tree.map(lambda a: f"{a.dtype}{list(a.shape)}", tree)).replace("'", "")
    return text if len(text) <= 200 else f"{text[:197]}..."
