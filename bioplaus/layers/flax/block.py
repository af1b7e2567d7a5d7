"""One nnx module as one layer."""

from collections.abc import Callable

import jax
from flax import nnx

from bioplaus.layers.convolution import convolve
from bioplaus.layers.flax.feedback import HOOKS, use_feedback
from bioplaus.local import by_vjp
from bioplaus.neurons import identity
from bioplaus.types import Array, Key, Layer, PyTree

Source = nnx.Module | Callable[..., nnx.Module]


def layer_of(source: Source, module: nnx.Module, position: int) -> Layer:
    """The layer of one module. source: the module itself, or the callable that makes it, argument
    number `position` of `from_flax`. Only the shapes of `module` are read if source is a callable.
    """
    graph, variables, other = nnx.split(module, nnx.Param, ...)
    _refuse_other_state(other, module, position)
    hooked = [path for path, part in nnx.iter_modules(module) if isinstance(part, tuple(HOOKS))]
    # biases too: that of an attention's projection has two axes, [heads, d]
    replaceable = {(*path, name) for path in hooked for name in ("kernel", "bias")}
    tables = {
        (*path, "embedding")
        for path, part in nnx.iter_modules(module)
        if isinstance(part, nnx.Embed)
    }
    weights = {path for path, leaf in nnx.to_flat_state(variables) if leaf.ndim >= 2}
    without_hook = [name_of(path) for path in sorted(weights - replaceable - tables, key=str)]
    example = nnx.to_pure_dict(variables)

    def init(key, x):
        del x
        if source is module:
            return _shuffled(example, key)
        return nnx.to_pure_dict(nnx.state(created(source, key, position), nnx.Param))

    def synapse(params, state, x, key):
        del key
        return state, _merged(graph, params)(x)

    def credit(params, feedback, state, x, key, signal):
        del state, key

        def run(p, h):
            block = _merged(graph, p)
            if feedback is not params:
                use_feedback(block, nnx.merge(graph, feedback))
            return block(h)

        if without_hook and feedback is not params:
            raise ValueError(
                f"from_flax: argument {position}, {type(module).__name__}, has weights that"
                f" feedback weights cannot replace: {', '.join(without_hook)}; build it from"
                " nnx.Linear, LinearGeneral, Conv and Einsum, and nnx.Embed for a table that is"
                " added"
            )
        with jax.named_scope("credit"):
            return jax.vjp(run, params, x)[1](signal)

    simple = type(module) in HOOKS  # a single op, whose credit is that of `dense` and `conv`
    return Layer(
        init,
        synapse,
        by_vjp(synapse) if simple else credit,
        identity(),
        composite=not simple and len(replaceable & weights) > 1,
    )


def _refuse_other_state(other: nnx.State, module: nnx.Module, position: int) -> None:
    """Raise ValueError if a module has state that is not nnx.Param."""
    if foreign := [
        f"{name_of(path)} ({type(leaf).__name__})" for path, leaf in nnx.to_flat_state(other)
    ]:
        raise ValueError(
            f"from_flax: argument {position}, {type(module).__name__}, has state that is not"
            f" nnx.Param: {', '.join(foreign)}; use GroupNorm or LayerNorm in place of BatchNorm,"
            " and bp.synaptic_release or a noisy neuron in place of Dropout"
        )


def created(source: Callable[..., nnx.Module], seed: Key | int, position: int) -> nnx.Module:
    """A new module from a callable. Raises ValueError for anything else."""
    try:
        module = source(rngs=nnx.Rngs(seed))
    except TypeError as error:
        raise ValueError(
            f"from_flax: argument {position} could not be called as f(rngs=nnx.Rngs(0)): {error};"
            " give an nnx module, a callable rngs -> module, or a neuron (an activation function"
            " is a neuron: bp.rate(f))"
        ) from error
    if not isinstance(module, nnx.Module):
        raise ValueError(
            f"from_flax: argument {position} returned {type(module).__name__}, expected an nnx"
            " module"
        )
    return module


def _shuffled(params: PyTree, key: Key) -> PyTree:
    """The parameters with the entries of each leaf of two axes or more in a random order."""
    leaves, tree = jax.tree.flatten(params)

    def draw(i, w):
        return (
            jax.random.permutation(jax.random.fold_in(key, i), w.ravel()).reshape(w.shape)
            if w.ndim >= 2
            else w
        )

    return tree.unflatten([draw(i, w) for i, w in enumerate(leaves)])


def _merged(graph, params: PyTree) -> nnx.Module:
    """The module with these parameters. Its plain convolutions over images are computed by
    `bioplaus.layers.convolution`, as those of `bp.conv` are.
    """
    module = nnx.merge(graph, params)
    for _, part in nnx.iter_modules(module):
        if isinstance(part, nnx.Conv) and part.conv_general_dilated is jax.lax.conv_general_dilated:
            part.conv_general_dilated = _convolved
    return module


def _convolved(x: Array, w: Array, strides, padding, *, dimension_numbers, **options) -> Array:
    """A module's convolution, by `convolve` if all other options have their defaults."""
    defaults = {
        "lhs_dilation": (1, 1),
        "rhs_dilation": (1, 1),
        "feature_group_count": 1,
        "precision": None,
        "out_sharding": None,
    }
    if options != defaults:
        return jax.lax.conv_general_dilated(
            x, w, strides, padding, dimension_numbers=dimension_numbers, **options
        )
    return convolve(
        x, w, tuple(strides), padding if isinstance(padding, str) else tuple(map(tuple, padding))
    )


def name_of(path: tuple) -> str:
    return ".".join(map(str, path))
