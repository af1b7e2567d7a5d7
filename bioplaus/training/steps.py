"""One step of training: on a batch of examples, or on the pieces of its sequences, one by one."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from bioplaus.context import has_moments
from bioplaus.states import on_streams, whole
from bioplaus.types import Array, Batch, Info, Key, PyTree, Rule


class TrainState(NamedTuple):
    """All that the next step needs.

    step: number of steps taken, int32. key: the key of the seed. opt: the state of the optimiser.
    rule: the state of the rule.
    """

    step: Array
    key: Key
    params: PyTree
    opt: Any
    rule: PyTree


def learned(
    rule: Rule, tx: optax.GradientTransformation, state: TrainState, batch: Batch, key: Key
) -> tuple[TrainState, Any]:
    """The state after a rule's gradients and the change of weights that tx makes of them.

    A tx that takes extra arguments is told the batch and the key of the step and, of a modulated
    rule, its mean gate on plasticity, `gate`.
    """
    grads, after, info = rule.grad(state.params, state.rule, batch, key)
    with jax.named_scope("optimiser"):
        told: dict[str, Any] = {"batch": batch, "key": key}
        told |= {"gate": info["gate"]} if "gate" in info else {}
        updates, opt = optax.with_extra_args_support(tx).update(
            grads, state.opt, state.params, **told
        )
        params = optax.apply_updates(state.params, updates)
    return TrainState(state.step + 1, state.key, params, opt, after), info


def stream_of(rule: Rule) -> Rule:
    """The rule's form for streams. Raises ValueError for a rule that has none."""
    if rule.stream is None:
        raise ValueError(
            "online: this rule learns from whole examples and has no form for streams; those of"
            " bioplaus.rules that do have the word streams in `bioplaus list rules`"
        )
    return rule.stream


def along(
    rule: Rule,
    tx: optax.GradientTransformation,
    state: TrainState,
    batch: Batch,
    key: Key,
    moments: int,
) -> tuple[TrainState, dict[str, Array]]:
    """Whole sequences as streams that begin at rest: a change of weights after each piece.

    moments: of a piece; the last one may be shorter. state: of training, whose `rule` is the state
    of the rule itself before and after. Also gives the loss, summed over pieces, and the mean of
    each other number that the rule reports.
    """
    stream, length = stream_of(rule), batch.x.shape[1]

    def learn(state: TrainState, start: ArrayLike, n: int) -> tuple[TrainState, dict[str, Array]]:
        state, info = learned(stream, tx, state, _piece(batch, start, n), key)
        return state, scalars(info)

    moments = min(moments, length)
    rest = stream.init(key, state.params, _piece(batch, 0, moments))
    running = state._replace(rule=on_streams(rest, state.rule))
    starts = moments * jnp.arange(length // moments)
    running, seen = jax.lax.scan(lambda s, at: learn(s, at, moments), running, starts)
    if left := length % moments:
        running, last = learn(running, length - left, left)
        seen = jax.tree.map(lambda a, b: jnp.append(a, b), seen, last)
    seen = {name: _summary(name, a) for name, a in seen.items()}
    return running._replace(step=state.step + 1, rule=whole(running.rule)), seen


def in_the_middle(
    rule: Rule, state: TrainState, batch: Batch, key: Key, moments: int
) -> tuple[Rule, TrainState, Batch]:
    """The rule's form for streams, its state in the middle of the sequences, and the piece there.

    moments: of a piece. The weights stay those of `state` on the way.
    """
    stream, length = stream_of(rule), batch.x.shape[1]
    moments = min(moments, length)
    start = (length - moments) // 2
    running = on_streams(stream.init(key, state.params, _piece(batch, 0, moments)), state.rule)
    if start:
        running = stream.grad(state.params, running, _piece(batch, 0, start), key)[1]
    return stream, state._replace(rule=running), _piece(batch, start, moments)


def _piece(batch: Batch, start: ArrayLike, moments: int) -> Batch:
    """The moments of sequences from `start` on, as a batch of streams."""

    def cut(a: Array) -> Array:
        return jax.lax.dynamic_slice_in_dim(a, start, moments, 1)

    y = cut(batch.y) if batch.y.ndim == 3 else batch.y  # [B, C] is one target for all moments
    asked = None if batch.asked is None else cut(batch.asked)
    context = jax.tree.map(lambda a: cut(a) if has_moments(a, batch.x) else a, batch.context)
    return Batch(cut(batch.x), y, context, asked)


def _summary(name: str, of_pieces: Array) -> Array:
    """What a report of several pieces comes to. Truth values are true where one piece's is."""
    if of_pieces.dtype == bool:
        return of_pieces.any()
    return of_pieces.sum() if name == "loss" else of_pieces.mean()


def scalars(info: Info) -> dict[str, Array]:
    """The entries of a rule's info that are kept in the history."""
    return {
        name: value
        for name, value in info.items()
        if isinstance(value, jax.Array) and value.ndim == 0
    }
