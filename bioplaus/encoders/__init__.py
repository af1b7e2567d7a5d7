"""Encoders: inputs x [B, ...] as sequences [B, T, ...], of spikes or of values.

    net = bp.encoders.in_front(net, bp.encoders.bernoulli(steps=25))
    rule = bp.rules.backprop(net, bp.cross_entropy)    # a batch's x is what the encoder takes

or `encoded(factory, encoder)`, which does the same to the net of a rule.

    encoder     x                moments
    constant    [B, ...]         the value x itself, at all T moments
    bernoulli   [B, ...] 0 to 1  spikes with probability p x
    poisson     [B, ...] 0 to 1  spikes of a Poisson process of the rate r x Hz
    latency     [B, ...] 0 to 1  one spike, the sooner the larger x
    rank_order  [B, ...]         one spike, in the order of x, largest first
    delta       [B, T, ..., n]   ON and OFF spikes where x has changed by more than a threshold
    rows        [B, H, W, ...]   the rows of an image, one after the other

Spikes are 0 or 1, in the dtype of x. For those of 0 to 1, a value outside counts as the nearer end.
They are drawn anew in each step, from the key of the net's first layer: a data set is stored once,
and not once for each moment. `decode` of an encoder gives what its moments tell of x.

Spikes have no derivative by x; gradients by the input, as attacks use them, take that of a mean:
for noisy encoders of the expected value of each moment, for others as each states.
ENCODERS: name -> factory, (hyperparameters) -> Encoder.
"""

from collections.abc import Callable

from bioplaus.encoders.chance import bernoulli, poisson
from bioplaus.encoders.changes import delta
from bioplaus.encoders.exact import constant, rows
from bioplaus.encoders.front import encoded, in_front, received, without_encoder
from bioplaus.encoders.timed import latency, rank_order
from bioplaus.types import Encoder

ENCODERS: dict[str, Callable[..., Encoder]] = {
    "constant": constant,
    "bernoulli": bernoulli,
    "poisson": poisson,
    "latency": latency,
    "rank_order": rank_order,
    "delta": delta,
    "rows": rows,
}

__all__ = [
    "ENCODERS",
    "bernoulli",
    "constant",
    "delta",
    "encoded",
    "in_front",
    "latency",
    "poisson",
    "rank_order",
    "received",
    "rows",
    "without_encoder",
]
