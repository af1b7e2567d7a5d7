"""Training: the same eight lines for every rule, compiled in chunks; seeds together; checkpoints.

Batch t of seed s is order(fold_in(s, epoch))[t], a random order of the examples: the same examples in the same order for
every rule at a seed, so that rules are compared in pairs. The last, incomplete batch of an epoch is left out.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from bioplaus.net import init as init_net
from bioplaus.types import Array, Batch, Key, Net, PyTree, Rule

ORDER, WEIGHTS, RULE, NOISE = range(4)  # what a seed's key is folded with, so that no two uses share their randomness


class TrainState(NamedTuple):
    """All that the next step needs. step: int32; key: the seed's; opt: the state of tx; rule: the state of the rule."""

    step: Array
    key: Key
    params: PyTree
    opt: Any
    rule: PyTree


class Train(NamedTuple):
    """init: (key) -> TrainState.  advance: (state, n) -> (state, history), n steps in one compiled scan; `state` is donated.

    history: {'loss': [n], ...}, the scalars of the rule's info. After `replicate` key, state and history have a seed axis first.
    """

    init: Callable[[Key], TrainState]
    advance: Callable[[TrainState, int], tuple[TrainState, dict[str, Array]]]
    program: "Program"


class Program(NamedTuple):
    """The pure functions under a Train, with the data as an argument: closed over, it would be compiled in as a constant."""

    init: Callable[[Key, Batch], TrainState]
    advance: Callable[[TrainState, Batch, int], tuple[TrainState, dict[str, Array]]]
    data: Batch


def make_train(
    net: Net, rule: Rule, tx: optax.GradientTransformation, data: Batch, *, batch_size: int = 64, hold: int = 1
) -> Train:
    """A training run of one seed. data: all examples, kept on the device. hold: steps that each batch is presented for.

    Raises ValueError if a batch does not fit in the data.
    """
    size = data.x.shape[0]
    if not 1 <= batch_size <= size:
        raise ValueError(f"make_train: batch_size is {batch_size}, expected 1 to the number of examples, {size}")
    if hold < 1:
        raise ValueError(f"make_train: hold is {hold}, expected 1 or more steps for each batch")
    per_epoch = size // batch_size

    def start(key: Key, data: Batch) -> TrainState:
        first = jax.tree.map(lambda a: a[:batch_size], data)
        params = init_net(net, jax.random.fold_in(key, WEIGHTS), first.x)
        state = rule.init(jax.random.fold_in(key, RULE), params, first)
        return TrainState(jnp.zeros((), jnp.int32), key, params, tx.init(params), state)

    def indices(key: Key, step: Array, n: int) -> Array:
        """Rows of the n batches from `step` on, [n, batch_size]."""
        batch = (step + jnp.arange(n)) // hold
        epoch = batch // per_epoch

        def order(e: Array) -> Array:  # one sort of random words; jax.random.permutation sorts twice, a cost that shows
            return jnp.argsort(jax.random.bits(jax.random.fold_in(jax.random.fold_in(key, ORDER), e), (size,)))

        touched = epoch[0] + jnp.arange((n - 1) // hold // per_epoch + 2)  # one more than is needed, unless the chunk crosses
        orders = jax.lax.map(lambda e: jax.lax.cond(e <= epoch[-1], order, lambda _: jnp.arange(size), e), touched)
        orders = orders[:, : per_epoch * batch_size].reshape(-1, per_epoch, batch_size)
        return orders[epoch - epoch[0], batch % per_epoch]

    def step(state: TrainState, data: Batch, rows: Array) -> tuple[TrainState, dict[str, Array]]:
        batch = jax.tree.map(lambda a: a[rows], data)
        key = jax.random.fold_in(jax.random.fold_in(state.key, NOISE), state.step)
        grads, rule_state, info = rule.grad(state.params, state.rule, batch, key)
        with jax.named_scope("optimiser"):
            updates, opt = tx.update(grads, state.opt, state.params)
            params = optax.apply_updates(state.params, updates)
        history = {name: value for name, value in info.items() if isinstance(value, jax.Array) and value.ndim == 0}
        return TrainState(state.step + 1, state.key, params, opt, rule_state), history

    def advance(state: TrainState, data: Batch, n: int) -> tuple[TrainState, dict[str, Array]]:
        return jax.lax.scan(lambda s, rows: step(s, data, rows), state, indices(state.key, state.step, n))

    return _compiled(Program(start, advance, jax.tree.map(jnp.asarray, data)), lambda f: f)


def in_turn(f: Callable[..., Any]) -> Callable[..., Any]:
    """f on one seed after the other, in one program: faster than vmap on a CPU for large nets, and smaller."""
    return lambda *xs: jax.lax.map(lambda x: f(*x), xs)


def replicate(train: Train, over: Callable[..., Any] = jax.vmap) -> Train:
    """The same run for many seeds: init takes keys [S], all states and histories have the axis S first.

    over: `jax.vmap`, or `in_turn`. A seed that diverges does not disturb the others.
    """
    return _compiled(train.program, over)


def _compiled(program: Program, over: Callable[..., Any]) -> Train:
    data = program.data
    init = jax.jit(lambda keys, data: over(lambda key: program.init(key, data))(keys))
    advance = jax.jit(
        lambda states, data, n: over(lambda state: program.advance(state, data, n))(states), static_argnums=2, donate_argnums=0
    )
    return Train(lambda keys: init(keys, data), lambda states, n: advance(states, data, n), program)


def seed_keys(seeds: int) -> Key:
    """Keys of seeds 0 to seeds - 1, [S]."""
    return jax.vmap(jax.random.key)(jnp.arange(seeds))


def save(folder: Path, tree: PyTree) -> None:
    """Write arrays and keys to a new folder, whole or not at all. Replaces what stood there."""
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder.absolute(), _with_elements(tree), force=True)


def restore(folder: Path, like: PyTree) -> PyTree:
    """Read what `save` wrote. like: a tree of the same structure, shapes and dtypes.

    Raises ValueError if the folder is damaged or holds something else.
    """
    import orbax.checkpoint as ocp

    try:
        with ocp.StandardCheckpointer() as checkpointer:
            found = iter(jax.tree.leaves(checkpointer.restore(folder.absolute(), _with_elements(like))))
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(f"checkpoint {folder} cannot be read ({error}); delete that folder to start again") from error
    return jax.tree.map(lambda a: next(found) if a.size else a, like)


def _with_elements(tree: PyTree) -> PyTree:
    """The tree without its arrays of size zero, which checkpoints do not hold: rewards on their way where none is delayed."""
    return jax.tree.map(lambda a: a if a.size else None, tree)
