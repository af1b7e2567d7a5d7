"""Nets from nnx modules: which module becomes which layer, and what is refused."""

import functools
import inspect
from collections.abc import Callable

from flax import nnx

from bioplaus.layers.flax.block import Source, created, layer_of, name_of
from bioplaus.neurons import rate
from bioplaus.types import Array, Layer, Net, Neuron


def from_flax(*modules: Source | Neuron, whole: bool = False) -> Net:
    """Layers from nnx modules, one each. The result is a net, or a part of one: `(*from_flax(stem,
    bp.relu(), block), bp.flattened(bp.dense(10)))`.

    Each argument is a callable `rngs -> module`, such as `functools.partial(nnx.Linear, 64, 128)`;
    a module; or the neuron of the module before it (a module without one has the identity).

    Parameters and feedback weights come from `Layer.init`. For a callable they are those of a new
    module. For a module they are its weights, shuffled within each leaf of two axes or more, which
    keeps their distribution but not orthogonality; its other leaves are kept. To start from the
    module's weights as they are, use `nnx.to_pure_dict(nnx.state(module, nnx.Param))`.

    An `nnx.Sequential` is split into its layers: each module is one layer, and each function after
    a module is its neuron, `bp.rate(f)`. Any other module that is the only argument and holds
    several weight arrays is refused: in a net of one layer, all of it learns from the error at its
    output, which is backprop under every rule without feedback weights. `whole=True` allows it (and
    keeps an `nnx.Sequential` as one block too).

    A block's gradient is computed by one vjp, in the scope 'credit'; that of a single Linear,
    LinearGeneral, Conv or Einsum by two, as for `dense`. A first block uses feedback weights inside
    as any other, although it sends nothing back to the data. Rules whose teaching signal is not an
    error that feedback weights carry (dfa, pc, ep, ...) teach the output of a block, and inside it
    learns by backprop. Weights must be used by calling their module: one that is read as
    `block.linear.kernel` counts as transported.

    Raises ValueError for anything else; for a module given twice, or weights that two modules
    share, which would become two copies; for state other than nnx.Param, such as BatchNorm's
    statistics and Dropout's generator; and, when feedback weights are first used, for weights
    without a hook. Embed needs none, as long as its `attend` is not called.
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
        else:
            layers, parts = _layers(argument, position, whole)
            net += layers
            built += parts
    _refuse_shared(built)
    if len(net) == 1 and not whole:
        _refuse_several_weights(built[0])
    return tuple(net)


def _layers(argument: Source, position: int, whole: bool) -> tuple[list[Layer], list[nnx.Module]]:
    """The layers of one argument of `from_flax`, and their modules."""
    if _of_linen(argument):
        raise ValueError(
            f"from_flax: argument {position} is of flax.linen, whose modules hold no weights;"
            " give modules of flax.nnx, as functools.partial(nnx.Linear, 64, 128)"
        )
    module = (
        argument
        if isinstance(argument, nnx.Module)
        else nnx.eval_shape(lambda: created(argument, 0, position))
    )
    if isinstance(module, nnx.Sequential) and not whole:
        return _split(argument, module, position)
    return [layer_of(argument, module, position)], [module]


def _split(
    source: Source, module: nnx.Sequential, position: int
) -> tuple[list[Layer], list[nnx.Module]]:
    """The layers of an nnx.Sequential, and its modules. The functions that follow a module are its
    neuron.
    """
    layers, parts, functions = [], [], []
    for i, part in enumerate(module.layers):
        if isinstance(part, nnx.Module):
            one = part if source is module else lambda rngs, i=i: source(rngs=rngs).layers[i]  # type: ignore[union-attr]
            layers.append(layer_of(one, part, position))
            parts.append(part)
            functions = []
        elif layers:
            functions = [*functions, part]
            layers[-1] = layers[-1]._replace(neuron=rate(_chained(functions)))
        else:
            raise ValueError(
                f"from_flax: argument {position}, an nnx.Sequential, begins with a function; begin"
                " it with a module"
            )
    return layers, parts


def _of_linen(argument: object) -> bool:
    """Whether the argument is a linen module, its class, or a partial of it. Decided by the names
    of the modules that define its classes, because linen is slow to import.
    """
    made = argument.func if isinstance(argument, functools.partial) else argument
    return any(
        c.__module__.startswith("flax.linen")
        for c in inspect.getmro(made if isinstance(made, type) else type(made))
    )


def _chained(functions: list[Callable[[Array], Array]]) -> Callable[[Array], Array]:
    return lambda x: functools.reduce(lambda h, f: f(h), functions, x)


def _refuse_several_weights(module: nnx.Module) -> None:
    """Raise ValueError if the module holds several weight arrays. Biases are not counted: they are
    told by their name, because a projection's bias has two axes too.
    """
    params = nnx.to_flat_state(nnx.state(module, nnx.Param))
    count = sum(leaf.ndim >= 2 and path[-1] != "bias" for path, leaf in params)
    if count > 1:
        raise ValueError(
            f"from_flax: {type(module).__name__} holds {count} weight arrays, and a net of one"
            " layer learns by backprop under every rule without feedback weights; give its modules"
            " one by one, from_flax(first, bp.tanh(), second, ...), or as an nnx.Sequential, or"
            " ask for one block by from_flax(module, whole=True)"
        )


def _refuse_shared(modules: list[nnx.Module]) -> None:
    """Raise ValueError if two of the modules share a variable.

    As layers, each would learn a copy of it.
    """
    held: dict[int, str] = {}
    for i, module in enumerate(modules):
        names = {
            id(v): name_of(path)
            for path, v in nnx.iter_graph(module)
            if isinstance(v, nnx.Variable)
        }
        if twice := names.keys() & held.keys():
            raise ValueError(
                f"from_flax: module {i}, {type(module).__name__}, shares"
                f" {', '.join(sorted(names[v] for v in twice))} with a module before it, and as"
                " layers each would learn a copy; give each layer other weights, or put both"
                " modules into one block: a module that calls them"
            )
        held |= names
