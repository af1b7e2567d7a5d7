"""Layers built in flax.nnx: the only file that imports flax.

A module becomes one layer, however many weights it holds. Its parameters are a plain dict
(`nnx.split` once, `nnx.merge` inside the trace), and its output [B, ...] is the current of the
neuron that follows it. Feedback weights cross a block inside: at every product with a weight the
error returns through B in place of W,
    y = op(x, W),    dL/dx = (d op(x, B) / dx)^T dL/dy,    dL/dW = (d op(x, W) / dW)^T dL/dy
at the true activations; norms, attention and activations keep their true derivative. B = W is
backprop. The ops are exchanged through flax's own hooks (`dot_general`, `conv_general_dilated`,
`einsum_op`), in the credit alone.

Lillicrap, Cownden, Tweed, Akerman, "Random synaptic feedback weights support error backpropagation
for deep learning", 2016, doi:10.1038/ncomms13276.
Departures from the paper: convolutions, projections and einsums are treated as its dense layers
are.
"""

import functools
import inspect
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from bioplaus.layers.convolution import convolve
from bioplaus.local import by_vjp
from bioplaus.neurons import identity, rate
from bioplaus.types import Array, Key, Layer, Net, Neuron, PyTree

HOOKS = {
    nnx.Linear: "dot_general",
    nnx.LinearGeneral: "dot_general",
    nnx.Conv: "conv_general_dilated",
    nnx.Einsum: "einsum_op",
}
"""Modules with a `kernel` that feedback weights can replace, and the attribute that multiplies by
it.
"""


Source = nnx.Module | Callable[..., nnx.Module]


def from_flax(*modules: Source | Neuron, whole: bool = False) -> Net:
    """Layers from nnx modules, one each: a net, or a part of one, `(*from_flax(stem, bp.relu(),
    block), bp.flattened(bp.dense(10)))`.

    Each argument is a callable `rngs -> module`, such as `functools.partial(nnx.Linear, 64, 128)`;
    a module; or the neuron of the module before it (identity where there is none). Fresh parameters
    and feedback weights, `Layer.init`, are those of a new module for a callable. A module's own are
    shuffled within each leaf of two axes or more, which keeps their distribution but not
    orthogonality, and its other leaves kept; `nnx.to_pure_dict(nnx.state(module, nnx.Param))` are
    its own.

    An `nnx.Sequential` is split into its layers: each module one layer, each function after it its
    neuron, `bp.rate(f)`. Any other module that is the only argument and holds several weight arrays
    is refused: in a net of one layer all of it is taught by the error at its output, which is
    backprop under every rule without feedback weights. `whole=True` asks for it (and keeps an
    `nnx.Sequential` as one block too).

    A block is pulled by one vjp, in the scope 'credit'; a bare Linear, LinearGeneral, Conv or
    Einsum by two, as `dense` is. Feedback weights cross a first block inside as any other, although
    it sends nothing back to the data. Rules whose teaching signal is no error that feedback weights
    carry (dfa, pc, ep, ...) teach the output of a block, and it learns by backprop inside. Weights
    are to be used through their modules' own calls: one that is read as `block.linear.kernel` is
    transported.

    Raises ValueError for anything else; for a module given twice, or weights that two modules
    share, which would become two copies; for state other than nnx.Param, such as BatchNorm's
    statistics and Dropout's generator; and, when feedback weights are first used, for weights
    without a hook. Embed needs none, as long as it does not `attend`.
    """
    net, built = [], []
    for position, argument in enumerate(modules):
        if isinstance(argument, Neuron):
            if position == 0 or isinstance(modules[position - 1], Neuron):
                raise ValueError(
                    f"from_flax: argument {position} is a neuron that follows no module; give"
                    " module, neuron, ..."
                )
            net[-1] = net[-1]._replace(neuron=argument)
            continue
        if _of_linen(argument):
            raise ValueError(
                f"from_flax: argument {position} is of flax.linen, whose modules hold no weights;"
                " give modules of flax.nnx, as functools.partial(nnx.Linear, 64, 128)"
            )
        module = (
            argument
            if isinstance(argument, nnx.Module)
            else nnx.eval_shape(lambda a=argument, p=position: _made(a, 0, p))
        )
        if isinstance(module, nnx.Sequential) and not whole:
            layers, parts = _split(argument, module, position)
        else:
            layers, parts = [_layer(argument, module, position)], [module]
        net += layers
        built += parts
    _refuse_shared(built)
    if len(net) == 1 and not whole and (count := _weights(built[0])) > 1:
        raise ValueError(
            f"from_flax: {type(built[0]).__name__} holds {count} weight arrays, and a net of one"
            " layer learns by backprop under every rule without feedback weights; give its modules"
            " one by one, from_flax(first, bp.tanh(), second, ...), or as an nnx.Sequential, or"
            " ask for one block by from_flax(module, whole=True)"
        )
    return tuple(net)


