"""Robustness curves: accuracy as a function of the severity of a disturbance.

The trained net is disturbed and not retrained.

A `Disturbance` says how a net, its weights or its input are changed. `curve` measures the accuracy
at each severity, averaged over draws. `CURVES` holds the disturbances that a study can name. jit
and vmap (over seeds) apply, and all severities and draws are one program.

A random disturbance depends only on `key` and on shapes, so that every rule meets the same one at a
given key. Within a draw all severities share one sample, so that a larger lesion contains the
smaller ones. Severity 0 is the net itself.

rebuild: (net) -> predict, the rule's answer on another net of the same shapes: `lambda n:
factory(n, loss, **hyper).predict`. So a rule that settles also settles in the lesioned net. A net
with noise answers with a fresh noise sample in each draw.

Of a net over time the inputs are sequences [B, T, ...], and a disturbance of the input acts on each
moment as on an example of its own. An encoder in front makes sequences of inputs that are none, and
a disturbance acts on those.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.context import in_context
from bioplaus.hyper import Count, declared
from bioplaus.measure.accuracy import answered
from bioplaus.measure.robustness import shifts, spikes, synapses, units
from bioplaus.measure.robustness.attacks.common import BOUNDS, check_bounds
from bioplaus.outputs import Kind, correct
from bioplaus.salts import ANSWER, DISTURB
from bioplaus.types import Array, Batch, Key, Loss, Net, PyTree

DRAWS = 20

Rebuild = Callable[[Net], Callable[..., Array]]
Disturbed = tuple[Net, PyTree, Array]
"""(net, params, x)."""


class Disturbance(NamedTuple):
    """A way to disturb a net. perturb: (net, params, x, key) -> (severity -> (net, params, x)); the
    severity may be traced.

    severities: rising from 0, which changes nothing. unit: their unit. random: whether draws
    differ; if not, one is enough. of_range: whether severities are fractions of the range of the
    inputs; `perturb` then takes them in units of the input. of_sequence: whether `perturb` takes
    whole sequences x [B, T, ...]; else it takes moments as examples [B T, ...], if it disturbs x.
    """

    perturb: Callable[[Net, PyTree, Array, Key], Callable[[ArrayLike], Disturbed]]
    severities: tuple[float, ...]
    unit: str
    random: bool = True
    of_range: bool = False
    of_sequence: bool = True


def disturbed(
    by: Disturbance, net: Net, params: PyTree, x: Array, key: Key
) -> Callable[[ArrayLike], Disturbed]:
    """severity -> (net, params, x): what a disturbance makes of a net and its inputs."""
    time = net[0].time if net else None
    if by.of_sequence or time is None or time.encoder is not None:
        return by.perturb(net, params, x, key)
    at = by.perturb(net, params, x.reshape(-1, *x.shape[2:]), key)

    def whole(severity):
        changed, weights, moments = at(severity)
        return changed, weights, moments.reshape(x.shape)

    return whole


@declared
def curve(
    rebuild: Rebuild,
    disturbance: Disturbance,
    net: Net,
    params: PyTree,
    state: PyTree,
    batch: Batch,
    key: Key,
    *,
    severities: Sequence[float] | None = None,
    draws: Count = DRAWS,
    bounds: tuple[float, float] = BOUNDS,
    loss: Loss | Kind = "logits",
) -> Array:
    """Accuracy [K] of the rule under a disturbance, averaged over draws.

    severities: K of them; None for those of the disturbance.

    loss: declares the outputs, see `measure.accuracy`. bounds: smallest and largest value of the
    inputs, for a disturbance whose severities are fractions of their range. Raises ValueError if
    such a disturbance meets inputs outside of their bounds; inside jit their values are not known
    and not checked. An answer of NaN counts as wrong: a net that diverges under a disturbance is
    not robust to it.
    """
    if disturbance.of_range:
        check_bounds(batch.x, bounds)
    unit = bounds[1] - bounds[0] if disturbance.of_range else 1.0
    there = in_context(net, batch.context)

    def draw(d):
        k = jax.random.fold_in(key, d)
        at = disturbed(disturbance, there, params, batch.x, jax.random.fold_in(k, DISTURB))

        def answers(severity):
            changed, weights, x = at(severity)

            def answer(x, key, **asked):
                return rebuild(changed)(weights, state, x, key, batch.context, **asked)

            seen = batch._replace(x=x)
            return correct(*answered(answer, seen, jax.random.fold_in(k, ANSWER), loss), loss)

        return jax.lax.map(
            answers, unit * jnp.asarray(severities or disturbance.severities, batch.x.dtype)
        )

    return jax.lax.map(draw, jnp.arange(draws if disturbance.random else 1)).mean((0, 2))


def input_noise(net: Net, params: PyTree, x: Array, key: Key) -> Callable[[ArrayLike], Disturbed]:
    """x + sigma xi, not clipped. xi: standard normal; sigma: in units of x."""
    xi = jax.random.normal(key, x.shape, x.dtype)
    return lambda sigma: (net, params, x + sigma * xi)


INPUT_NOISE = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
SIGMA = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
FRACTION = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
DEGREES = (0.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.0)
SHARE = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9)
JITTER = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
INVERTED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
# 0, and 2^(1 - bits) for 8, 6, 5, 4, 3, 2 and 1 bits
STEP = (0.0, 2**-7, 2**-5, 2**-4, 2**-3, 2**-2, 2**-1, 1.0)

LAYERS = 8  # number of hidden layers that have a curve of lesions in that layer alone
_LOST, _FAULTY = "hidden units lesioned (fraction)", "synapses (fraction)"
_RELATIVE, _BITS = "weight noise (standard deviation / weight)", "rounding step, 2^(1 - bits)"

CURVES: Mapping[str, Disturbance] = {
    "input_noise": Disturbance(
        input_noise,
        INPUT_NOISE,
        "input noise (standard deviation / range of the inputs)",
        of_range=True,
        of_sequence=False,
    ),
    "weight_noise": Disturbance(
        synapses.weight_noise, SIGMA, "weight noise (standard deviation / rms weight)"
    ),
    "lesion": Disturbance(units.lesion, FRACTION, _LOST),
    "compensated_lesion": Disturbance(units.compensated_lesion, FRACTION, _LOST),
    "targeted_lesion": Disturbance(
        units.targeted_lesion, FRACTION, f"most useful {_LOST}", random=False
    ),
    "synapse_lesion": Disturbance(synapses.lesion, FRACTION, f"lesioned {_FAULTY}"),
    "pruning": Disturbance(synapses.pruning, FRACTION, f"smallest {_FAULTY} pruned", random=False),
    "stuck_at_most": Disturbance(
        synapses.stuck_at_most, FRACTION, f"stuck at the largest weight: {_FAULTY}"
    ),
    "sign_flip": Disturbance(synapses.sign_flip, FRACTION, f"{_FAULTY} with their sign flipped"),
    "multiplicative_noise": Disturbance(
        synapses.multiplicative_noise, SIGMA, f"static {_RELATIVE}"
    ),
    "log_normal_noise": Disturbance(
        synapses.log_normal_noise,
        SIGMA,
        f"log-normal {_RELATIVE.replace('weight)', 'log weight)')}",
    ),
    "dynamic_noise": Disturbance(synapses.dynamic_noise, SIGMA, f"fresh {_RELATIVE}"),
    "weight_quantisation": Disturbance(
        synapses.quantisation, STEP, f"weight {_BITS}", random=False
    ),
    "channel_quantisation": Disturbance(
        synapses.channel_quantisation, STEP, f"weight {_BITS}, by channel", random=False
    ),
    "activation_quantisation": Disturbance(
        units.quantisation, STEP, f"activation {_BITS}", random=False
    ),
    "rotation": Disturbance(
        shifts.rotation, DEGREES, "rotation (degree)", random=False, of_sequence=False
    ),
    "low_pass": Disturbance(
        shifts.low_pass,
        SHARE,
        "high frequencies removed (fraction of largest)",
        random=False,
        of_sequence=False,
    ),
    "high_pass": Disturbance(
        shifts.high_pass,
        SHARE,
        "low frequencies removed (fraction of largest)",
        random=False,
        of_sequence=False,
    ),
    "inversion": Disturbance(
        shifts.inversion,
        INVERTED,
        "inversion (0.5: no contrast, 1: negative)",
        random=False,
        of_sequence=False,
    ),
    "permuted_pixels": Disturbance(
        shifts.permuted_pixels,
        (*FRACTION[:-1], 1.0),
        "pixels permuted (fraction)",
        of_sequence=False,
    ),
    **{
        f"lesion_layer_{l}": Disturbance(
            units.layer_lesion(l), FRACTION, f"units of layer {l} lesioned (fraction)"
        )
        for l in range(1, LAYERS + 1)
    },
    "spike_jitter": Disturbance(
        spikes.jitter, JITTER, "jitter of input spikes (standard deviation, ms)"
    ),
    "spike_deletion": Disturbance(spikes.deletion, FRACTION, "input spikes deleted (fraction)"),
    "hidden_spike_deletion": Disturbance(
        spikes.of_hidden, FRACTION, "hidden spikes deleted (fraction)"
    ),
}
"""The disturbances that a study may name. `lesion` of synapses at severity 0 is the stuck-at-0
fault. Append new ones: the position of a disturbance is part of the key of its draws.
"""
