"""The pure functions of a training run, before they are compiled and bound to data.

Each step takes the next batch, asks the rule for gradients and hands them to the optimiser; it is
the same for every rule. Batch t of seed s is order(fold_in(s, epoch))[t], where order is a random
order of the examples. So every rule sees the same examples in the same order at a given seed, and
rules can be compared in pairs. An incomplete batch at the end of an epoch is left out.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from bioplaus.batches import check_lengths
from bioplaus.net import init as init_net
from bioplaus.salts import AUGMENT, NOISE, ORDER, RULE, WEIGHTS
from bioplaus.training.devices import of_examples
from bioplaus.training.loops import loop
from bioplaus.training.steps import TrainState, along, learned, scalars
from bioplaus.types import Array, Batch, Key, Net, PyTree, Rule


class Program(NamedTuple):
    """The pure functions of a training run. Data and hyperparameters are arguments of them, so that
    they can change without another compilation.

    init: (key, data, hyper) -> TrainState.
    advance: (state, data, hyper, n, count=None) -> (state, history). count: see `Train`.
    rows: (key, step, n, size) -> [n, B], the indices of the examples in the n batches from `step`
    on, out of `size` examples.
    follow: (state, batches, hyper, count=None) -> (state, history), on given batches [n, B, ...].
    """

    init: Callable[[Key, Batch, PyTree], TrainState]
    advance: Callable[..., tuple[TrainState, dict[str, Array]]]
    rows: Callable[[Key, Array, int, int], Array]
    follow: Callable[..., tuple[TrainState, dict[str, Array]]]
    batch_size: int
    mesh: Mesh | None


def make_program(
    make: Callable[[PyTree, Array], tuple[Net, Rule, optax.GradientTransformation]],
    *,
    batch_size: int = 64,
    hold: int = 1,
    augment: Callable[[Key, Array], Array] | None = None,
    online: int | None = None,
    mesh: Mesh | None = None,
) -> Program:
    """A training run that is made from hyperparameters inside of the program.

    One compilation then serves all values of the hyperparameters of its net, rule and optimiser.

    make: (hyper, step) -> (net, rule, tx). hyper: numbers or arrays, which are tracers in there, as
    hyperparameters of type ArrayLike may be. step: int32, for hyperparameters that follow a
    schedule. `bind` adds the data and the values. The other arguments are those of `make_train`,
    and it raises ValueError as that does.
    """
    _check_options(batch_size, hold, online, mesh)

    def start(key: Key, data: Batch, hyper: PyTree) -> TrainState:
        check_size(batch_size, data)
        step = jnp.zeros((), jnp.int32)
        net, rule, tx = make(hyper, step)
        first = jax.tree.map(lambda a: a[:batch_size], data)
        params = init_net(net, jax.random.fold_in(key, WEIGHTS), first.x)
        state = rule.init(jax.random.fold_in(key, RULE), params, first)
        return TrainState(step, key, params, tx.init(params), state)

    def step(state: TrainState, batch: Batch, hyper: PyTree) -> tuple[TrainState, dict[str, Array]]:
        _, rule, tx = make(hyper, state.step)
        batch = of_examples(batch, mesh)
        if augment is not None:
            augment_key = jax.random.fold_in(
                jax.random.fold_in(state.key, AUGMENT), state.step // hold
            )
            batch = batch._replace(x=augment(augment_key, batch.x))
        key = jax.random.fold_in(jax.random.fold_in(state.key, NOISE), state.step)
        if online is None:
            state, info = learned(rule, tx, state, batch, key)
            return state, scalars(info)
        return along(rule, tx, state, batch, key, online)

    rows = partial(_rows, batch_size=batch_size, hold=hold)

    def follow(state: TrainState, batches: Batch, hyper: PyTree, count: Array | None = None):
        return loop(lambda s, batch: step(s, batch, hyper), state, batches, count)

    def advance(state: TrainState, data: Batch, hyper: PyTree, n: int, count: Array | None = None):
        shown = rows(state.key, state.step, n, data.x.shape[0])
        return loop(
            lambda s, at: step(s, jax.tree.map(lambda a: a[at], data), hyper), state, shown, count
        )

    return Program(start, advance, rows, follow, batch_size, mesh)


def check_size(batch_size: int, data: Batch) -> None:
    """Raise ValueError if a batch does not fit in the data.

    So too if x, y and context differ in their number of examples, or a leaf of the context has no
    axis of examples.
    """
    check_lengths(data)
    if any(not jnp.ndim(a) for a in jax.tree.leaves(data.context)):
        raise ValueError(
            "make_train: the context holds a number with no axis of examples; repeat it, one for"
            " each example"
        )
    if not 1 <= batch_size <= data.x.shape[0]:
        raise ValueError(
            f"make_train: batch_size is {batch_size}, expected 1 to the number of examples,"
            f" {data.x.shape[0]}"
        )


def _check_options(batch_size: int, hold: int, online: int | None, mesh: Mesh | None) -> None:
    if online is not None and online < 1:
        raise ValueError(f"make_train: online is {online}, expected 1 or more moments of a piece")
    if hold < 1:
        raise ValueError(f"make_train: hold is {hold}, expected 1 or more steps for each batch")
    if mesh is not None and batch_size % dict(mesh.shape).get("data", 1):
        raise ValueError(
            f"make_train: a batch of {batch_size} does not divide over data={mesh.shape['data']}"
            " devices; give another batch_size, or another mesh, as in seeds=4"
        )


def _rows(key: Key, step: Array, n: int, size: int, *, batch_size: int, hold: int) -> Array:
    """`Program.rows`."""
    per_epoch = size // batch_size
    batch = (step + jnp.arange(n)) // hold
    epoch = batch // per_epoch

    def order(e: Array) -> Array:
        # jax.random.permutation would sort twice, which costs noticeably more than this one sort
        return jnp.argsort(
            jax.random.bits(jax.random.fold_in(jax.random.fold_in(key, ORDER), e), (size,))
        )

    # enough epochs for any start; the last is drawn only if the n steps reach into it
    touched = epoch[0] + jnp.arange((n - 1) // hold // per_epoch + 2)
    orders = jax.lax.map(
        lambda e: jax.lax.cond(e <= epoch[-1], order, lambda _: jnp.arange(size), e), touched
    )
    orders = orders[:, : per_epoch * batch_size].reshape(-1, per_epoch, batch_size)
    return orders[epoch - epoch[0], batch % per_epoch]