def _split(
    source: Source, module: nnx.Sequential, position: int
) -> tuple[list[Layer], list[nnx.Module]]:
    """The layers of an nnx.Sequential, and its modules: the functions that follow a module are its
    neuron.
    """
    layers, parts, functions = [], [], []
    for i, part in enumerate(module.layers):
        if isinstance(part, nnx.Module):
            one = part if source is module else lambda rngs, i=i: source(rngs=rngs).layers[i]  # type: ignore[union-attr]
            layers.append(_layer(one, part, position))
            parts.append(part)
            functions = []
        elif layers:
            functions = [*functions, part]
            layers[-1] = layers[-1]._replace(neuron=rate(_in_turn(functions)))
        else:
            raise ValueError(
                f"from_flax: argument {position}, an nnx.Sequential, begins with a function; begin"
                " it with a module"
            )
    return layers, parts


def _of_linen(argument: object) -> bool:
    """Whether it is a linen module, its class, or a partial of it: told by where its classes are
    written, for linen is slow to import.
    """
    made = argument.func if isinstance(argument, functools.partial) else argument
    return any(
        c.__module__.startswith("flax.linen")
        for c in inspect.getmro(made if isinstance(made, type) else type(made))
    )


def _in_turn(functions: list[Callable[[Array], Array]]) -> Callable[[Array], Array]:
    return lambda x: functools.reduce(lambda h, f: f(h), functions, x)


def _weights(module: nnx.Module) -> int:
    """How many weight arrays it holds, biases not counted: a projection's bias has two axes as
    well.
    """
    own = nnx.to_flat_state(nnx.state(module, nnx.Param))
    return sum(leaf.ndim >= 2 and path[-1] != "bias" for path, leaf in own)


def _refuse_shared(modules: list[nnx.Module]) -> None:
    """Raise ValueError where two of the modules hold one variable: as layers they would be two
    copies that learn apart.
    """
    held: dict[int, str] = {}
    for i, module in enumerate(modules):
        own = {
            id(v): _name(path) for path, v in nnx.iter_graph(module) if isinstance(v, nnx.Variable)
        }
        if twice := own.keys() & held.keys():
            raise ValueError(
                f"from_flax: module {i}, {type(module).__name__}, shares"
                f" {', '.join(sorted(own[v] for v in twice))} with a module before it, and as"
                " layers they would be two copies that learn apart; give each layer weights of its"
                " own, or put both into one block, a module of yours that calls them"
            )
        held |= own


def _layer(source: Source, module: nnx.Module, position: int) -> Layer:
    graph, own, other = nnx.split(module, nnx.Param, ...)
    if foreign := [
        f"{_name(path)} ({type(leaf).__name__})" for path, leaf in nnx.to_flat_state(other)
    ]:
        raise ValueError(
            f"from_flax: argument {position}, {type(module).__name__}, has state that is not"
            f" nnx.Param: {', '.join(foreign)}; use GroupNorm or LayerNorm in place of BatchNorm,"
            " and bp.synaptic_release or a noisy neuron in place of Dropout"
        )
    hooked = [path for path, part in nnx.iter_modules(module) if isinstance(part, tuple(HOOKS))]
    # a projection's bias has two axes, [heads, d]
    crossed = {(*path, name) for path in hooked for name in ("kernel", "bias")}
    tables = {
        (*path, "embedding")
        for path, part in nnx.iter_modules(module)
        if isinstance(part, nnx.Embed)
    }
    weights = {path for path, leaf in nnx.to_flat_state(own) if leaf.ndim >= 2}
    bare = [_name(path) for path in sorted(weights - crossed - tables, key=str)]
    example = nnx.to_pure_dict(own)

    def init(key, x):
        del x
        if source is module:
            return _shuffled(example, key)
        return nnx.to_pure_dict(nnx.state(_made(source, key, position), nnx.Param))

    def synapse(params, state, x, key):
        del key
        return state, _merged(graph, params)(x)

    def credit(params, feedback, state, x, key, signal):
        del state, key

        def run(p, h):
            block = _merged(graph, p)
            if feedback is not params:
                _cross(block, nnx.merge(graph, feedback))
            return block(h)

        if bare and feedback is not params:
            raise ValueError(
                f"from_flax: argument {position}, {type(module).__name__}, has weights that"
                f" feedback cannot cross: {', '.join(bare)}; build it from nnx.Linear,"
                " LinearGeneral, Conv and Einsum (a table that is added: nnx.Embed)"
            )
        with jax.named_scope("credit"):
            return jax.vjp(run, params, x)[1](signal)

    simple = type(module) in HOOKS
    return Layer(
        init,
        synapse,
        by_vjp(synapse) if simple else credit,
        identity(),
        composite=not simple and len(crossed & weights) > 1,
    )


