"""Readers of what the fields of a rule's state declare, by the words of `bioplaus.types`.

States nest: that of a composition is a tuple of states, and that of a modulated rule holds the
states of rule and modulator.
"""

from collections.abc import Callable
from typing import Any, get_type_hints

import jax

from bioplaus.types import FEEDBACK, PER_EXAMPLE, PER_LAYER, OptimiserOf, PyTree, StreamState


def per_example(state: PyTree) -> PyTree:
    """The tree of the state, with True for parts that belong to the examples of the last batch."""
    if fields := getattr(state, "_fields", None):
        words = _declared(type(state))
        parts = {
            name: jax.tree.map(lambda _: True, value)
            if PER_EXAMPLE in words.get(name, ())
            else per_example(value)
            for name, value in zip(fields, state, strict=True)
        }
        return type(state)(**parts)
    return _inside(per_example, state, False)


def layers(state: PyTree) -> PyTree:
    """The tree of the state, with the layer that each array belongs to: 1 to L, or 0."""
    if not (fields := getattr(state, "_fields", None)):
        return _inside(layers, state, 0)
    words = _declared(type(state))
    found = type(state)(
        *(
            _by_entry(v) if PER_LAYER in words.get(name, ()) else layers(v)
            for name, v in zip(fields, state, strict=True)
        )
    )
    for name in fields:
        for word in words.get(name, ()):
            if isinstance(word, OptimiserOf):
                found = found._replace(**{name: _alike(getattr(state, name), word.of(found))})
    return found


def feedback(state: PyTree) -> PyTree | None:
    """The field that a state declares to be feedback weights, also inside of a modulated rule's
    state; None where there is none.
    """
    fields = getattr(state, "_fields", ())
    words = _declared(type(state)) if fields else {}
    for name in fields:
        value = getattr(state, name)
        found = value if FEEDBACK in words.get(name, ()) else feedback(value)
        if found is not None:
            return found
    return None


def whole(state: PyTree) -> PyTree:
    """The state of a rule from that of its form for streams, also inside of a modulated rule's."""
    return jax.tree.map(
        lambda node: node.learned if isinstance(node, StreamState) else node,
        state,
        is_leaf=lambda node: isinstance(node, StreamState),
    )


def on_streams(rest: PyTree, state: PyTree) -> PyTree:
    """The state of a rule's form for streams, at rest, that has learned what `state` has.

    rest: what `Rule.stream.init` gives. state: of the rule itself, as `whole` gives it.
    """
    if isinstance(rest, StreamState):
        return rest._replace(learned=state)
    if hasattr(rest, "_fields"):
        return type(rest)(*map(on_streams, rest, state))
    return state


def _by_entry(entries: tuple) -> tuple:
    return tuple(jax.tree.map(lambda _, l=l: l, entry) for l, entry in enumerate(entries, 1))


def _alike(opt: PyTree, trained: PyTree) -> PyTree:
    """The layers of an optimiser's state.

    It holds copies (momenta, squares) of the tree that it trains, which have the layers of that
    tree.
    """
    tree = jax.tree.structure(trained)

    def copy(node) -> bool:
        return jax.tree.structure(node) == tree

    return jax.tree.map(lambda node: trained if copy(node) else 0, opt, is_leaf=copy)


def undeclared(state: PyTree, other: PyTree) -> list[str]:
    """Paths of arrays whose shape depends on the batch size without being declared `PerExample`.

    other: the same rule's state for a batch of another size.
    """
    leaves, others = (jax.tree_util.tree_leaves_with_path(s) for s in (state, other))
    declared = jax.tree.leaves(per_example(state))
    pairs = zip(leaves, others, declared, strict=True)
    return [
        jax.tree_util.keystr(path)
        for (path, a), (_, b), known in pairs
        if a.shape != b.shape and not known
    ]


def _inside(read: Callable[[PyTree], PyTree], state: PyTree, leaf: Any) -> PyTree:
    """`read` of each part of a state that is not a NamedTuple; `leaf` for an array."""
    return (
        leaf
        if jax.tree_util.all_leaves([state])
        else jax.tree.map(read, state, is_leaf=lambda node: node is not state)
    )


def _declared(kind: type) -> dict[str, tuple[Any, ...]]:
    """Field -> the metadata of its annotation."""
    try:
        hints = get_type_hints(kind, include_extras=True)
    # An annotation may use a name that exists for type checkers alone. Such states, of other
    # packages, declare nothing.
    except NameError:
        return {}
    return {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
