"""Training: the same eight lines for every rule, compiled in chunks; seeds together.

Batch t of seed s is order(fold_in(s, epoch))[t], a random order of the examples: the same examples
in the same order for every rule at a seed, so that rules are compared in pairs. The last,
incomplete batch of an epoch is left out.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import ArrayLike

from bioplaus.entry import check_lengths, checked_data, labels_as_rows
from bioplaus.net import init as init_net
from bioplaus.salts import AUGMENT, NOISE, ORDER, RULE, WEIGHTS
from bioplaus.training.devices import of_examples, of_weights
from bioplaus.training.loops import in_turn, loop
from bioplaus.types import Array, Batch, Key, Net, PyTree, Rule

TOGETHER = 200_000  # parameters up to which vmapped seeds beat one after another on a CPU

How = Literal["auto", "vmap", "loop"]


class TrainState(NamedTuple):
    """All that the next step needs. step: int32; key: the seed's; opt: the state of tx; rule: the
    state of the rule.
    """

    step: Array
    key: Key
    params: PyTree
    opt: Any
    rule: PyTree


class Train(NamedTuple):
    """init: (key) -> TrainState.
    advance: (state, n) -> (state, history), n steps in one compiled loop; `state` is donated.

    history: {'loss': [n], ...}, the scalars of the rule's info. After `replicate` key, state and
    history have a seed axis first. advance(state, n, count) takes the first `count` of the n steps,
    to which the first `count` entries of history belong: a program for each n, that any count
    shares. Steps taken in parts by one program are the same to the last bit as those taken
    together.
    """

    init: Callable[[Key], TrainState]
    advance: Callable[..., tuple[TrainState, dict[str, Array]]]
    program: "Program"
    data: Batch
    hyper: PyTree


class Program(NamedTuple):
    """The pure functions under a Train. What may change without another compilation is an argument:
    data, and hyperparameters.

    init: (key, data, hyper) -> TrainState.
    advance: (state, data, hyper, n, count=None) -> (state, history).
    rows: (key, step, n, size) -> which of `size` examples the n batches from `step` on hold, [n,
    B].
    follow: (state, batches, hyper, count=None) -> (state, history), over batches [n, B, ...] that
    are given. count: see `Train`.
    """

    init: Callable[[Key, Batch, PyTree], TrainState]
    advance: Callable[..., tuple[TrainState, dict[str, Array]]]
    rows: Callable[[Key, Array, int, int], Array]
    follow: Callable[..., tuple[TrainState, dict[str, Array]]]
    batch_size: int
    mesh: Mesh | None


def make_train(
    net: Net,
    rule: Rule,
    tx: optax.GradientTransformation,
    data: Batch,
    *,
    batch_size: int = 64,
    hold: int = 1,
    augment: Callable[[Key, Array], Array] | None = None,
    mesh: Mesh | None = None,
) -> Train:
    """A training run of one seed. data: all examples, kept on the device. hold: steps that each
    batch is presented for.

    augment: (key, x) -> x, what a batch's inputs become each time that it is drawn, the same for
    every rule; see `data.augment`.
    mesh: of `bioplaus.training.devices.mesh_of`, for several devices; the data lie on each.
    Raises ValueError if a batch does not fit in the data, or does not divide over the mesh.
    """
    # here, because inside the program they could not be seen to be wrong
    data = labels_as_rows(checked_data(data), net, seed_key(0))
    program = make_program(
        lambda hyper, step: (net, rule, tx),
        batch_size=batch_size,
        hold=hold,
        augment=augment,
        mesh=mesh,
    )
    return bind(program, data)


def make_program(
    make: Callable[[PyTree, Array], tuple[Net, Rule, optax.GradientTransformation]],
    *,
    batch_size: int = 64,
    hold: int = 1,
    augment: Callable[[Key, Array], Array] | None = None,
    mesh: Mesh | None = None,
) -> Program:
    """A run whose net, rule and optimiser are made of hyperparameters, inside the program: one
    compilation serves all their values.

    make: (hyper, step) -> (net, rule, tx); hyper: numbers or arrays, tracers there, as a rule's
    hyperparameters of type ArrayLike may be; step: int32, for those that follow a schedule. Bound
    to data and values by `bind`. Raises ValueError as `make_train` does.
    """
    if hold < 1:
        raise ValueError(f"make_train: hold is {hold}, expected 1 or more steps for each batch")
    if mesh is not None and batch_size % dict(mesh.shape).get("data", 1):
        raise ValueError(
            f"make_train: a batch of {batch_size} does not divide over data={mesh.shape['data']}"
            " devices; give another batch_size, or another mesh, as in seeds=4"
        )

    def start(key: Key, data: Batch, hyper: PyTree) -> TrainState:
        check_size(batch_size, data)
        step = jnp.zeros((), jnp.int32)
        net, rule, tx = make(hyper, step)
        first = jax.tree.map(lambda a: a[:batch_size], data)
        params = init_net(net, jax.random.fold_in(key, WEIGHTS), first.x)
        state = rule.init(jax.random.fold_in(key, RULE), params, first)
        return TrainState(step, key, params, tx.init(params), state)

    def rows(key: Key, step: Array, n: int, size: int) -> Array:
        per_epoch = size // batch_size
        batch = (step + jnp.arange(n)) // hold
        epoch = batch // per_epoch

        # one sort of random words; jax.random.permutation sorts twice, a cost that shows
        def order(e: Array) -> Array:
            return jnp.argsort(
                jax.random.bits(jax.random.fold_in(jax.random.fold_in(key, ORDER), e), (size,))
            )

        # one more than is needed, unless the chunk crosses
        touched = epoch[0] + jnp.arange((n - 1) // hold // per_epoch + 2)
        orders = jax.lax.map(
            lambda e: jax.lax.cond(e <= epoch[-1], order, lambda _: jnp.arange(size), e), touched
        )
        orders = orders[:, : per_epoch * batch_size].reshape(-1, per_epoch, batch_size)
        return orders[epoch - epoch[0], batch % per_epoch]

    def step(state: TrainState, batch: Batch, hyper: PyTree) -> tuple[TrainState, dict[str, Array]]:
        _, rule, tx = make(hyper, state.step)
        batch = of_examples(batch, mesh)
        if augment is not None:
            own = jax.random.fold_in(jax.random.fold_in(state.key, AUGMENT), state.step // hold)
            batch = batch._replace(x=augment(own, batch.x))
        key = jax.random.fold_in(jax.random.fold_in(state.key, NOISE), state.step)
        grads, rule_state, info = rule.grad(state.params, state.rule, batch, key)
        with jax.named_scope("optimiser"):
            updates, opt = tx.update(grads, state.opt, state.params)
            params = optax.apply_updates(state.params, updates)
        history = {
            name: value
            for name, value in info.items()
            if isinstance(value, jax.Array) and value.ndim == 0
        }
        return TrainState(state.step + 1, state.key, params, opt, rule_state), history

    def follow(state: TrainState, batches: Batch, hyper: PyTree, count: Array | None = None):
        return loop(lambda s, batch: step(s, batch, hyper), state, batches, count)

    def advance(state: TrainState, data: Batch, hyper: PyTree, n: int, count: Array | None = None):
        shown = rows(state.key, state.step, n, data.x.shape[0])
        return loop(
            lambda s, at: step(s, jax.tree.map(lambda a: a[at], data), hyper), state, shown, count
        )

    return Program(start, advance, rows, follow, batch_size, mesh)


def bind(program: Program, data: Batch, hyper: PyTree = ()) -> Train:
    """A program with its data and the values of its hyperparameters. Trains of one program share
    its compilations.

    Raises ValueError if a batch does not fit in the data.
    """
    data = checked_data(data)
    check_size(program.batch_size, data)
    if program.mesh is not None:
        data = jax.device_put(data, NamedSharding(program.mesh, PartitionSpec()))
    return _bound(Train(None, None, program, data, hyper), None)  # type: ignore[arg-type]


def check_size(batch_size: int, data: Batch) -> None:
    """Raises ValueError if x, y and context differ in their number of examples, or if a batch does
    not fit in the data.
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