def _merged(graph, params: PyTree) -> nnx.Module:
    """The module, whose plain convolutions over images are computed as the library's own are
    (`bioplaus.layers.convolution`).
    """
    module = nnx.merge(graph, params)
    for _, part in nnx.iter_modules(module):
        if isinstance(part, nnx.Conv) and part.conv_general_dilated is jax.lax.conv_general_dilated:
            part.conv_general_dilated = _convolved
    return module


def _convolved(x: Array, w: Array, strides, padding, *, dimension_numbers, **options) -> Array:
    usual = {
        "lhs_dilation": (1, 1),
        "rhs_dilation": (1, 1),
        "feature_group_count": 1,
        "precision": None,
        "out_sharding": None,
    }
    if options != usual:
        return jax.lax.conv_general_dilated(
            x, w, strides, padding, dimension_numbers=dimension_numbers, **options
        )
    return convolve(
        x, w, tuple(strides), padding if isinstance(padding, str) else tuple(map(tuple, padding))
    )


def _made(source: Callable[..., nnx.Module], seed: Key | int, position: int) -> nnx.Module:
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
    leaves, tree = jax.tree.flatten(params)

    def draw(i, w):
        return (
            jax.random.permutation(jax.random.fold_in(key, i), w.ravel()).reshape(w.shape)
            if w.ndim >= 2
            else w
        )

    return tree.unflatten([draw(i, w) for i, w in enumerate(leaves)])


def _cross(block: nnx.Module, twin: nnx.Module) -> None:
    """Let every error that passes a hooked op of `block` on the way back pass the kernel of its
    twin.
    """
    for (_, part), (_, other) in zip(nnx.iter_modules(block), nnx.iter_modules(twin), strict=True):
        if isinstance(part, nnx.Embed):
            part.attend = _no_attend
        for kind, name in HOOKS.items():
            if isinstance(part, kind):
                op = getattr(part, name) or jax.lax.dot_general
                if isinstance(part, nnx.LinearGeneral) and part.dot_general_cls is not None:
                    op, part.dot_general_cls = part.dot_general_cls(), None
                setattr(
                    part,
                    name,
                    _crossed(op, vars(other)["kernel"][...], 1 if kind is nnx.Einsum else 0),
                )


def _crossed(op: Callable[..., Array], b: Array, at: int) -> Callable[..., Array]:
    """op, with b in place of w on the way back to x. x and w are arguments `at` and `at + 1`;
    flax's others pass untouched.
    """

    def hook(*args, **options):
        def plain(x, w):
            return op(*args[:at], x, w, *args[at + 2 :], **options)

        @jax.custom_vjp
        def crossed(x, w, b):
            del b
            return plain(x, w)

        def forward(x, w, b):
            return plain(x, w), (x, w, b)

        def backward(saved, error):
            x, w, b = saved
            to_w = jax.vjp(lambda w: plain(x, w), w)[1](error)[0]
            with jax.named_scope("feedback"):
                to_x = jax.vjp(lambda x: plain(x, b), x)[1](error)[0]
            return to_x, to_w, jnp.zeros_like(b)

        crossed.defvjp(forward, backward)
        x, w = args[at : at + 2]
        return crossed(x, w, b.astype(w.dtype))

    return hook


def _no_attend(query: Array, out_sharding=None) -> Array:
    del query, out_sharding
    raise ValueError(
        "from_flax: Embed.attend multiplies by the table, which feedback cannot cross; use a Linear"
        " as the readout"
    )


def _name(path: tuple) -> str:
    return ".".join(map(str, path))
