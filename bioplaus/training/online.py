"""Learning on streams: one piece of moments after another, endlessly, in memory of fixed size."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from bioplaus.net import init as init_net
from bioplaus.salts import NOISE, RULE, WEIGHTS
from bioplaus.states import per_example
from bioplaus.training.steps import TrainState, learned, stream_of
from bioplaus.training.train import unaliased
from bioplaus.types import Array, Batch, Key, Net, PyTree, Rule, StreamInfo


class Online(NamedTuple):
    """init: (key, batch) -> TrainState; batch: a first piece, of which only the shapes are used.
    step: (state, batch, reset=None) -> (state, info); `state` is donated."""

    init: Callable[[Key, Batch], TrainState]
    step: Callable[..., tuple[TrainState, StreamInfo]]


def online(net: Net, rule: Rule, tx: optax.GradientTransformation) -> Online:
    """A rule that learns while time runs: each call takes the next moments of B streams.

    A batch is a piece: x [B, K, ...], y and asked of its K moments, K >= 1. Row b goes on where row
    b of the last piece has ended. The rule learns from the piece, tx changes the weights, and the
    next piece meets the new weights with the states of neurons and synapses that the old ones left.
    info['output'] [B, K, C] are the answers, made with the weights from before the piece.

        init, step = bp.online(net, rule, optax.adam(1e-3))
        state = init(jax.random.key(0), piece)
        for piece in stream:
            state, info = step(state, piece)

    reset: [B], true for a row whose stream starts anew with this piece: what the rule's state
    declares `PerExample` is then as at rest. The moments on which noise depends are counted on.
    `step` is compiled once for each K. The state is a tree of arrays of a size that does not grow:
    `bioplaus.training.checkpoints` saves it, and a stream resumed from it goes on to the bit.

    Raises ValueError for a rule that does not learn on streams, and in `init` and `step` for pieces
    that do not fit.
    """
    stream = stream_of(rule)

    def init(key: Key, batch: Batch) -> TrainState:
        params = init_net(net, jax.random.fold_in(key, WEIGHTS), batch.x)
        state = stream.init(jax.random.fold_in(key, RULE), params, batch)
        _check_rows("init", state, len(batch.x))
        # a copy of the key, because `step` is given the state's buffers for good
        step = jnp.zeros((), jnp.int32)
        return unaliased(TrainState(step, jnp.copy(key), params, tx.init(params), state))

    def advance(
        state: TrainState, batch: Batch, reset: Array | None
    ) -> tuple[TrainState, StreamInfo]:
        _check_rows("step", state.rule, len(batch.x))
        if reset is not None:
            rest = stream.init(state.key, state.params, batch)
            state = state._replace(rule=restarted(state.rule, rest, reset))
        return learned(stream, tx, state, batch, jax.random.fold_in(state.key, NOISE))

    advance = jax.jit(advance, donate_argnums=0)

    def step(
        state: TrainState, batch: Batch, reset: Array | None = None
    ) -> tuple[TrainState, StreamInfo]:
        examples = (len(batch.x),)
        if reset is not None and jnp.shape(reset) != examples:
            raise ValueError(
                f"step: reset has the shape {jnp.shape(reset)}; give one truth value for each"
                f" stream, [B] = {examples}"
            )
        return advance(state, batch, None if reset is None else jnp.asarray(reset, bool))

    return Online(init, step)


def restarted(state: PyTree, rest: PyTree, reset: Array) -> PyTree:
    """A rule's state, with the rows of what is `PerExample` from `rest` where `reset` [B] is true.

    Numbers without an axis of rows, such as that of the moment, belong to all rows and stay.
    """

    def chosen(of_rows: bool, now: Array, start: Array) -> Array:
        if not of_rows or jnp.ndim(now) == 0:
            return now
        return jnp.where(reset.reshape(-1, *(1,) * (now.ndim - 1)), start, now)

    return jax.tree.map(chosen, per_example(state), state, rest)


def _check_rows(where: str, state: PyTree, examples: int) -> None:
    declared = zip(jax.tree.leaves(per_example(state)), jax.tree.leaves(state), strict=True)
    odd = [a.shape for own, a in declared if own and a.ndim and a.shape[0] != examples]
    if odd:
        raise ValueError(
            f"{where}: the piece has {examples} rows, and the state keeps an array {odd[0]} of its"
            " streams, whose first axis is that of rows; a stream keeps its number of rows, and a"
            " state is of the rule that init was given"
        )