def apart(state: TrainState) -> TrainState:
    """The state with no array in it twice: its buffers are donated, and one can be given away only
    once.
    """
    seen: set[int] = set()

    def own(a: Array) -> Array:
        known = id(a) in seen
        seen.add(id(a))
        return jnp.copy(a) if known and isinstance(a, jax.Array) else a

    return jax.tree.map(own, state)


def side_by_side(f: Callable[..., Any]) -> Callable[..., Any]:
    """f on all seeds at once, each on its devices of a mesh."""
    return jax.vmap(f, spmd_axis_name="seeds")


def replicate(train: Train, how: How = "auto") -> Train:
    """The same run for many seeds: init takes keys [S], all states and histories have the axis S
    first.

    how: 'vmap', 'loop' (one seed after the other in one program), or 'auto', see `seeds_over`. On a
    mesh with the axis 'seeds' they lie side by side. A seed that diverges does not disturb the
    others. init raises ValueError for keys that are not of type threefry2x32, as `seed_keys` makes
    them: under vmap, keys of type rbg draw other numbers than one after another, and a seed would
    then train to other weights wherever 'auto' decides otherwise.
    """
    mesh = train.program.mesh
    if mesh is not None and "seeds" in mesh.axis_names:
        return _bound(train, side_by_side)
    return _bound(
        train,
        seeds_over(jax.eval_shape(train.init, seed_key(0)).params) if how == "auto" else WAYS[how],
    )


