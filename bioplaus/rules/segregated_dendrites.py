"""Segregated dendrites: plateau potentials tell a neuron what the output does with a teacher.

Two phases, in the second of which a teacher moves the somata of the output neurons:
    alpha_l = sigmoid(mean_t rho(o_t) B_l),    alpha'_l = sigmoid(mean_t rho(u_t) B_l)
    u_t = o_t - lambda e_t,    obar = mean_t o_t
    dW_l = (1/B) sum_t m_t h_{l-1,t}^T phi'(a_{l,t}) (alpha_l - alpha'_l)
    dW_L = (1/B) sum_t m_t h_{L-1,t}^T (rho(obar) - mean_t rho(u_t)) rho'(obar)
o_t: [B, C] the answer at moment t, which is the potential of the output neurons' somata;  e_t:
[B, C] derivative of the loss by it;  u_t: [B, C] potential of the taught somata;  rho(o) = peak
sigmoid(slope (o - theta)): [B, C] their rate, which the apical dendrites receive;  B_l: [C, n_l]
feedback weights, N(0, scale^2 / C), never learned;  alpha_l, alpha'_l: [B, n_l] plateau potentials
of the apical dendrites of hidden layer l, without the teacher and with it;  h_{l-1,t}:
[B, n_{l-1}] input of layer l, low-passed by its neurons if they leak;  a_{l,t}: [B, n_l] its
current;  phi: its neurons;  m_t: weight of moment t in the mean over a phase, mean_t. Its moments
are those that the answer reads, or that are asked.

A hidden neuron descends half the squared distance of its mean output to that output + alpha' -
alpha, its target. As lambda and scale -> 0, alpha - alpha' is (lambda / 4) (rho'(o) e) B_l: direct
feedback alignment of the error rho'(o) e. The sigmoid of a strong apical input saturates, and then
the direction is another.

Guerguiev, Lillicrap, Richards, "Towards deep learning with segregated dendrites", 2017,
doi:10.7554/eLife.22901, with the output's feedback to all hidden layers, as in the authors' code.
Departures: any neurons, whose phi' at each moment (of spikes a surrogate, through the states of the
neuron) stands for the slope of the rate at the mean potential; any loss gives the teacher, as a
current (`bioplaus.rules.shared.soma`); output neurons feed back rates, and not Poisson spikes; both
phases see the same input and the same noise, and since the apical dendrite does not reach the soma
(the paper's g_A = 0), one forward pass serves both; attenuations of dendrites are in the units of
their potentials; dW is the mean over a batch, without the paper's factors of learning rates.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.entry import learning_rule
from bioplaus.hyper import Positive, Real
from bioplaus.local import error_of, gates_of, pull, signals_of, through
from bioplaus.net import forward, layer_key, predictor
from bioplaus.outputs import asked_moments
from bioplaus.pools import of_sequence
from bioplaus.rules.shared.direct import drawn
from bioplaus.rules.shared.over_time import ANY
from bioplaus.rules.shared.soma import Soma, log_slope, rate, taught
from bioplaus.types import Array, Info, Layer, Loss, Net, PerLayer, Rule


class State(NamedTuple):
    """feedback: B_l [C, *shape of layer l's output at one moment], for each hidden layer."""

    feedback: PerLayer


@learning_rule(time=ANY)
def segregated_dendrites(
    net: Net,
    loss: Loss,
    *,
    nudge: Positive = 0.6,
    scale: Real = 1.0,
    peak: Positive = 1.0,
    slope: Positive = 1.0,
    threshold: Real = 0.0,
) -> Rule:
    """Parallel to direct feedback alignment of the error rho'(o) e, as nudge and scale -> 0.

    nudge: lambda; the paper's teacher has 0.59 of all conductances. scale: multiplies B. peak,
    slope, threshold: of rho; peak is in spikes a moment, slope and threshold in units of the
    output.

        cell = bp.two_compartment(apical=0.0)
        net = (
            bp.over_time(bp.basal(bp.dense(100, cell))),
            bp.after(bp.mean_over_time, bp.dense(10)),
        )
        rule = bp.rules.segregated_dendrites(net, bp.cross_entropy)

    Targets that change from moment to moment are averaged: a plateau is one number for a phase.

    Cost, in the letters of docs/rules.md: F forward, 2 C sum_l n_l credit over hidden layers l, F
    update.
    """
    soma = Soma(peak, slope, threshold)

    def init(key, params, batch):
        return State(drawn(net, params, batch, key, scale))

    def grad(params, state, batch, key, gate=None):
        if len(state.feedback) != len(net) - 1:
            raise ValueError(
                f"feedback has {len(state.feedback)} entries for {len(net) - 1} hidden layers;"
                " make it with rule.init"
            )
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates, grads = gates_of(gate, signals, len(net)), []
        with jax.named_scope("credit"):
            o, u = trace.output, taught(trace.output, error, nudge)
            free, moved = (_mean(net, net[-1], batch.y, rate(soma, v)) for v in (o, u))
            mean = _mean(net, net[-1], batch.y, o)
            at_output = (rate(soma, mean) - moved) * rate(soma, mean) * log_slope(soma, mean)
            missed = [*(_plateau(free, b) - _plateau(moved, b) for b in state.feedback), at_output]
        for l, layer in enumerate(net):
            k = layer_key(key, l)
            signal = _to_moments(net, layer, batch.y, trace.outputs[l], missed[l])
            signal = through(layer, trace.currents[l], k, signal)
            grads.append(
                pull(layer, params[l], trace.inputs[l], k, signal, gates[l], trace.heard[l])
            )
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))


def _plateau(rates: Array, feedback: Array) -> Array:
    """alpha, [B, n]."""
    return jax.nn.sigmoid(jnp.tensordot(rates, feedback, 1))


def _mean(net: Net, layer: Layer, y: Array, h: Array) -> Array:
    """Over the moments of a phase, [B, T, n] -> [B, n]; h itself of a layer of one moment."""
    if layer.time is None or net[-1].time is None:
        return of_sequence(net, layer, h)
    weight = asked_moments(y).astype(h.dtype)
    weight = weight / jnp.maximum(weight.sum(1, keepdims=True), 1)
    return jnp.einsum("bt,bt...->b...", weight, h)


def _to_moments(net: Net, layer: Layer, y: Array, h: Array, signal: Array) -> Array:
    """A signal at the mean of h over the phase, at all moments of h."""
    with jax.named_scope("credit"):
        return jax.vjp(lambda h: _mean(net, layer, y, h), h)[1](signal)[0]
