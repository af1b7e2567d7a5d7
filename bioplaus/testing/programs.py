"""Items of the contract: `grad` is a pure function that JAX compiles, repeats and transforms."""

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.hyper import hyperparameters as declared_hyperparameters
from bioplaus.testing.cases import Case, descend
from bioplaus.trees import agree, close, leaves


def plain(c: Case) -> None:
    """`grad` is a pure function: its result repeats, and it changes none of its arguments.

    It is traced a second time, with the caller's arrays as constants, and called twice with the
    same key.
    """
    before = jax.tree.flatten((c.params, c.state, c.batch))
    anew = jax.jit(lambda: c.rule.grad(c.params, c.state, c.batch, c.key))()
    after = jax.tree.flatten((c.params, c.state, c.batch))
    untouched = before[1] == after[1] and all(
        a is b for a, b in zip(before[0], after[0], strict=True)
    )
    assert untouched, "plain: grad changed its arguments in place; return new trees"
    compiled, again = (c.grad(c.params, c.state, c.batch, c.key) for _ in range(2))
    agree(
        "plain: grad gives another result when it is traced again (randomness outside of `key`?)",
        anew,
        compiled,
    )
    assert close(compiled, again, 0.0), "plain: the same key gave different results"
    assert all(np.isfinite(a).all() for a in leaves(compiled)), (
        "plain: grads, state or info are not finite"
    )
    assert any(np.any(g) for g in jax.tree.leaves(compiled[0])), "plain: every gradient is zero"
    assert np.isclose(compiled[2]["loss"], compiled[2]["signals"].loss.mean()), (
        "plain: info['loss'] is not the mean loss"
    )


def one_trace(c: Case) -> None:
    """Five training steps trace `grad` once: state and gradients keep their shapes and dtypes."""
    params, state, traced = c.params, c.state, []
    for step in range(5):
        grads, state, _ = c.grad(params, state, c.batch, jax.random.fold_in(c.key, step))
        params = descend(params, grads)
        traced.append(len(c.traces))
    more = traced[-1] - traced[0]  # another item may have traced the first step
    assert not more, (
        f"one_trace: 5 steps were traced {1 + more} times; a shape, dtype or weak type changes"
    )


def transforms(c: Case) -> None:
    """vmap over seeds, with scan over steps inside, equals a loop of compiled calls."""

    def run(params, state, key):
        def body(carry, step):
            params, state = carry
            grads, state, info = c.grad(params, state, c.batch, jax.random.fold_in(key, step))
            return (descend(params, grads), state), info["loss"]

        return jax.lax.scan(body, (params, state), jnp.arange(3))

    keys, other = jax.random.split(c.key, 2), jax.tree.map(lambda w: 0.9 * np.asarray(w), c.params)
    together = jax.jit(jax.vmap(run, (0, None, 0)))(
        jax.tree.map(lambda *w: np.stack(w), c.params, other), c.state, keys
    )
    for i, params in enumerate((c.params, other)):
        state, losses = c.state, []
        for step in range(3):
            grads, state, info = c.grad(params, state, c.batch, jax.random.fold_in(keys[i], step))
            params = descend(params, grads)
            losses.append(np.asarray(info["loss"]))
        want = ((params, state), np.stack(losses))
        agree(
            "transforms: vmap of scan and a loop of calls differ",
            jax.tree.map(lambda a, i=i: a[i], together),
            want,
            1e-7,
        )


def hyperparameters(c: Case) -> None:
    """Hyperparameters that are declared as traced may be tracers: `vmap` runs over all of them."""
    defaults = {
        n: h.default
        for n, h in declared_hyperparameters(c.factory).items()
        if h.traced and not h.required and h.default is not None
    }
    if not defaults:
        return

    def run(hyper):
        rule = c.factory(c.net, c.loss, **hyper)
        state = rule.init(jax.random.key(1), c.params, c.batch)
        return rule.grad(c.params, state, c.batch, c.key)[0]

    try:
        grads = jax.jit(jax.vmap(run))(
            {name: np.array([1.0, 1.1]) * value for name, value in defaults.items()}
        )
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        raise AssertionError(
            f"hyperparameters: {list(defaults)} are declared as traced, but one of them is used as"
            " a Python number; compute with it by jax.numpy, or declare it as int or float"
        ) from error
    want = c.grad(c.params, c.state, c.batch, c.key)[0]
    agree(
        "hyperparameters: the defaults give another gradient when they are tracers",
        jax.tree.map(lambda g: g[0], grads),
        want,
    )