def seeds_over(params: PyTree) -> Callable[..., Any]:
    """How the seeds of a net of this size share a program. params: of one seed. Measured:
    experiments/benchmarks/seeds.py.

    vmap on accelerators, and on a CPU for small dense nets; there, larger ones and convolutions run
    one after the other.
    """
    leaves = jax.tree.leaves(params)
    small = sum(math.prod(a.shape) for a in leaves) <= TOGETHER and all(
        len(a.shape) < 4 for a in leaves
    )
    return jax.vmap if small or jax.default_backend() != "cpu" else in_turn


WAYS: dict[str, Callable[..., Any]] = {"vmap": jax.vmap, "loop": in_turn}


def counted(n: int, count: int | None) -> tuple[int, int | None]:
    """n and count of `Train.advance`. Raises ValueError unless n is 1 or more, and count, if there
    is one, 1 to n.
    """
    if n < 1:
        raise ValueError(f"advance: got n = {n} steps; give 1 or more")
    if count is not None and not 1 <= count <= n:
        raise ValueError(f"advance: got count = {count}, expected 1 to n = {n} steps")
    return n, count


def _bound(train: Train, over: Callable[..., Any] | None) -> Train:
    """The train with the compiled functions of its program, for one seed or for many."""
    start, advance = _compiled(train.program, over)
    data, hyper = train.data, train.hyper

    def init(keys: Key) -> TrainState:
        if over is not None:
            check_keys(keys)
        return start(keys, data, hyper)

    def onward(
        states: TrainState, n: int, count: int | None = None
    ) -> tuple[TrainState, dict[str, Array]]:
        return advance(apart(states), data, hyper, *counted(n, count))

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
        if mesh is not None:  # the history is whole on every device, for every machine to read
            states = jax.lax.with_sharding_constraint(states, places(states))
            history = jax.lax.with_sharding_constraint(
                history, NamedSharding(mesh, PartitionSpec())
            )
        return states, history

    init = jax.jit(start)
    if mesh is not None:  # where the states are made is where they stay

        def init(keys, data, hyper):
            return jax.jit(start, out_shardings=places(jax.eval_shape(start, keys, data, hyper)))(
                keys, data, hyper
            )

    return init, jax.jit(advance, static_argnums=3, donate_argnums=0)


def seed_key(seed: ArrayLike) -> Key:
    """The key of a seed, of type threefry2x32 whatever JAX's default is: its numbers do not depend
    on vmap, machine or setting.
    """
    return jax.random.key(seed, impl="threefry2x32")


def seed_keys(seeds: int) -> Key:
    """Keys of seeds 0 to seeds - 1, [S]."""
    return jax.vmap(seed_key)(jnp.arange(seeds))


def check_keys(keys: Key) -> None:
    """Raise ValueError unless keys are typed keys [S] of type threefry2x32."""
    if not jnp.issubdtype(keys.dtype, jax.dtypes.prng_key):
        kind = f"raw numbers {keys.dtype}{list(keys.shape)}"
    elif str(jax.random.key_impl(keys)) != "threefry2x32":
        kind = f"type {jax.random.key_impl(keys)}"
    elif keys.ndim != 1:
        kind = f"shape {list(keys.shape)}"
    else:
        return
    raise ValueError(
        f"seeds: got keys of {kind}, expected one key a seed, [S], of type threefry2x32: other"
        " types draw other numbers under vmap; make them with"
        " bioplaus.training.train.seed_keys(S), or each with jax.random.key(seed,"
        " impl='threefry2x32')"
    )
