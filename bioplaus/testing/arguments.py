"""Items of the contract: what a rule takes and returns."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.states import feedback, undeclared
from bioplaus.testing.cases import Case, independent_examples, refuses
from bioplaus.trees import agree, cast, types
from bioplaus.types import Batch, Signals


def shapes(c: Case) -> None:
    """grads have the tree, shapes and dtypes of params, and a new state those of the old one.

    info holds the loss, a scalar, and the signals, one number per example.
    """
    examples, classes = c.batch.y.shape
    for dtype in (jnp.float64, jnp.float32):
        params, batch = cast((c.params, c.batch), dtype)
        state = jax.eval_shape(c.rule.init, c.key, params, batch)
        grads, after, info = jax.eval_shape(c.grad, params, state, batch, c.key)
        assert types(grads) == types(params), (
            f"shapes: grads are {types(grads)}, params are {types(params)}"
        )
        assert types(after) == types(state), (
            f"shapes: the state goes from {types(state)} to {types(after)}"
        )
        assert info["loss"].shape == (), (
            f"shapes: info['loss'] is {info['loss'].shape}, expected a scalar"
        )
        fit = isinstance(info["signals"], Signals) and {s.shape for s in info["signals"]} == {
            (examples,)
        }
        assert fit, (
            f"shapes: info['signals'] is {info['signals']}, expected Signals, each {(examples,)}"
        )
        output = jax.eval_shape(c.rule.predict, params, state, batch.x, c.key)
        assert output.shape == (
            examples,
            classes,
        ), f"shapes: predict gives {output.shape}, expected {(examples, classes)}"
        assert output.dtype == dtype, (
            f"shapes: predict gives {output.dtype} for {jnp.dtype(dtype).name}"
        )
    twice = jax.tree.map(lambda a: jnp.concatenate([a, a]), c.batch)
    wrong = undeclared(c.state, jax.eval_shape(c.rule.init, c.key, c.params, twice))
    assert not wrong, (
        f"shapes: the state's {', '.join(wrong)} depends on the batch size; declare the field,"
        " `traces: bp.PerExample`"
    )
    weights = feedback(c.state)
    if weights is not None:
        pairs = [(b, w) for b, w in zip(weights, c.params, strict=False) if jax.tree.leaves(b)]
        fit = len(weights) == len(c.params) and all(types(b) == types(w) for b, w in pairs)
        assert fit, (
            f"shapes: feedback weights are {types(weights)}, expected those of params,"
            f" {types(c.params)}, or () in a layer; declare other weights `bp.PerLayer`"
        )


def mean(c: Case) -> None:
    """Gradients are means over the batch: duplicating every example changes nothing.

    Skipped for rules that draw noise per example.
    """
    if not independent_examples(c):
        return
    tiled = jax.tree.map(lambda a: np.concatenate([a, a]), c.batch)
    twice, once = (c.grad(c.params, c.state, batch, c.key) for batch in (tiled, c.batch))
    agree("mean: duplicating every example changes the gradient", twice[0], once[0])
    agree("mean: duplicating every example changes the loss", twice[2]["loss"], once[2]["loss"])


def host_arrays(c: Case) -> None:
    """A batch may be a tuple of numpy arrays, with integer labels in place of one-hot ones.

    Only shapes are evaluated; nothing is compiled.
    """
    x, y, context = jax.tree.map(np.asarray, c.batch)[:3]
    labels = y.shape[1] > 1 and ((y == 0) | (y == 1)).all() and (y.sum(-1) == 1).all()
    batch: Any = (x, y.argmax(-1) if labels else y, context)
    try:
        state = jax.eval_shape(lambda: c.rule.init(c.key, c.params, batch))
        grads = jax.eval_shape(lambda s: c.rule.grad(c.params, s, batch, c.key)[0], state)
        jax.eval_shape(lambda s: c.rule.predict(c.params, s, x, c.key, context), state)
    except Exception as error:
        kind = "integer labels" if labels else "targets"
        raise AssertionError(
            f"host_arrays: the batch (x, {kind}) of numpy arrays was refused: {error}; decorate the"
            " factory with bp.learning_rule"
        ) from error
    assert types(grads) == types(c.params), (
        f"host_arrays: grads are {types(grads)}, params are {types(c.params)}"
    )


def refusals(c: Case) -> None:
    """Wrong shapes raise ValueError or TypeError; they are not broadcast or ignored."""
    x, y, context = c.batch[:3]
    wrong = {
        "one more input feature": (
            c.params,
            Batch(jnp.concatenate([x, x[..., :1]], -1), y, context),
        ),
        "one more class in y": (c.params, Batch(x, jnp.concatenate([y, y[:, :1]], -1), context)),
        "a single class in y": (c.params, Batch(x, y[:, :1], context)),
        "fewer labels than inputs": (c.params, Batch(x, y[:-1], context)),
        "one label for all inputs": (c.params, Batch(x, y[:1], context)),
        "a layer of params missing": (c.params[:-1], c.batch),
        "a layer of params too many": ((*c.params, c.params[-1]), c.batch),
    }
    for name, (params, batch) in wrong.items():
        refuses(
            f"refusals: {name}",
            lambda params=params, batch=batch: c.rule.grad(params, c.state, batch, c.key),
        )
