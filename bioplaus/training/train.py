"""Training runs, compiled: a program bound to its data, for one seed or for many at once."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bioplaus.batches import checked_data, labels_as_rows
from bioplaus.training.devices import of_weights
from bioplaus.training.program import Program, TrainState, check_size, make_program
from bioplaus.training.seeds import WAYS, How, check_keys, seed_key, seeds_over, side_by_side
from bioplaus.training.steps import stream_of
from bioplaus.types import Array, Batch, Key, Net, PyTree, Rule


class Train(NamedTuple):
    """A training run with its data.

    init: (key) -> TrainState.
    advance: (state, n) -> (state, history): takes n steps in one compiled loop; `state` is donated.
    history: {'loss': [n], ...}, the scalars of the rule's info.

    advance(state, n, count) takes only the first `count` of the n steps, and only the first `count`
    entries of history are meaningful. One program is compiled for each n and serves every count.
    Steps taken in parts by one program are the same to the last bit as those taken together. After
    `replicate`, key, state and history have an axis of seeds first.
    """

    init: Callable[[Key], TrainState]
    advance: Callable[..., tuple[TrainState, dict[str, Array]]]
    program: Program
    data: Batch
    hyper: PyTree


def make_train(
    net: Net,
    rule: Rule,
    tx: optax.GradientTransformation,
    data: Batch,
    *,
    batch_size: int = 64,
    hold: int = 1,
    augment: Callable[[Key, Array], Array] | None = None,
    online: int | None = None,
    mesh: Mesh | None = None,
) -> Train:
    """A training run of one seed.

    data: all examples, kept on the device. hold: number of steps for which each batch is presented.
    augment: (key, x) -> x, changes a batch's inputs each time that the batch is drawn, in the same
    way for every rule; see `data.augment`. online: moments of a piece, for rules that learn on
    streams: each sequence is a stream that begins at rest, and tx changes the weights after every
    piece; the loss of the history is the sum over pieces. None: after whole sequences. mesh: from
    `bioplaus.training.devices.mesh_of`, for several devices, each of which holds the data. Raises
    ValueError if a batch does not fit in the data, or does not divide over the mesh, and for
    `online` with a rule that has no form for streams.
    """
    if online is not None:
        stream_of(rule)  # raises if there is none
    # checked here, because inside of the program the values of labels are not known
    data = labels_as_rows(checked_data(data), net, seed_key(0))
    program = make_program(
        lambda hyper, step: (net, rule, tx),
        batch_size=batch_size,
        hold=hold,
        augment=augment,
        online=online,
        mesh=mesh,
    )
    return bind(program, data)


def bind(program: Program, data: Batch, hyper: PyTree = ()) -> Train:
    """A program with its data and the values of its hyperparameters.

    Training runs of one program share its compilations. Raises ValueError if a batch does not fit
    in the data.
    """
    data = checked_data(data)
    check_size(program.batch_size, data)
    if program.mesh is not None:
        data = jax.device_put(data, NamedSharding(program.mesh, PartitionSpec()))
    return _bound(Train(None, None, program, data, hyper), None)  # type: ignore[arg-type]


def replicate(train: Train, how: How = "auto") -> Train:
    """The same run for many seeds.

    init takes keys [S], and all states and histories have the axis S first.

    how: 'vmap', 'loop' (one seed after the other in one program), or 'auto', which chooses by
    `seeds_over`. On a mesh with the axis 'seeds' the seeds run on different devices instead. A seed
    that diverges does not disturb the others.

    init raises ValueError for keys that are not of type threefry2x32, as `seed_keys` makes them.
    Keys of type rbg draw other numbers under vmap than one after another, so that a seed's weights
    would depend on what 'auto' chooses.
    """
    mesh = train.program.mesh
    if mesh is not None and "seeds" in mesh.axis_names:
        return _bound(train, side_by_side)
    return _bound(
        train,
        seeds_over(jax.eval_shape(train.init, seed_key(0)).params) if how == "auto" else WAYS[how],
    )


def unaliased(state: TrainState) -> TrainState:
    """The state with copies of arrays that occur in it twice.

    Its buffers are donated, and each can be donated only once.
    """
    seen: set[int] = set()

    def copied(a: Array) -> Array:
        known = id(a) in seen
        seen.add(id(a))
        return jnp.copy(a) if known and isinstance(a, jax.Array) else a

    return jax.tree.map(copied, state)


def check_steps(n: int, count: int | None) -> None:
    """Raise ValueError unless n is 1 or more, and count None or 1 to n: see `Train.advance`."""
    if n < 1:
        raise ValueError(f"advance: got n = {n} steps; give 1 or more")
    if count is not None and not 1 <= count <= n:
        raise ValueError(f"advance: got count = {count}, expected 1 to n = {n} steps")


def _bound(train: Train, over: Callable[..., Any] | None) -> Train:
    """The train with compiled functions, for one seed, or for many with `over`."""
    start, advance = _compiled(train.program, over)
    data, hyper = train.data, train.hyper

    def init(keys: Key) -> TrainState:
        if over is not None:
            check_keys(keys)
        return start(keys, data, hyper)

    def onward(
        states: TrainState, n: int, count: int | None = None
    ) -> tuple[TrainState, dict[str, Array]]:
        check_steps(n, count)
        return advance(unaliased(states), data, hyper, n, count)

    return train._replace(init=init, advance=onward)


@functools.lru_cache(maxsize=32)
def _compiled(
    program: Program, over: Callable[..., Any] | None
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Jitted init and advance of one seed, or of many with `over`."""
    mesh, many = program.mesh, over or (lambda f: f)

    def places(states):
        return of_weights(states, mesh, seeds=over is not None)  # type: ignore[arg-type]

    def start(keys, data, hyper):
        return many(lambda key: program.init(key, data, hyper))(keys)

    def advance(states, data, hyper, n, count=None):
        states, history = many(lambda state: program.advance(state, data, hyper, n, count))(states)
        if mesh is not None:  # the whole history is on every device: every machine can read it
            states = jax.lax.with_sharding_constraint(states, places(states))
            history = jax.lax.with_sharding_constraint(
                history, NamedSharding(mesh, PartitionSpec())
            )
        return states, history

    init = jax.jit(start)
    if mesh is not None:  # states are created on the devices that will hold them

        def init(keys, data, hyper):
            return jax.jit(start, out_shardings=places(jax.eval_shape(start, keys, data, hyper)))(
                keys, data, hyper
            )

    return init, jax.jit(advance, static_argnums=3, donate_argnums=0)
