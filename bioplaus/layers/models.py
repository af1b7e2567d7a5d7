"""Ready-made nets."""

from collections.abc import Sequence

from bioplaus.layers.basic import Initializer, conv, dense, flattened, pooled, settling
from bioplaus.neurons import tanh
from bioplaus.types import Net, Neuron


def mlp(
    sizes: Sequence[int],
    neuron: Neuron | None = None,
    *,
    output: Neuron | None = None,
    weights: Initializer = settling,
) -> Net:
    """Dense layers of sizes [n_in, n_1, ..., C].

    The hidden layers have `neuron` (tanh), the last has `output` (linear).

    x: [B, n_in], or images, which are flattened. W ~ N(0, 0.25 / fan_in) and b = 0, unless
    `weights` is another initialiser. Raises ValueError for fewer than two sizes or a size below 1.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(
            f"mlp: got sizes {list(sizes)}; give at least [inputs, outputs], each 1 or more"
        )
    neuron = neuron or tanh()
    layers = [dense(n, neuron, weights=weights) for n in sizes[1:-1]] + [
        dense(sizes[-1], output, weights=weights)
    ]
    return (_sized(flattened(layers[0]), sizes[0]), *layers[1:])


def _sized(layer, n: int):
    def init(key, x):
        if x.size // x.shape[0] != n:
            raise ValueError(
                f"mlp: built for {n} inputs, but x {x.shape} has {x.size // x.shape[0]} per example"
            )
        return layer.init(key, x)

    return layer._replace(init=init)


def cnn(
    classes: int,
    neuron: Neuron | None = None,
    *,
    output: Neuron | None = None,
    padding: int = 2,
    weights: Initializer = settling,
) -> Net:
    """A convolutional net in the shape of LeNet-5.

    Its layers are conv 6 5x5, pool 2, conv 16 5x5, pool 2, dense 120, dense 84 and dense `classes`,
    with `neuron` (tanh) in the hidden layers and `output` (linear) in the last.

    x: [B, H, W, C]. padding: 2 extends 28x28 to the 32x32 of the paper; 0 is for images of 32x32.
    LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998,
    doi:10.1109/5.726791. Departures: one type of neuron throughout, max pooling, full connections,
    no radial basis functions.
    """
    neuron = neuron or tanh()
    return (
        conv(6, 5, neuron, padding=padding, weights=weights),
        pooled(2, conv(16, 5, neuron, weights=weights)),
        pooled(2, flattened(dense(120, neuron, weights=weights))),
        dense(84, neuron, weights=weights),
        dense(classes, output, weights=weights),
    )
