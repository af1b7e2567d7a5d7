"""What a rule declares of its state, read: the words are in `bioplaus.types`, on the fields of NamedTuples.

States nest: those of compositions are tuples of states, a modulated rule's holds its rule's and its modulator's.
"""

from typing import Any, get_type_hints

import jax

from bioplaus.types import PER_EXAMPLE, PyTree


def per_example(state: PyTree) -> PyTree:
    """The tree of the state, True for what it declares to belong to the examples of its last batch."""
    if fields := getattr(state, "_fields", None):
        words = _declared(type(state))
        parts = {
            name: jax.tree.map(lambda _: True, value) if PER_EXAMPLE in words.get(name, ()) else per_example(value)
            for name, value in zip(fields, state, strict=True)
        }
        return type(state)(**parts)
    if jax.tree_util.all_leaves([state]):
        return False
    return jax.tree.map(per_example, state, is_leaf=lambda node: node is not state)


def undeclared(state: PyTree, other: PyTree) -> list[str]:
    """Where a state and one made for a batch of another size differ in shape, although nothing there is declared `PerExample`."""
    leaves, others = (jax.tree_util.tree_leaves_with_path(s) for s in (state, other))
    declared = jax.tree.leaves(per_example(state))
    pairs = zip(leaves, others, declared, strict=True)
    return [jax.tree_util.keystr(path) for (path, a), (_, b), known in pairs if a.shape != b.shape and not known]


def _declared(kind: type) -> dict[str, tuple[Any, ...]]:
    """Field -> the words of its annotation."""
    try:
        hints = get_type_hints(kind, include_extras=True)
    except NameError:  # an annotation that names what is not there at run time: states of other packages, which declare nothing
        return {}
    return {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
