"""Ours: a rule by its key, in the library's training run; all seeds of a task in one program."""

import functools
import time

import jax
import optax
from flax import nnx
from serve import images, serve, spikes, task

import bioplaus as bp
from bioplaus.layers.flax import from_flax
from bioplaus.study.optimisers import by_largest
from bioplaus.study.tables import OptimiserSpec
from bioplaus.train import make_train, replicate, seed_keys


class Residual(nnx.Module):
    """conv(relu(conv(x))) + x, the current of the neurons that follow.

    With a stride, the second x is every other pixel of the first, and new channels are 0.
    """

    def __init__(self, channels: int, n: int, stride: int, rngs: nnx.Rngs):
        self.first = nnx.Conv(channels, n, (3, 3), strides=stride, padding=1, rngs=rngs)
        self.second = nnx.Conv(n, n, (3, 3), padding=1, rngs=rngs)
        self.more, self.stride = n - channels, stride

    def __call__(self, x):
        past = jax.numpy.pad(
            x[:, :: self.stride, :: self.stride], ((0, 0),) * 3 + ((0, self.more),)
        )
        return self.second(jax.nn.relu(self.first(x))) + past


def net_of(t: dict) -> bp.Net:
    """The net of a task: spiking, a perceptron, LeNet-5, a ResNet or a single convolution.

    The ResNet has no normalisation. The convolution has a readout of each channel's mean.
    """
    if "moments" in t:
        fast = bp.neurons.fast_sigmoid(25.0)
        _, hidden, classes = t["sizes"]
        return (
            bp.over_time(bp.dense(hidden, bp.lif(20.0, surrogate=fast))),
            bp.over_time(bp.dense(classes, bp.leaky(20.0))),
        )
    neuron, classes = bp.neurons.NEURONS[t.get("neuron", "tanh")](), t["sizes"][-1]
    if "blocks" in t:
        blocks = [
            part for shape in t["blocks"] for part in (functools.partial(Residual, *shape), neuron)
        ]
        readout = bp.pooled(8, bp.flattened(bp.dense(classes)), pool=jax.numpy.mean)
        return (bp.conv(t["blocks"][0][0], 3, neuron, padding=1), *from_flax(*blocks), readout)
    if "channels" in t:
        readout = bp.pooled(t["image"][0], bp.flattened(bp.dense(classes)), pool=jax.numpy.mean)
        return (bp.conv(t["channels"], 5, neuron, padding=2), readout)
    return bp.layers.cnn(classes, neuron, padding=0) if "image" in t else bp.mlp(t["sizes"], neuron)


def in_pieces(rule: bp.Rule, moments: int) -> bp.Rule:
    """The rule on streams: its gradients of pieces of this many moments, summed from rest on.

    It reports the signals of the last piece.
    """
    stream = rule.stream
    assert stream is not None

    def grad(params, state, batch, key, gate=None):
        pieces = jax.numpy.moveaxis(
            batch.x.reshape(len(batch.x), -1, moments, batch.x.shape[-1]), 1, 0
        )

        def one(carry, piece):
            streamed, total = carry
            grads, streamed, info = stream.grad(params, streamed, batch._replace(x=piece), key)
            return (streamed, jax.tree.map(jax.numpy.add, total, grads)), (
                info["loss"],
                info["signals"],
            )

        rest = stream.init(key, params, batch._replace(x=pieces[0]))._replace(learned=state)
        start = rest, jax.tree.map(jax.numpy.zeros_like, params)
        (last, total), (losses, signals) = jax.lax.scan(one, start, pieces)
        signals = jax.tree.map(lambda each: each[-1], signals)
        return total, last.learned, bp.types.Info(loss=losses.sum(), signals=signals)

    return bp.Rule(rule.init, grad, rule.predict)


t = task()
if "moments" in t:
    x, labels = spikes(t["moments"], t["sizes"][0], t["sizes"][-1], time_first=False)
    x = jax.numpy.asarray(x)
    loss = bp.at_each_moment(bp.cross_entropy)
else:
    x, labels = images(t["sizes"][0], t["sizes"][-1])
    x = jax.numpy.asarray(x).reshape(-1, *t.get("image", t["sizes"][:1]))
    loss = bp.mse if t["rule"] in ("pc", "ep") else bp.cross_entropy  # what the peers have
data = bp.Batch(x, jax.nn.one_hot(labels, t["sizes"][-1]))
net = net_of(t)
optimisers = {
    "adam": optax.adam(1e-3),
    "momentum": optax.sgd(1e-3, momentum=0.9),
    "largest": by_largest(optax.sgd(1e-3), OptimiserSpec(largest=0.08), 1),
}
tx = optimisers[t.get("optimiser", "adam")]
rule = bp.rules.RULES[t["rule"]](net, loss, **t.get("hyperparameters", {}))
if "pieces" in t:
    rule = in_pieces(rule, t["pieces"])
run = make_train(net, rule, tx, data, batch_size=t["batch"])
if "seeds" in t:
    run = replicate(run)
state = run.init(seed_keys(t["seeds"]) if "seeds" in t else jax.random.key(0))


def train(steps: int) -> None:
    global state
    state = jax.block_until_ready(run.advance(state, steps)[0])


clock = time.process_time if t.get("one_core") else time.perf_counter
serve(train, jax.default_backend(), "bioplaus", "jax", "jaxlib", clock=clock)
