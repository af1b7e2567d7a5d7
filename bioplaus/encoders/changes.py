"""An encoder of changes: a sequence of values as ON and OFF spikes, as an event camera sends."""

import jax
import jax.numpy as jnp

from bioplaus.encoders.values import check_real, straight_through
from bioplaus.hyper import Positive, declared
from bioplaus.types import Array, Encoder


@declared
def delta(threshold: Positive = 0.1) -> Encoder:
    """Spikes where a sequence has changed by more than a threshold since the last spike.

    x: [B, T, ..., n], moments [B, T, ..., 2 n]: n ON channels, then n OFF channels.
        on_t = 1 if x_t - r > theta,   off_t = 1 if r - x_t > theta,   r <- r + theta (on_t - off_t)
    r: what the receiver knows, x_1 at first;  theta: threshold. A moment has one spike at most. If
    no step of x is larger than theta, r stays within theta of x; after a larger one it follows at
    theta a moment.

    The derivative by x is that of the expected spikes of a step: on_t as max(0, x_t - x_{t-1}) /
    theta, off_t as max(0, x_{t-1} - x_t) / theta. `decode` gives r_t - x_1 [B, T, ..., n], the
    change since the first moment. Lichtsteiner, Posch, Delbruck, "A 128x128 120 dB 15 us Latency
    Asynchronous Temporal Contrast Vision Sensor", 2008, doi:10.1109/JSSC.2007.914337.

    Raises ValueError for inputs that are not sequences.

        in_front(net, delta(threshold=0.1))
    """

    def value(x: Array, key) -> Array:
        del key
        check_real("delta", x)
        if x.ndim < 3:
            raise ValueError(f"delta: the input is {x.shape}, expected sequences [B, T, ..., n]")

        def step(r, x):
            on, off = ((change > threshold).astype(x.dtype) for change in (x - r, r - x))
            return r + threshold * (on - off), jnp.concatenate([on, off], -1)

        _, moments = jax.lax.scan(step, x[:, 0], jnp.moveaxis(x, 1, 0))
        return jnp.moveaxis(moments, 0, 1)

    def expected(x: Array) -> Array:
        steps = jnp.diff(x, axis=1, prepend=x[:, :1]) / threshold
        return jnp.concatenate([jnp.maximum(0, steps), jnp.maximum(0, -steps)], -1)

    def decode(moments: Array) -> Array:
        on, off = jnp.split(moments, 2, -1)
        return jnp.cumsum(on - off, 1) * threshold

    return Encoder(straight_through(value, expected), decode, sequences=True)
