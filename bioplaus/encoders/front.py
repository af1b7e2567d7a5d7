"""An encoder in front of a net.

It is part of the synapses of the net's first layer: these receive x, and send into the neurons what
the spikes of x send. So a net with an encoder in front is a net whose inputs are x, and rules,
modulators, training, attacks and measures, which call `net.forward` themselves, work on it as they
are. A wrapper of rules alone would leave every one of those callers to encode for itself.

`bioplaus.entry.learning_rule` encodes once for each call and gives the rule the moments and the net
without its encoder: rules that change inputs or give layers others of their own change moments.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from bioplaus.net import layer_key, time_step
from bioplaus.salts import ENCODER, SYNAPSE
from bioplaus.types import Array, Encoder, Key, Layer, Net, RuleFactory


def in_front(net: Layer | Sequence[Layer], encoder: Encoder) -> Net:
    """The net whose inputs are those of the encoder, and no longer sequences.

    Parameters keep their shapes. The encoder takes the net's length of a moment. Each call draws
    anew from its key, and credit sees the spikes of the forward pass; `bp.noise_mode(net, "off")`
    and "mean" send the expected value of each moment. For `bp.advance` each x is a presentation of
    its own, of as many moments as the encoder makes of it.

        layer = bp.over_time(bp.flattened(bp.dense(100, bp.lif())))    # the x are images
        net = bp.encoders.in_front((layer, readout), bp.encoders.bernoulli(steps=25))

    Raises ValueError if the first layer is one of a single moment, or has an encoder already, and
    for what is no encoder.
    """
    if not isinstance(encoder, Encoder):
        raise ValueError(
            f"in_front: got {getattr(encoder, '__name__', repr(encoder))}, expected an encoder, as"
            " bp.encoders.bernoulli(steps=25)"
        )
    first, *others = (net,) if isinstance(net, Layer) else net
    dt = time_step((first, *others))
    if first.time is None or dt is None:
        raise ValueError(
            "in_front: an encoder makes sequences, and the net's first layer is one of a single"
            " moment; give bp.over_time(layer) or bp.recurrent(layer, back)"
        )
    if first.time.encoder is not None:
        raise ValueError("in_front: the net has an encoder in front already; give it without")
    return (_encoded(first, encoder.at(dt) if encoder.at else encoder), *others)


def encoded(factory: RuleFactory, encoder: Encoder) -> RuleFactory:
    """The factory of rules on a net with the encoder in front: factory(in_front(net, encoder), ..).

    Everything else that takes the net, such as `bp.init`, `make_train` or a measure, needs
    `in_front(net, encoder)` too.

        rule = encoded(bp.rules.backprop, bernoulli(steps=25))(net, bp.cross_entropy)
    """

    @functools.wraps(factory)
    def made(net: Net, loss, *args: Any, **hyper: Any):
        return factory(in_front(net, encoder), loss, *args, **hyper)

    return made


def without_encoder(net: Net) -> Net:
    """The net that takes `received(net, x, key)` in place of x: as it was before `in_front`.

    bare = without_encoder(in_front(net, bernoulli(steps=25)))
    """
    time = net[0].time
    return net if time is None or time.bare is None else (time.bare, *net[1:])


def received(net: Net, x: Array, key: Key) -> Array:
    """What the net's first layer receives in `forward(net, params, x, key)`: x, or its moments.

    moments = received(in_front(net, bernoulli(steps=25)), x, key)
    """
    time = net[0].time
    if time is None or time.encoder is None:
        return x
    return _moments(time.encoder, x, jax.random.fold_in(layer_key(key, 0), SYNAPSE))


def _moments(encoder: Encoder, x: Array, key: Key, t: Array | int = 0) -> Array:
    """key: of the synapses. t: number of the moment at which this presentation begins."""
    return encoder.encode(x, jax.random.fold_in(jax.random.fold_in(key, ENCODER), t))


def _encoded(layer: Layer, encoder: Encoder) -> Layer:
    time = layer.time
    assert time is not None

    def zeros(x):
        """Moments for their shape alone."""
        like = jax.eval_shape(lambda: _moments(encoder, x, jax.random.key(0)))
        return jnp.zeros(like.shape, like.dtype)

    def synapse(params, heard, x, key):
        return layer.synapse(params, heard, _moments(encoder, x, key), key)

    def credit(params, feedback, heard, x, key, signal):
        moments, back = jax.vjp(lambda x: _moments(encoder, x, key), x)
        grads, below = layer.credit(params, feedback, heard, moments, key, signal)
        with jax.named_scope("credit"):
            return grads, back(below)[0]

    def run(params, past, x, key):
        t = 0 if past is None else past.t
        return time.run(
            params, past, _moments(encoder, x, jax.random.fold_in(key, SYNAPSE), t), key
        )

    def changed(make: Any) -> Any:
        return lambda change: _encoded(make(change), encoder)

    noisy, given = layer.off is not None or encoder.mean is not None, layer.given
    return layer._replace(
        init=lambda key, x: layer.init(key, zeros(x)),
        synapse=synapse,
        credit=credit,
        off=_encoded(layer.off or layer, encoder.mean or encoder) if noisy else None,
        affine=False,
        given=given and (lambda context: _encoded(given(context), encoder)),
        time=time._replace(
            lift=changed(time.lift),
            gained=changed(time.gained),
            start=lambda params, x: time.start(params, zeros(x)),
            run=run,
            encoder=encoder,
            bare=layer,
        ),
    )
