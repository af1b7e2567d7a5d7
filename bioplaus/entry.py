"""Where a user's net, loss, batch and hyperparameters enter a learning rule, and are checked.

`learning_rule` decorates every rule factory, the library's and yours. Inside the factory
    loss    gives [B], one number per example (a mean or a sum would scale every gradient)
    batch   is a `Batch` of JAX arrays with equal leading axes; from outside it may be a tuple
            (x, y), and hold numpy arrays and integer labels
    hyper   lies in the domains that the factory's signature declares (`bioplaus.hyper`)
and errors are explained in the library's terms. All checks run while a program is traced, and leave
nothing in the program.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bioplaus.arrays import as_array, concrete, without_nan
from bioplaus.hyper import check, optimisers
from bioplaus.losses import per_example
from bioplaus.net import check_depth, forward
from bioplaus.net import init as init_net
from bioplaus.outputs import from_labels
from bioplaus.types import Array, Batch, Key, Layer, Loss, Net, PyTree, Rule

P = ParamSpec("P")


def learning_rule(factory: Callable[P, Rule]) -> Callable[P, Rule]:
    """Decorator of a rule factory (net, loss, *, hyperparameters) -> Rule, which adds the checks.

    The factory raises ValueError for a net that is not a tuple of layers, and for hyperparameters
    outside their domain; `init`, `grad` and `predict` raise it for batches, parameters and states
    that do not fit.
    """

    if getattr(factory, "_entered", None) is factory:
        return factory

    @functools.wraps(factory)
    def made(net: Net, loss: Loss, **hyper: Any) -> Rule:
        check(factory, hyper)
        net = checked_net(net)
        own = [name for name in optimisers(factory) if hyper.get(name) is not None]
        hyper |= {name: checked_tx(hyper[name]) for name in own}
        return _checked(factory(net, per_example(loss), **hyper), net)  # type: ignore[call-arg]

    made._entered = made  # itself, as for losses below  # type: ignore[attr-defined]
    return made  # type: ignore[return-value]


def checked_tx(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """tx for weights that belong to a rule.

    Its `init` raises ValueError if labels or masks of tx are made for another tree.
    """

    def init(weights):
        try:
            return tx.init(weights)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                "tx: does not fit the weights that this rule keeps itself, whose tree is"
                f" {jax.tree.structure(weights)}; labels and masks (optax.multi_transform,"
                " optax.masked) that are a tree of the net's params fit no other: give the rule a"
                f" tx without them, or one that labels by a function ({_first_line(error)})"
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


def as_batch(batch: Any) -> Batch:
    """A `Batch`, also from a tuple. Raises ValueError for anything else."""
    if isinstance(batch, Batch):
        return batch
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        raise ValueError(
            f"batch: got {type(batch).__name__}, expected bp.Batch(x, y) or a tuple (x, y)"
        )
    return Batch(*batch)


def checked_data(batch: Any) -> Batch:
    """The examples of a data set, as a `Batch` of JAX arrays.

    Raises ValueError for anything but arrays of numbers, for NaN, and for unequal lengths.
    """
    x, y, context = as_batch(batch)
    x, y = _without_nan(x), without_nan("batch", y)
    found = Batch(x, y, jax.tree.map(functools.partial(as_array, "batch: context"), context))
    check_lengths(found)
    return found


def labels_as_rows(data: Batch, net: Net, key: Key) -> Batch:
    """Data whose integer labels are one-hot rows, as wide as the net's output.

    Raises ValueError for labels outside.
    """
    if data.y.ndim != 1 or jnp.issubdtype(data.y.dtype, jnp.inexact):
        return data
    first = data.x[:1]
    output = jax.eval_shape(lambda k: forward(net, init_net(net, k, first), first, k).output, key)
    return data._replace(y=from_labels("batch", data.y, output.shape[-1], output.dtype))


def checked_batch(batch: Any, net: Net, params: PyTree, key: Key) -> Batch:
    """A `Batch` of JAX arrays, with y [B, C].

    Raises ValueError for anything else, for unequal leading axes, and for NaN among known values.
    """
    batch = as_batch(batch)
    x, y = checked_inputs(batch.x), without_nan("batch", batch.y)
    context = jax.tree.map(functools.partial(as_array, "batch: context"), batch.context)
    check_lengths(Batch(x, y, context))
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


def checked_inputs(x: Any) -> Array:
    """x as a JAX array.

    Raises ValueError for float16, for no examples, and for NaN among known values.
    """
    array = _without_nan(x)
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


def _without_nan(x: Any) -> Array:
    """x as a JAX array. Raises ValueError for NaN among known values."""
    array, values = as_array("x", x), concrete(x)
    if values is not None and jnp.issubdtype(array.dtype, jnp.inexact) and np.isnan(values).any():
        raise ValueError("x holds NaN; remove those examples, or fill the gaps")
    return array


def check_lengths(batch: Batch) -> None:
    """Raise ValueError unless x, y and every array of the context have equally many examples."""
    contexts = {
        f"context[{i}]": a for i, a in enumerate(jax.tree.leaves(batch.context)) if np.ndim(a)
    }
    parts = {"x": batch.x, "y": batch.y} | contexts
    sizes = {name: (np.shape(a) or ("no axis",))[0] for name, a in parts.items()}
    if len(set(sizes.values())) > 1:
        lengths = ", ".join(f"{name} {n}" for name, n in sizes.items())
        raise ValueError(
            f"batch: numbers of examples differ: {lengths}; every array of a batch has one row for"
            " each example"
        )


def check_classes(rule: str, y: Array) -> None:
    """Raise ValueError for targets with one output, under a rule that compares classes."""
    if y.shape[1] < 2:
        raise ValueError(
            f"{rule} compares classes with one another, and y {y.shape} has one output; give two,"
            " as one-hot rows"
        )


def _check_real(x: Array, error: Exception) -> None:
    """Raise ValueError if a rule failed because inputs are integers, such as token ids.

    A rule may move or mark inputs, or differentiate by them, which needs real numbers.
    """
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise ValueError(
            f"x is {x.dtype}, and this rule needs inputs that are real numbers: embed ids before"
            f" the net, or cast and scale ({_first_line(error)})"
        ) from error


def _checked(rule: Rule, net: Net) -> Rule:
    """The rule behind the checks.

    A state is checked only after a call has failed, because its check must trace `init`.
    """

    def init(key, params, batch):
        check_depth(net, params)
        batch = checked_batch(batch, net, params, key)
        try:
            return rule.init(key, params, batch)
        except (TypeError, ValueError) as error:
            _check_real(batch.x, error)
            raise

    def grad(params, state, batch, key, gate=None):
        check_depth(net, params)
        batch = checked_batch(batch, net, params, key)
        try:
            return rule.grad(params, state, batch, key, gate)
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            _check_state(state, lambda: rule.init(key, params, batch), error)
            _check_real(batch.x, error)
            raise

    def predict(params, state, x, key, context=()):
        check_depth(net, params)
        return rule.predict(params, state, checked_inputs(x), key, context)

    return Rule(init, grad, predict)


def _check_state(state: PyTree, init: Callable[[], PyTree], error: Exception) -> None:
    """Raise ValueError if a state is not what `init` gives.

    Returns if it is, or if init fails as well.
    """
    try:
        want = jax.eval_shape(init)
    except Exception:  # the first error is the one to report
        return
    have = jax.tree.map(lambda a: jax.ShapeDtypeStruct(np.shape(a), jnp.result_type(a)), state)
    if jax.tree.leaves((have, want)) and _types(have) != _types(want):
        raise ValueError(
            f"state: got {_shapes(have)}, this rule on this net and batch has {_shapes(want)}; make"
            f" it with rule.init(key, params, batch) ({_first_line(error)})"
        ) from error


def _first_line(error: Exception) -> str:
    """The first line of an error, or its type if it has no message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _types(tree: PyTree) -> tuple[Any, list[Any]]:
    return jax.tree.structure(tree), [(a.shape, a.dtype) for a in jax.tree.leaves(tree)]


def _shapes(tree: PyTree) -> str:
    text = str(jax.tree.map(lambda a: f"{a.dtype}{list(a.shape)}", tree)).replace("'", "")
    return text if len(text) <= 200 else f"{text[:197]}..."
