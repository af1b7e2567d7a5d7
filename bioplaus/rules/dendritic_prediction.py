"""Urbanczik and Senn's rule: the dendrite of an output neuron learns to predict what its soma does.

    dW = (1/B) sum_t PSP_t^T (rho(o_t) - S_t) h(o_t),    h = d log rho / do
    S_t ~ Poisson(rho(u_t)),    u_t = o_t - lambda e_t,    rho(o) = peak sigmoid(slope (o - theta))
o_t: [B, C] the answer at moment t, which is the potential that the dendrite alone would give the
soma (the paper's V*_w);  e_t: [B, C] derivative of the loss by o_t;  u_t: [B, C] potential of the
soma, which the teacher has moved;  S_t: [B, C] spikes of the soma;  rho: the rate that a potential
stands for, in spikes a moment;  PSP_t: [B, n] derivative of o_t by the weights: input of the last
layer, low-passed by its neurons if they leak.  dW is descended.

It is the gradient of -log p(S | o), where p is a Poisson process of rate rho(o). So on average over
spikes the dendrite comes to give the soma, with no teacher, the rates that it has with one; without
a teacher dW is zero on average. To first order in the teacher, the average is the delta rule with
an error for each unit of lambda rho'(o)^2 / rho(o) e.

Urbanczik, Senn, "Learning by the dendritic prediction of somatic spiking", 2014,
doi:10.1016/j.neuron.2013.11.030.
Departures: any loss gives the teacher, as a current, and conductances with reversal potentials
follow for half the squared error alone (`bioplaus.rules.shared.soma`); a spike does not reset the
soma, and moves nothing else; rates are of a moment instead of continuous time; no low-pass of dW;
the attenuation of the dendrite is in the units of its potential.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.eligibility import at_rest, begun, learn, refusal
from bioplaus.entry import learning_rule, refusing
from bioplaus.hyper import Positive, Real
from bioplaus.local import error_of, gates_of, pull, signals_of, spread, through
from bioplaus.net import advance, forward, layer_key, predictor
from bioplaus.rules.shared.soma import Soma, log_slope, rate, taught
from bioplaus.salts import SOMA
from bioplaus.types import (
    Array,
    Info,
    Key,
    Loss,
    Net,
    OverTime,
    PyTree,
    Rule,
    StreamInfo,
    StreamState,
)

READOUT_ALONE = OverTime(
    still="a teacher reaches the somata of the output neurons alone, whose dendrites learn",
    streams=True,
)


@learning_rule(time=READOUT_ALONE)
def dendritic_prediction(
    net: Net,
    loss: Loss,
    *,
    nudge: Positive = 1.0,
    spikes: bool = True,
    peak: Positive = 1.0,
    slope: Positive = 1.0,
    threshold: Real = 0.0,
) -> Rule:
    """A rule of the last layer; hidden layers keep their first weights, and their gradient is zero.

    nudge: lambda. spikes: false gives the average over spikes, S_t = rho(u_t). peak, slope,
    threshold: of rho; peak is in spikes a moment, slope and threshold in units of the output.

        net = (bp.over_time(bp.dense(2, bp.leaky(10.0))),)
        rule = bp.rules.dendritic_prediction(net, bp.at_each_moment(bp.mse), threshold=0.5)

    Moments that are not asked have no teacher, but spikes all the same. Streams need affine
    synapses, such as bp.dense, in layers that all run over time; a gate of a moment acts on what is
    learned from the spikes of that moment.

    Cost, in the letters of docs/rules.md: F forward, and the F of the last layer update. On a
    stream, for each moment and state of an output neuron, B n C operations more, and that many
    numbers are kept.
    """
    last, top, soma = net[-1], len(net) - 1, Soma(peak, slope, threshold)

    def surprise(output, error, key, first=0):
        """(rho(o) - S) h(o), at the output. first: moments before those of `output`."""
        with jax.named_scope("credit"):
            fired = rate(soma, taught(output, error, nudge))
            if spikes:
                fired = _spikes(fired, key, first, last.time is not None)
            return (rate(soma, output) - fired) * log_slope(soma, output)

    def grad(params, state, batch, key, gate=None):
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates, k = gates_of(gate, signals, len(net)), layer_key(key, top)
        signal = surprise(trace.output, error, key)
        signal = through(last, trace.currents[-1], k, spread(gates[-1], signal) * signal)
        own = pull(last, params[-1], trace.inputs[-1], k, signal, heard=trace.heard[-1])
        return _with_still(params, own), state, Info(loss=losses.mean(), signals=signals)

    def stream_init(key, params, batch):
        pasts, trace = begun(net, params, batch.x, key)
        return StreamState((), pasts, at_rest(last, params[-1], trace.currents[-1]))

    def stream_grad(params, state, batch, key, gate=None):
        pasts, trace = advance(net, params, state.pasts, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))
        signal = surprise(trace.output, error, key, state.pasts[-1].t)
        played = trace.inputs[-1], trace.heard[-1], trace.currents[-1]
        signal = spread(gates[-1], signal) * signal
        own = learn(last, params[-1], state.traces, played, layer_key(key, top), signal)
        info = StreamInfo(loss=losses.mean(), signals=signals, output=trace.output)
        return _with_still(params, own.grads), StreamState((), pasts, own.traces), info

    predict, why = predictor(net), refusal(net)
    stream = Rule(stream_init, stream_grad, predict)
    if why:
        stream = refusing(f"dendritic_prediction: {why}")
    return Rule(lambda *_: (), grad, predict, stream)


def _spikes(rates: Array, key: Key, first: ArrayLike, over_time: bool) -> Array:
    """Poisson counts. Those of a moment are drawn from the key and its number."""
    key = jax.random.fold_in(key, SOMA)

    def draw(key, rates):
        return jax.random.poisson(key, rates).astype(rates.dtype)

    if not over_time:
        return draw(key, rates)
    moments = first + jnp.arange(rates.shape[1])
    return jax.vmap(lambda t, r: draw(jax.random.fold_in(key, t), r), (0, 1), 1)(moments, rates)


def _with_still(params: PyTree, own: PyTree) -> PyTree:
    """The gradients of the net: `own` of the last layer, and zero elsewhere."""
    return (*jax.tree.map(jnp.zeros_like, params[:-1]), own)
